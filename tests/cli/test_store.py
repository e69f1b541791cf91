"""``mosaic store`` and ``mosaic clean``: counting, checking, repairing, tidying."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.store import ContentStore, open_database
from mosaic_dagster.store.workspace import WorkspaceStore

KEY = "dish01/larva_007"
ARTIFACTS = Path("workspaces/larvae/artifacts")


def damage(project: Path, sha256: str) -> None:
    """Cut the last byte of an object."""
    (file,) = (project / ARTIFACTS).rglob(f"{sha256}.*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])


def member_of(project: Path, mosaic: Any, step: str, name: str) -> str:
    files = mosaic.json(project, "show", step)["files"]
    return next(Path(row["path"]).stem for row in files if row["name"] == name)


def test_stats_count_every_file(made: Path, mosaic: Any) -> None:
    rows = {row["kind"]: row for row in mosaic.json(made, "store", "stats")}
    files = [path for path in (made / ARTIFACTS).rglob("*.*") if path.is_file()]
    assert rows["all"]["objects"] == len(files)
    assert rows["all"]["bytes"] == sum(path.stat().st_size for path in files)
    assert rows["named by the database"] == rows["all"] | {"kind": "named by the database"}


WORKSPACE = Path("workspaces/larvae")
MODEL = {"step_idx": 0, "operator_class": "M", "params": {}, "artifact_id": None,
         "stateless": False, "role": "model"}  # fmt: skip


def train(project: Path, folds: int = 2) -> tuple[str, list[str]]:
    """A run with a chain of a model per fold; its id, and those of the artifacts."""
    with WorkspaceStore(project / WORKSPACE) as store:
        run = store.begin_run("run", {}, [{"name": "larvae"}])
        pipeline = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        models = [store.save_artifact({"fold": i}, "M", "model", "json") for i in range(folds)]
        named = {f"fold_{i}": model for i, model in enumerate(models)}
        store.save_chain(pipeline, [MODEL], 0, "M", "", "per_fold", named, {})
    return run, models


def save_scores(project: Path, run: str) -> None:
    with WorkspaceStore(project / WORKSPACE) as store:
        (pipeline,) = store.list_pipelines(run)["pipeline_id"]
        store.save_prediction(
            pipeline, None, "larvae", "m", "M", "fold_0", "val", 0.5, None, None, "rmse",
            "regression", 3, 2, {}, {}, None, None, 0, 0.0,
        )  # fmt: skip


def test_stats_count_models(new: Path, mosaic: Any) -> None:
    """Two models of 10 bytes each, of which a second chain uses the first: 3 uses, 2 files."""
    train(new, folds=2)
    train(new, folds=1)
    rows = {row["kind"]: row for row in mosaic.json(new, "store", "stats")}
    counted = {kind: rows[kind]["objects"] for kind in ("runs", "pipelines", "chains")}
    assert counted == {"runs": 2, "pipelines": 2, "chains": 2}
    assert rows["predictions"]["objects"] == 0
    assert rows["artifacts: model"] == {"kind": "artifacts: model", "objects": 2, "bytes": 20}
    assert rows["uses of artifacts"] == {"kind": "uses of artifacts", "objects": 3, "bytes": 30}
    assert rows["files of artifacts"] == {"kind": "files of artifacts", "objects": 2, "bytes": 20}
    assert rows["named by the database"]["objects"] == rows["all"]["objects"] == 2
    assert "uses of artifacts" in mosaic(new, "store", "stats").stdout


def test_a_damaged_model_is_named(new: Path, mosaic: Any) -> None:
    """No run of a pipeline makes it again, so it stays an error after it was moved aside."""
    _, models = train(new)
    damage(new, models[0].removeprefix("art_"))
    (row,) = mosaic.json(new, "store", "verify", code=1)
    assert (row["problem"], row["belongs_to"]) == ("damaged", f"artifact {models[0]} M")
    assert mosaic.json(new, "store", "verify", "--no-hashes") == []
    assert "were not read" in mosaic(new, "store", "verify", "--no-hashes").stdout
    told = mosaic(new, "store", "verify", "--repair", code=1).stdout
    assert "train again" in told
    (row,) = mosaic.json(new, "store", "verify", "--no-hashes", code=1)
    assert (row["problem"], row["belongs_to"]) == ("missing", f"artifact {models[0]} M")


def test_contradicting_tables_are_told_and_mended(new: Path, mosaic: Any) -> None:
    """A count of 9 where one chain names it, and a log of a pipeline that is not there."""
    _, (model, _) = train(new)
    with open_database(new / WORKSPACE / "store.duckdb").transaction() as con:
        con.execute("UPDATE main.artifacts SET ref_count = 9 WHERE artifact_id = ?", [model])
        con.execute(
            "INSERT INTO main.logs (log_id, pipeline_id, step_idx, event, created_at) "
            "VALUES ('l', 'gone', 0, 'end', TIMESTAMP '2025-01-01')"
        )
    rows = mosaic.json(new, "store", "verify", code=1)
    assert {row["object"]: row["problem"] for row in rows} == {
        model: "counted 9 times, not 1",
        "logs l": "its pipeline_id gone is gone",
    }
    assert "--repair" in mosaic(new, "store", "verify", code=1).stdout
    assert "2 rows and counts" in mosaic(new, "store", "verify", "--repair").stdout
    assert mosaic.json(new, "store", "verify") == []


def test_a_file_that_is_registered_under_its_own_name(new: Path, mosaic: Any) -> None:
    """It is no stray; when its bytes change that is told, and that it goes when nothing names it.

    Five bytes are registered; a sixth makes them others.
    """
    file = new / ARTIFACTS / "mine" / "model.bin"
    with WorkspaceStore(new / WORKSPACE) as store:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"model")
        sha256 = hashlib.sha256(b"model").hexdigest()
        store.register_existing_artifact("own", "mine/model.bin", sha256, "M", "model", "joblib", 5)
    assert mosaic.json(new, "store", "verify") == []
    _make_old(new)
    with open_database(new / WORKSPACE / "store.duckdb").transaction() as con:
        con.execute("UPDATE main.artifacts SET created_at = TIMESTAMP '2025-01-01'")
    dry = mosaic.json(new, "store", "gc", "--stale-claims", "24")
    assert (dry["artifacts"], dry["bytes"], dry["removed"][0]["sha256"]) == (["own"], 5, sha256)
    file.write_bytes(b"models")
    (row,) = mosaic.json(new, "store", "verify", code=1)
    assert (row["problem"], row["belongs_to"]) == ("damaged", "artifact own M")
    file.unlink()
    (row,) = mosaic.json(new, "store", "verify", code=1)
    assert (row["problem"], row["belongs_to"]) == ("missing", "artifact own M")


def test_scores_without_arrays_are_no_error(new: Path, mosaic: Any) -> None:
    """They are told, because somebody may have meant to save them."""
    run, _ = train(new)
    save_scores(new, run)
    (row,) = mosaic.json(new, "store", "verify")
    assert row["object"] == "predictions"
    assert row["problem"].startswith("1 without arrays")


def test_gc_takes_what_no_chain_names(new: Path, mosaic: Any) -> None:
    """The models of a deleted run wait at count zero, 10 bytes each; another chain's stays."""
    run, models = train(new, folds=3)
    train(new, folds=1)
    with WorkspaceStore(new / WORKSPACE) as store:
        store.delete_run(run, delete_artifacts=False)
    dry = mosaic.json(new, "store", "gc")
    assert dry["artifacts"] == sorted(models[1:])
    assert (dry["bytes"], dry["live"], dry["dry_run"]) == (20, 1, True)
    done = mosaic.json(new, "store", "gc", "--apply")
    assert done["removed"] == dry["removed"]
    assert (done["live"], done["dry_run"]) == (1, False)
    assert mosaic.json(new, "store", "gc", "--apply")["removed"] == []
    assert mosaic.json(new, "store", "verify") == []


def test_gc_gives_up_stale_claims_when_asked(new: Path, mosaic: Any) -> None:
    """Saved two days ago and never taken up: a training that crashed. A young one may go on."""
    with WorkspaceStore(new / WORKSPACE) as store:
        crashed = store.save_artifact({"crashed": True})
        again = store.save_artifact({"again": True})
    _make_old(new)
    with open_database(new / WORKSPACE / "store.duckdb").transaction() as con:
        con.execute("UPDATE main.artifacts SET created_at = TIMESTAMP '2025-01-01'")
    with WorkspaceStore(new / WORKSPACE) as store:
        young = store.save_artifact({"young": True})
        store.save_artifact({"again": True})
    assert mosaic.json(new, "store", "gc", "--apply")["artifacts"] == []
    dry = mosaic.json(new, "store", "gc", "--stale-claims", "24")
    assert (dry["artifacts"], dry["stale_claims"]) == ([crashed], 1)
    assert "1 claims" in mosaic(new, "store", "gc", "--stale-claims", "24", "--apply").stdout
    with WorkspaceStore(new / WORKSPACE) as store:
        assert store.list_artifacts()["artifact_id"].to_list() == sorted([young, again])
        assert store.load_artifact(young) == {"young": True}


def test_an_intact_store(made: Path, mosaic: Any) -> None:
    assert mosaic.json(made, "store", "verify") == []
    assert "none is damaged" in mosaic(made, "store", "verify").stdout


def test_damage_is_named_and_repaired(project: Path, mosaic: Any) -> None:
    """The entry is named, the object moved aside, and its step is stale: the next run makes it."""
    sha256 = mosaic.json(project, "show", "posture", "--entry", KEY)["sha256"]
    damage(project, sha256)
    (row,) = mosaic.json(project, "store", "verify", code=1)
    assert (row["object"], row["problem"]) == (sha256, "damaged")
    assert row["belongs_to"] == f"crawling/posture {KEY}"
    assert "--repair" in mosaic(project, "store", "verify", code=1).stdout
    mosaic(project, "store", "verify", "--repair")
    assert len(list((project / "workspaces/larvae/damaged").iterdir())) == 1
    entries = mosaic.json(project, "status")["entries"]
    assert {"step": "posture", "reason": "object missing"}.items() <= entries[0].items()
    assert mosaic.json(project, "store", "verify")[0]["problem"] == "missing"


def test_a_damaged_file_of_a_fit_takes_its_fit_along(project: Path, mosaic: Any) -> None:
    """Else the fit would count as fresh for ever, with a file that nobody can read."""
    damage(project, member_of(project, mosaic, "clusters", "cluster_centers.npz"))
    rows = mosaic.json(project, "store", "verify", "--repair")
    assert [row["problem"] for row in rows[:2]] == ["damaged", "a file of it is damaged"]
    assert "crawling/clusters (fit) cluster_centers.npz" in rows[0]["belongs_to"]
    steps = {row["step"]: row for row in mosaic.json(project, "status")["steps"]}
    assert steps["clusters"]["model"] == "stale"


def test_a_stray_file_is_told(project: Path, mosaic: Any) -> None:
    (project / ARTIFACTS / "notes.txt").write_text("mine")
    (row,) = mosaic.json(project, "store", "verify")
    assert row["problem"] == "no object"


def test_clean_and_gc_remove_what_a_dropped_step_made(project: Path, mosaic: Any) -> None:
    """The step summary has 4 tables; without its declaration they go, and nothing else does."""
    code = project / "assets" / "larvae.py"
    lines = [line for line in code.read_text().splitlines() if '"summary"' not in line]
    code.write_text("\n".join(lines) + "\n")
    rows = [row for row in mosaic.json(project, "clean") if row["status"] != "current"]
    assert [(row["feature"], row["status"], row["n_results"]) for row in rows] == [
        ("cluster-summary", "would remove", 4)
    ]
    assert mosaic.json(project, "store", "gc", "--grace", "0")["removed"] == []
    assert "mosaic store gc --apply" in mosaic(project, "clean", "--apply").stdout
    assert "Nothing to clean" in mosaic(project, "clean").stdout
    files = len(list((project / ARTIFACTS).rglob("*.parquet")))
    _make_old(project)
    dry = mosaic.json(project, "store", "gc")
    assert (dry["dry_run"], len(dry["removed"])) == (True, 4)
    text = mosaic(project, "store", "gc", "--apply").stdout
    assert "4 objects" in text
    assert f"{dry['live']} are live" in text
    assert len(list((project / ARTIFACTS).rglob("*.parquet"))) == files - 4
    assert mosaic.json(project, "store", "verify") == []


def test_young_objects_are_spared(project: Path, mosaic: Any) -> None:
    """A run may be about to record them."""
    ContentStore(project / ARTIFACTS).put(b"nobody needs this")
    told = mosaic.json(project, "store", "gc", "--apply")
    assert (told["removed"], told["spared_by_grace"]) == ([], 1)


def _make_old(project: Path) -> None:
    long_ago = time.time() - 7 * 24 * 3600
    for path in (project / ARTIFACTS).rglob("*.*"):
        os.utime(path, (long_ago, long_ago))


@pytest.mark.parametrize("command", [["clean"], ["store", "gc"], ["store", "stats"]], ids=" ".join)
def test_an_unknown_dataset_gets_the_nearest(made: Path, mosaic: Any, command: list[str]) -> None:
    assert "'larvae'" in mosaic(made, *command, "--dataset", "larvea", code=2).stderr
