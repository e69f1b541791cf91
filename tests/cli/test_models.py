"""``mosaic models``: ranking, showing, exporting, replaying and deleting what was trained."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import MinMaxScaler
from typer.testing import CliRunner

from mosaic_dagster.cli.app import app
from mosaic_dagster.store.workspace import WorkspaceStore

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
SAMPLES = "name,a,b\nx,1,2\ny,0,0.5\n"
"""Two samples; the chains predict 2(a + b), so 6 and 1."""

COMMANDS = ("top", "show", "export", "replay", "delete")


@dataclass
class Trained:
    """A project with one run of two pipelines, a chain each."""

    project: Path
    run: str
    pipelines: list[str]
    chains: list[str]

    @property
    def workspace(self) -> Path:
        return self.project / "workspaces" / "larvae"

    def samples(self, text: str = SAMPLES) -> str:
        path = self.project / "samples.csv"
        path.write_text(text)
        return str(path)

    def open(self) -> WorkspaceStore:
        return WorkspaceStore(self.workspace)


def save_chain(store: WorkspaceStore, pipeline: str, factor: float, format: str = "auto") -> str:
    """A scaler that changes nothing, and a model per fold: (a + b) and 3(a + b), mean 2(a + b).

    The factor changes the bytes of the models and not their mean.
    """
    scaler = store.save_artifact(MinMaxScaler().fit(CORNERS), "MinMaxScaler", "transformer")
    models = {}
    for fold, slope in enumerate((2 - factor, 2 + factor)):
        model = LinearRegression().fit(CORNERS, slope * CORNERS.sum(axis=1))
        models[f"fold_{fold}"] = store.save_artifact(model, "LinearRegression", "model", format)
    steps = [
        {"step_idx": 0, "operator_class": "sklearn.preprocessing.MinMaxScaler", "params": {},
         "artifact_id": scaler, "stateless": False},
        {"step_idx": 1, "operator_class": "sklearn.linear_model.LinearRegression", "params": {},
         "artifact_id": None, "stateless": False, "role": "model"},
    ]  # fmt: skip
    return store.save_chain(
        pipeline, steps, 1, "sklearn.linear_model.LinearRegression", "MinMaxScaler", "per_fold",
        models, {"0": [scaler]},
    )  # fmt: skip


def save_score(store: WorkspaceStore, pipeline: str, chain: str, fold: int, **changes: Any) -> None:
    given: dict[str, Any] = {
        "pipeline_id": pipeline, "chain_id": chain, "dataset_name": "larvae",
        "model_name": "linear", "model_class": "LinearRegression", "fold_id": f"fold_{fold}",
        "partition": "val", "val_score": None, "test_score": None, "train_score": None,
        "metric": "rmse", "task_type": "regression", "n_samples": 3, "n_features": 2,
        "scores": {}, "best_params": {}, "branch_id": None, "branch_name": None,
        "exclusion_count": 0, "exclusion_rate": 0.0, "preprocessings": "MinMaxScaler",
        "arrays": {"y_true": [1.0], "y_pred": [1.5]},
    }  # fmt: skip
    store.save_prediction(**given | changes)


@pytest.fixture
def trained(new: Path) -> Trained:
    """Validation errors by pipeline and fold: one 0.2 and 0.4, two 0.1 and 0.3."""
    workspace = new / "workspaces" / "larvae"
    with WorkspaceStore(workspace) as store, store.session():
        config = {"seed": 1, "dagster_run_id": "dagster-run-7"}
        run = store.begin_run("first", config, [{"name": "larvae", "n_samples": 3}])
        pipelines, chains = [], []
        for name, factor, scores in (("one", 1.0, (0.2, 0.4)), ("two", 0.5, (0.1, 0.3))):
            pipeline = store.begin_pipeline(run, name, {"k": factor}, None, "larvae", "v" * 8)
            chain = save_chain(store, pipeline, factor)
            for fold, score in enumerate(scores):
                save_score(store, pipeline, chain, fold, val_score=score, test_score=1 - score)
            store.log_step(pipeline, 0, "MinMaxScaler", "end", 40)
            store.log_step(
                pipeline, 1, "LinearRegression", "warning", None, "slow", None, "warning"
            )
            store.complete_pipeline(pipeline, min(scores), None, "rmse", 50)
            pipelines.append(pipeline)
            chains.append(chain)
        store.complete_run(run, {"pipelines": 2})
    return Trained(new, run, pipelines, chains)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """Without an example people have to guess; without --json programs have to parse text."""
    result = CliRunner().invoke(app, ["models", command, "--help"])
    assert result.exit_code == 0
    assert f"Example: mosaic models {command}" in result.stdout
    assert "--json" in result.stdout


def test_the_lowest_error_comes_first(trained: Trained, mosaic: Any) -> None:
    """Of 0.2, 0.4, 0.1 and 0.3 the errors 0.1 and 0.2 are best; a wrong order picks a bad model."""
    rows = mosaic.json(trained.project, "models", "top", "-n", "2")
    assert [(row["val_score"], row["pipeline"]) for row in rows] == [(0.1, "two"), (0.2, "one")]
    assert [row["chain_id"] for row in rows] == trained.chains[::-1]
    assert trained.chains[1].startswith(rows[0]["chain"])
    text = mosaic(trained.project, "models", "top").stdout
    assert len(text.splitlines()) == 1 + 4
    assert text.split()[:3] == ["model", "preprocessings", "fold"]
    assert rows[0]["chain"] in text


def test_top_of_groups_of_other_scores_and_of_a_run(trained: Trained, mosaic: Any) -> None:
    """By fold: 0.1 and 0.3. By the greatest test score 1 - 0.1; another run's do not take part."""
    by_fold = mosaic.json(trained.project, "models", "top", "-n", "1", "--group-by", "fold_id")
    assert [(row["fold"], row["val_score"]) for row in by_fold] == [
        ("fold_0", 0.1),
        ("fold_1", 0.3),
    ]
    options = ["--metric", "test_score", "--descending", "-n", "1"]
    assert mosaic.json(trained.project, "models", "top", *options)[0]["test_score"] == 0.9
    with trained.open() as store:
        other = store.begin_run("other", {}, [{"name": "larvae"}])
        pipeline = store.begin_pipeline(other, "p", {}, None, "larvae", None)
        chain = save_chain(store, pipeline, 0.25)
        save_score(store, pipeline, chain, 0, val_score=0.9, metric="r2")
    assert mosaic(trained.project, "models", "top", code=2).stderr.count("--ascending") > 0
    for run, scores in ((trained.run, [0.1, 0.2, 0.3, 0.4]), (other, [0.9])):
        rows = mosaic.json(trained.project, "models", "top", "--run", run[:18])
        assert [row["val_score"] for row in rows] == scores
        grouped = mosaic.json(
            trained.project, "models", "top", "--run", run, "--group-by", "metric"
        )
        assert [row["val_score"] for row in grouped] == scores


def test_nothing_to_rank(trained: Trained, mosaic: Any) -> None:
    """An empty answer is said in words, and in JSON it is an empty list."""
    assert (
        "There are no predictions"
        in mosaic(trained.project, "models", "top", "--partition", "test").stdout
    )
    assert mosaic.json(trained.project, "models", "top", "--partition", "train") == []
    assert len(mosaic.json(trained.project, "models", "top", "--partition", "all")) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["top", "--metric", "colour"], ["top", "--group-by", "colour"], ["top", "-n", "-1"],
        ["top", "--run", "zz"], ["show", "zz"], ["export", "zz"], ["delete", "zz"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_status_2(trained: Trained, mosaic: Any, arguments: list[str]) -> None:
    """What can be meant is listed."""
    told = mosaic(trained.project, "models", *arguments, code=2).stderr
    assert "Invalid value" in told
    if arguments[-1] == "zz":
        assert (trained.run if arguments[0] in ("top", "delete") else "-")[:8] in told


def test_show_a_chain(trained: Trained, mosaic: Any) -> None:
    """Everything that a paper's methods section needs to say about a model."""
    chain = trained.chains[0]
    told = mosaic.json(trained.project, "models", "show", chain[:13])
    assert (told["kind"], told["chain_id"]) == ("chain", chain)
    assert [(step["step"], step["role"]) for step in told["steps"]] == [
        (0, "transform"),
        (1, "model"),
    ]
    used = {tuple(row["used_in"]): row for row in told["artifacts"]}
    assert set(used) == {("step 0",), ("fold_0",), ("fold_1",)}
    assert all(row["file_is_there"] for row in told["artifacts"])
    assert {row["format"] for row in told["artifacts"]} == {"arrays"}
    size = sum(row["bytes"] for row in told["artifacts"])
    with trained.open() as store:
        named = [row["artifact"] for row in told["artifacts"]]
        assert size == sum(store.get_artifact_path(name).stat().st_size for name in named)
    assert [(row["fold"], row["val_score"]) for row in told["scores"]] == [
        ("fold_0", 0.2), ("fold_1", 0.4)]  # fmt: skip
    assert told["made_by"]["dagster_run_id"] == "dagster-run-7"
    assert told["made_by"]["run"] == trained.run
    assert told["data"] == {"name": "larvae", "version": "v" * 8, "n_samples": 3}
    assert told["log"] == {"log_count": 2, "step_count": 1, "total_duration_ms": 40,
                           "warning_count": 1, "error_count": 0}  # fmt: skip
    text = mosaic(trained.project, "models", "show", chain[:13]).stdout
    for word in ("MinMaxScaler", "fold_1", "dagster-run-7", "arrays", "0.4"):
        assert word in text


def test_show_a_pipeline_and_a_run(trained: Trained, mosaic: Any) -> None:
    """From a run to its pipelines to their chains, by the short names that are printed."""
    told = mosaic.json(trained.project, "models", "show", trained.run)
    assert [row["name"] for row in told["pipelines"]] == ["one", "two"]
    assert [row["pipeline"] for row in told["pipelines"]] == trained.pipelines
    assert (told["kind"], told["dagster_run_id"]) == ("run", "dagster-run-7")
    text = mosaic(trained.project, "models", "show", trained.run).stdout
    (line,) = (line for line in text.splitlines() if " two " in line)
    shown = mosaic.json(trained.project, "models", "show", line.split()[0])
    assert shown["pipeline_id"] == trained.pipelines[1]
    assert [row["chain"] for row in shown["chains"]] == [trained.chains[1]]
    assert shown["config"] == {"k": 0.5}
    assert (
        trained.chains[1][:8] in mosaic(trained.project, "models", "show", line.split()[0]).stdout
    )


def test_show_a_running_run_without_anything(trained: Trained, mosaic: Any) -> None:
    """What is looked at first while a training runs: it has no pipeline yet."""
    with trained.open() as store:
        run = store.begin_run("young", None, [])
        empty = store.begin_pipeline(run, "nothing", {}, None, "larvae", None)
    assert mosaic.json(trained.project, "models", "show", run)["status"] == "running"
    assert "chains: none" in mosaic(trained.project, "models", "show", empty).stdout


def test_a_chain_by_branch_and_source(trained: Trained, mosaic: Any) -> None:
    """Objects of several sources are told apart, and one file cannot feed two sources."""
    with trained.open() as store:
        run = store.begin_run("sources", {}, [{"name": "larvae"}])
        pipeline = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        first = store.save_artifact(MinMaxScaler().fit(CORNERS[:, :1]), "MinMaxScaler")
        second = store.save_artifact(MinMaxScaler().fit(CORNERS[:, :1] * 2), "MinMaxScaler")
        model = store.save_artifact(LinearRegression().fit(CORNERS, CORNERS[:, 0]), "Linear")
        steps = [
            {"step_idx": 0, "operator_class": "MinMaxScaler", "params": {}, "artifact_id": None,
             "stateless": False},
            {"step_idx": 1, "operator_class": "Linear", "params": {}, "artifact_id": None,
             "stateless": False, "role": "model"},
        ]  # fmt: skip
        shared = {"0": [first, second], "_source_map": {"0": {"0": [first], "1": [second]}}}
        chain = store.save_chain(
            pipeline, steps, 1, "Linear", "", "per_fold", {"all": model}, shared, branch_path=[1]
        )
    told = mosaic.json(trained.project, "models", "show", chain)
    places = {tuple(row["used_in"]) for row in told["artifacts"]}
    assert places == {("step 0 source 0",), ("step 0 source 1",), ("all",)}
    assert told["branch_path"] == [1]
    told = mosaic(trained.project, "models", "replay", chain, trained.samples(), code=1).stderr
    assert "2 sources" in told


def test_replay_averages_the_folds(trained: Trained, mosaic: Any) -> None:
    """(a + b) and 3(a + b) have the mean 2(a + b): 6 for (1, 2) and 1 for (0, 0.5)."""
    result = mosaic(
        trained.project, "models", "replay", trained.chains[0], trained.samples(), "--json"
    )
    assert [row["prediction"] for row in json.loads(result.stdout)] == pytest.approx([6.0, 1.0])
    assert "name" in result.stderr


def test_replay_takes_and_writes_files(trained: Trained, mosaic: Any, tmp_path: Path) -> None:
    """The same two samples as csv, Parquet and npy; the answer as csv and Parquet."""
    matrix = np.array([[1.0, 2.0], [0.0, 0.5]])
    pl.DataFrame(matrix, schema=["a", "b"], orient="row").write_parquet(tmp_path / "in.parquet")
    np.save(tmp_path / "in.npy", matrix)
    for source in (trained.samples(), str(tmp_path / "in.parquet"), str(tmp_path / "in.npy")):
        for ending, read in (("csv", pl.read_csv), ("parquet", pl.read_parquet)):
            target = tmp_path / "out" / f"predictions.{ending}"
            mosaic(
                trained.project,
                "models",
                "replay",
                trained.chains[1],
                source,
                "--output",
                str(target),
            )
            assert read(target)["prediction"].to_list() == pytest.approx([6.0, 1.0])


def test_replay_of_named_columns(trained: Trained, mosaic: Any) -> None:
    """A table with one column more: its name, the counts and the option are told."""
    path = trained.samples("weight,a,b\n9,1,2\n9,0,0.5\n")
    told = mosaic(trained.project, "models", "replay", trained.chains[0], path, code=1).stderr
    assert "expects 2 columns" in told
    assert "gives 3" in told
    assert "--columns" in told
    rows = mosaic.json(
        trained.project, "models", "replay", trained.chains[0], path, "--columns", "a,b"
    )
    assert [row["prediction"] for row in rows] == pytest.approx([6.0, 1.0])
    told = mosaic(
        trained.project, "models", "replay", trained.chains[0], path, "--columns", "a,bb", code=2
    ).stderr
    assert "no column 'bb'" in told


def test_a_missing_value_is_no_traceback(trained: Trained, mosaic: Any) -> None:
    """What the model says about NaN is told with the name of the file."""
    path = trained.samples("a,b\n1,\n2,3\n")
    told = mosaic(trained.project, "models", "replay", trained.chains[0], path, code=1).stderr
    assert "samples.csv" in told
    assert "NaN" in told


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["missing.csv"], "does not exist"),
        (["samples.csv", "--output", "out.xlsx"], ".parquet"),
        (["dagster.yaml"], ".npy"),
        (["samples.csv", "--trusted"], ".n4a"),
    ],
    ids=str,
)
def test_replay_used_wrongly(
    trained: Trained, mosaic: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], word: str
) -> None:
    trained.samples()
    monkeypatch.chdir(trained.project)
    told = mosaic(trained.project, "models", "replay", trained.chains[0], *arguments, code=2).stderr
    assert word in told


def test_an_exported_chain_predicts_without_its_project(
    trained: Trained, mosaic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file travels: outside of any project, without trust, it gives the same 6 and 1."""
    target = tmp_path / "elsewhere" / "model.n4a"
    facts = mosaic.json(trained.project, "models", "export", trained.chains[0], str(target))
    assert (facts["path"], facts["bytes"]) == (str(target), target.stat().st_size)
    samples = trained.samples()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["models", "replay", "elsewhere/model.n4a", samples, "--json"])
    assert result.exit_code == 0, result.stderr
    assert [row["prediction"] for row in json.loads(result.stdout)] == pytest.approx([6.0, 1.0])
    narrow = trained.samples("a\n1\n")
    result = CliRunner().invoke(app, ["models", "replay", "elsewhere/model.n4a", narrow])
    assert (result.exit_code, "expects 2 columns" in result.stderr) == (1, True)
    result = CliRunner().invoke(app, ["models", "replay", "no.n4a", samples])
    assert (result.exit_code, "There is no file no.n4a" in result.stderr) == (1, True)


@pytest.mark.slow
def test_an_exported_script_runs_by_itself(trained: Trained, mosaic: Any) -> None:
    facts = mosaic.json(
        trained.project, "models", "export", trained.chains[0], "--format", "n4a.py"
    )
    path = Path(facts["path"])
    assert path.parent == trained.workspace / "exports"
    assert path.name == f"LinearRegression_{trained.chains[0][:8]}.n4a.py"
    samples = trained.samples("a,b\n1,2\n0,0.5\n")
    done = subprocess.run(
        [sys.executable, str(path), samples], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()[-2:]] == pytest.approx([6.0, 1.0])


def test_kept_pickles_need_trust(trained: Trained, mosaic: Any, tmp_path: Path) -> None:
    """Loading a joblib file runs what its author wrote; what it is, is said before."""
    with trained.open() as store:
        run = store.begin_run("pickled", {}, [{"name": "larvae"}])
        pipeline = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        chain = save_chain(store, pipeline, 0.75, "joblib")
    kept = str(tmp_path / "kept.n4a")
    mosaic(trained.project, "models", "export", chain, kept, "--keep")
    samples = trained.samples()
    told = mosaic(trained.project, "models", "replay", kept, samples, code=1).stderr
    assert "LinearRegression (joblib" in told
    assert "--trusted" in told
    rows = mosaic.json(trained.project, "models", "replay", kept, samples, "--trusted")
    assert [row["prediction"] for row in rows] == pytest.approx([6.0, 1.0])
    mosaic(trained.project, "models", "export", chain, "--keep", "--format", "n4a.py", code=2)


def test_delete_says_what_goes_and_then_does_it(trained: Trained, mosaic: Any) -> None:
    """4 predictions with arrays, 2 chains, 4 log rows, 2 pipelines, 1 run: 17 rows.

    The scaler and 4 models go, but of what another run's chain names nothing does.
    """
    with trained.open() as store:
        other = store.begin_run("other", {}, [{"name": "larvae"}])
        pipeline = store.begin_pipeline(other, "p", {}, None, "larvae", None)
        kept = save_chain(store, pipeline, 1.0)
        artifacts = store.list_artifacts()
    dry = mosaic.json(trained.project, "models", "delete", trained.run[:18])
    assert dry["rows"] == {"prediction_arrays": 4, "predictions": 4, "chains": 2, "logs": 4,
                           "pipelines": 2, "runs": 1}  # fmt: skip
    assert dry["dry_run"]
    assert len(dry["artifacts"]) == 2
    going = artifacts.filter(pl.col("artifact_id").is_in(dry["artifacts"]))
    assert dry["bytes"] == going["size_bytes"].sum() > 0
    assert "--apply does it" in mosaic(trained.project, "models", "delete", trained.run).stdout
    before = {path.stem for path in (trained.workspace / "artifacts").rglob("*.*")}
    text = mosaic(trained.project, "models", "delete", trained.run, "--apply").stdout
    assert "17 rows and 2 artifacts" in text
    after = {path.stem for path in (trained.workspace / "artifacts").rglob("*.*")}
    assert before - after == set(going["content_hash"])
    mosaic(trained.project, "models", "show", trained.run, code=2)
    samples = trained.samples()
    assert len(mosaic.json(trained.project, "models", "replay", kept, samples)) == 2


def test_a_chain_that_knows_its_features_finds_them_by_name(trained: Trained, mosaic: Any) -> None:
    """Else a table with its columns in another order gets wrong predictions without a word.

    The chain is 2a: with the columns as they lie in the file it would double b instead.
    """
    with trained.open() as store:
        model = LinearRegression().fit(CORNERS, 2 * CORNERS[:, 0])
        step = {"step_idx": 0, "operator_class": "LinearRegression", "params": {}, "role": "model",
                "feature_names": ["a", "b"]}  # fmt: skip
        model_id = store.save_artifact(model)
        chain = store.save_chain(
            trained.pipelines[0], [step], 0, "LinearRegression", "", "shared", {"all": model_id}, {}
        )
    swapped = trained.samples("b,a\n5,1\n7,2\n")
    rows = mosaic.json(trained.project, "models", "replay", chain, swapped)
    assert [round(row["prediction"], 6) for row in rows] == [2.0, 4.0]
    bundle = trained.project / "by_name.n4a"
    mosaic(trained.project, "models", "export", chain, str(bundle))
    rows = mosaic.json(trained.project, "models", "replay", str(bundle), swapped)
    assert [round(row["prediction"], 6) for row in rows] == [2.0, 4.0]
    lacking = trained.samples("a,c\n1,5\n")
    done = mosaic(trained.project, "models", "replay", chain, lacking, code=2)
    assert "'b'" in done.stderr


def test_the_ending_says_what_to_export(trained: Trained, mosaic: Any) -> None:
    """A script that is called an archive cannot be run, and is found out on another machine."""
    script = trained.project / "model.n4a.py"
    mosaic(trained.project, "models", "export", trained.chains[0], str(script))
    assert script.read_text().startswith('"""Predict with one trained chain')
    done = mosaic(trained.project, "models", "export", trained.chains[0], "model.txt", code=2)
    assert ".n4a" in done.stderr
