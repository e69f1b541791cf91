"""The pipeline for pairs of animals as people start it: by `mosaic run`, and by Dagster."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.metrics import f1_score

from assets import scripted_pair
from mosaic_dagster import Dataset

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = 'MAPPING = map_behavior("mapping", default_class=0)\n'
SMALL = (
    'MAPPING = map_behavior("mapping", default_class=0, k=(3,), cuts=(10,), n_templates=200, '
    "per_class=100, perplexity=20.0, n_folds=2)\n"
)
STUDIES = "from assets.social import SOCIAL\n\nSTUDIES = (SOCIAL,)\n"
LABELLED = {"session1": (1, 2), "session2": (5, 6)}
"""Seeds of the recordings with labels."""

NEVER_SEEN = 98
"""Seed of a recording without labels, from which nothing can be learned."""

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

Shell = Callable[[str, Path], "subprocess.CompletedProcess[str]"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.dagster,
    pytest.mark.xdist_group("social_commands"),
]


@pytest.fixture(scope="module")
def run_by_mosaic(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A project after `mosaic run`; not to be changed."""
    project = small_project(tmp_path_factory.mktemp("by_mosaic"))
    typed(shell, project, "mosaic run mapping --dataset social --engine sequential")
    return project


def small_project(target: Path) -> Path:
    """The project's own code for one dataset, and five recordings, the last without labels."""
    for name in ("assets", "resources"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, target / name)
    declared = target / "assets" / "social.py"
    text = declared.read_text()
    assert SHIPPED in text
    declared.write_text(text.replace(SHIPPED, SMALL))
    (target / "assets" / "__init__.py").write_text(STUDIES)
    recordings = target / "recordings" / "social"
    recordings.mkdir(parents=True)
    unlabelled = scripted_pair.scripted_recording(NEVER_SEEN)
    del unlabelled["annotations"]
    for session, seeds in LABELLED.items():
        pairs = {f"pair{seed}": scripted_pair.scripted_recording(seed) for seed in seeds}
        if session == "session2":
            pairs[f"pair{NEVER_SEEN}"] = unlabelled
        (recordings / f"{session}.json").write_text(json.dumps({session: pairs}))
    return target


def typed(shell: Shell, project: Path, command: str) -> str:
    done = shell(command, project)
    told = f"$ {command}\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
    assert done.returncode == 0, told
    assert "Traceback" not in done.stdout + done.stderr, told
    return done.stdout


def asked(shell: Shell, project: Path, command: str) -> Any:
    return json.loads(typed(shell, project, f"{command} --json"))


def exported(project: Path) -> dict[str, bytes]:
    folder = project / "workspaces" / "social" / "exports" / "social_mapping"
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def outputs(project: Path) -> dict[tuple[str, str], str | None]:
    """Digest of what each step made, by step and entry."""
    dataset = Dataset.open(project / "workspaces" / "social")
    heads = [*dataset.registry.heads("mapping"), *dataset.registry.heads("")]
    return {(head.step, head.key): head.output_sha256 for head in heads}


def test_everything_is_up_to_date_after_a_run(run_by_mosaic: Path, shell: Shell) -> None:
    """The command that people type most must do all of it, from raw files to pictures."""
    told = asked(shell, run_by_mosaic, "mosaic status mapping --dataset social")
    assert {row["step"]: row["state"] for row in told["steps"] if row["state"] != "fresh"} == {}
    assert told["sources"]["refused"] == {}
    again = typed(shell, run_by_mosaic, "mosaic run mapping --dataset social")
    assert "nothing was computed" in again.lower() or "up to date" in again.lower(), again


def test_dagster_makes_the_same(run_by_mosaic: Path, tmp_path: Path, shell: Shell) -> None:
    """A job that is started from Dagster, and another way of sharing the work, must not give other
    numbers: then nobody could tell which of them a figure shows."""
    project = small_project(tmp_path / "by_dagster")
    execute = "dagster job execute -d . -m assets.definitions"
    typed(shell, project, f"{execute} -j refresh")
    assert outputs(project) == outputs(run_by_mosaic)
    assert {name: len(data) for name, data in exported(project).items()} == {
        name: len(data) for name, data in exported(run_by_mosaic).items()
    }
    # The job of the pipeline alone, over all recordings, as the user interface starts it.
    ends = {RANGE_START_TAG: "session1/pair1", RANGE_END_TAG: f"session2/pair{NEVER_SEEN}"}
    before = outputs(project)
    typed(shell, project, f"{execute} -j social_mapping --tags '{json.dumps(ends)}'")
    assert outputs(project) == before


def test_results_are_shown_and_explained(run_by_mosaic: Path, shell: Shell) -> None:
    """Whoever doubts a prediction looks at its rows, its labels, and what it was made from."""
    shown = asked(shell, run_by_mosaic, "mosaic show clf --dataset social --entry session1/pair1")
    assert shown["rows"] == 2 * scripted_pair.N_FRAMES
    assert {"predicted_label", "prob_0", "prob_1", "prob_2", "id1", "id2"} <= set(shown["columns"])
    labels = asked(
        shell, run_by_mosaic, "mosaic show labels/behavior --dataset social --entry session1/pair1"
    )
    assert labels["rows"] == scripted_pair.N_FRAMES
    why = typed(shell, run_by_mosaic, "mosaic why clf --dataset social --entry session1/pair1")
    assert "stack" in why


def test_the_trained_chain_predicts_a_recording_it_never_saw(
    run_by_mosaic: Path, shell: Shell
) -> None:
    """This is what one trains for; the rows come from the same pipeline, as a file of its store."""
    top = asked(shell, run_by_mosaic, "mosaic models top --dataset social")
    assert {row["metric"] for row in top} == {"f1_macro"}
    assert min(row["val_score"] for row in top) > 0.6  # learned from two recordings each
    entry = f"session2/pair{NEVER_SEEN}"
    stack = asked(shell, run_by_mosaic, f"mosaic show stack --dataset social --entry {entry}")
    sha256 = stack["sha256"]
    table = f"workspaces/social/artifacts/{sha256[:2]}/{sha256}.parquet"
    chain = top[0]["chain_id"]
    typed(
        shell, run_by_mosaic,
        f"mosaic models replay {chain} {table} --dataset social --output replayed.csv",
    )  # fmt: skip
    replayed = pl.read_csv(run_by_mosaic / "replayed.csv")
    truth = scripted_pair.scripted_recording(NEVER_SEEN)["annotations"]
    frames = pl.read_parquet(run_by_mosaic / table)["frame"]
    assert replayed.height == len(frames)
    known = [truth[frame] for frame in frames]
    assert f1_score(known, replayed["prediction"].round(), average="macro") > 0.8
