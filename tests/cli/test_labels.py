"""Label files on the command line: ingested, refused with a reason, looked at and drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mosaic_dagster.dataset import EntryKey, Labels
from mosaic_dagster.dataset.labels import encode_labels

KNOWN = "dish01/larva_007"
PNG = b"\x89PNG"
KIND = ("--labels", "behavior")

TWO = """
from assets.larvae import LARVAE
from mosaic_dagster import FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration

SHORT = Pipeline(name="crawling").add(FeatureStep("smooth", "trajectory-smooth"))
STUDIES = (LARVAE, Study(DatasetDeclaration("flies", fps=30.0), [SHORT]))
"""


def write_labels(folder: Path, *keys: str) -> Path:
    """A file for each recording: frame 0 is rest, frames 1 and 2 are turns, one told twice."""
    folder.mkdir(parents=True, exist_ok=True)
    events = pl.DataFrame(
        {"frame": [0, 1, 2, 2], "id1": [-1] * 4, "id2": [-1] * 4, "label": [0, 1, 0, 1]}
    )
    labels = Labels(events, {0: "rest", 1: "turn"}, fps=16.0)
    for i, key in enumerate(keys):
        content = encode_labels(labels, EntryKey.parse(key))
        (folder / f"scored_{i}.parquet").write_bytes(content)
    return folder


def rules_of(project: Path) -> list[str]:
    manifest = yaml.safe_load((project / "workspaces/larvae/dataset.yaml").read_text())
    return [rule["path"] for rule in manifest["sources"] if not rule["declared"]]


@pytest.fixture
def two(new: Path, mosaic: Any) -> Path:
    """A project of two datasets with a pipeline of one name; flies has one recording, fly."""
    (new / "assets" / "__init__.py").write_text(TWO)
    header = "frame,head_x,head_y,tail_x,tail_y\n"
    folder = new / "recordings" / "flies"
    folder.mkdir()
    (folder / "fly.csv").write_text(header + "0,0,0,1,1\n1,0,1,1,2\n")
    mosaic(new, "ingest", str(folder), "--dataset", "flies")
    return new


def test_labels_of_no_recording_are_counted_and_the_status_says_so(new: Path, mosaic: Any) -> None:
    """One of two files names a recording: it is read, the other is told, nothing failed."""
    folder = write_labels(new / "scored", KNOWN, "dish01/larva_700")
    expected = {KNOWN: "would read", "dish01/larva_700": "not used"}
    dry = mosaic.json(new, "ingest", str(folder), *KIND, "--dry-run")
    assert {row["entry"]: row["state"] for row in dry} == expected
    text = mosaic(new, "ingest", str(folder), *KIND).stdout
    assert "1 read, 1 not used" in text
    assert "Did you mean 'dish01/larva_007'" in text


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--json",), ("--dry-run", "--json")])
def test_labels_of_which_none_can_be_used_fail(
    new: Path, mosaic: Any, options: tuple[str, ...]
) -> None:
    """A script would go on to train without a single label."""
    folder = write_labels(new / "scored", "elsewhere/larva_1", "elsewhere/larva_2")
    text = mosaic(new, "ingest", str(folder), *KIND, *options, code=1).stdout
    assert text.count("which is no recording") == 2
    assert "--json" in options or "2 not used" in text


def test_where_no_file_can_be_read_nothing_is_recorded(new: Path, mosaic: Any) -> None:
    """A rule that only ever fails would spoil each run from now on."""
    folder = new / "notes"
    folder.mkdir()
    (folder / "notes.csv").write_text("some,words\na,b\n")
    text = mosaic(new, "ingest", str(folder / "notes.csv"), code=1).stdout
    assert "nothing was recorded" in text
    (row,) = mosaic.json(new, "ingest", str(folder), "--format", "keypoint_csv", code=1)
    assert row["state"] in ("failed", "refused")
    assert rules_of(new) == []
    assert mosaic.json(new, "status")["sources"]["refused"] == {}


def test_another_name_for_the_same_files_tells_of_the_old(new: Path, mosaic: Any) -> None:
    """Recordings under two names would be counted twice; the old must be forgotten by hand."""
    folder = new / "recordings" / "more"
    folder.mkdir()
    points = ("head", "neck", "mid", "hind", "tail")
    text = "frame," + ",".join(f"{p}_x,{p}_y" for p in points) + "\n0" + ",1,2" * 5 + "\n"
    for name in ("a_cam", "b_cam"):
        (folder / f"{name}.csv").write_text(text)
    mosaic(new, "ingest", str(folder))
    told = mosaic(new, "ingest", str(folder), "--sequence", "^(.)_cam").stdout
    assert re.search(r"no longer names 2 known .* /a_cam, …; now called /a, /b\.", told)
    assert "`mosaic clean` forgets the old ones" in told


def test_labels_are_drawn_as_classes_over_frames(new: Path, mosaic: Any) -> None:
    """Four events in three frames: the later of two classes in frame 2 counts."""
    mosaic(new, "ingest", str(new / "recordings" / "larvae"))
    mosaic(new, "ingest", str(write_labels(new / "scored", KNOWN)), *KIND)
    shown = mosaic.json(new, "show", "labels/behavior", "--entry", KNOWN, "--plot", "auto")
    file = new / "workspaces/larvae/exports/show/labels_behavior_dish01_larva_007.png"
    assert shown["plot"] == str(file)
    assert file.read_bytes().startswith(PNG)
    none = mosaic(new, "show", "labels/behavior", "--entry", "dish01/larva_017", code=1)
    assert "has no 'labels/behavior'" in none.stderr


def test_the_dataset_that_alone_knows_is_meant(two: Path, mosaic: Any) -> None:
    """Both have tracks: an entry tells them apart; only the larvae have labels."""
    assert mosaic.json(two, "show", "tracks", "--entry", "fly")["rows"] == 2
    assert mosaic.json(two, "why", "tracks", "--entry", KNOWN)["state"] == "missing"
    folder = write_labels(two / "scored", KNOWN)
    mosaic(two, "ingest", str(folder), *KIND, "--dataset", "larvae")
    assert mosaic.json(two, "show", "labels/behavior", "--entry", KNOWN)["rows"] == 4
    for command in (["show", "tracks"], ["why", "tracks", "--entry", "nobody"]):
        assert "larvae, flies. Name one with --dataset" in mosaic(two, *command, code=2).stderr
    unknown = mosaic(two, "show", "labels/behaviour", "--entry", KNOWN, code=2).stderr
    assert "Did you mean 'behavior'" in unknown


def test_a_plan_covers_each_dataset_that_has_the_step(two: Path, mosaic: Any) -> None:
    """Both have crawling/smooth; only the larvae have a crawling/heading; fly is one of flies."""

    def datasets(*options: str) -> list[str]:
        rows = mosaic.json(two, "run", "--dry-run", *options)
        return sorted({row["dataset"] for row in rows})

    assert datasets("--step", "smooth") == ["flies", "larvae"]
    assert datasets("--force-from", "crawling/smooth") == ["flies", "larvae"]
    assert datasets("--step", "heading") == datasets("--force-from", "heading") == ["larvae"]
    assert datasets("--step", "smooth", "--entry", "fly") == ["flies"]
    assert "--dataset" in mosaic(two, "run", "--dry-run", "--group", "x", code=2).stderr


def test_labels_are_no_step_to_run(two: Path, mosaic: Any) -> None:
    mosaic(two, "ingest", str(write_labels(two / "scored", KNOWN)), *KIND, "--dataset", "larvae")
    for option in ("--step", "--force-from"):
        assert (
            "labels of kind behavior"
            in mosaic(two, "run", option, "labels/behavior", code=2).stderr
        )
        assert "The kinds are: behavior" in mosaic(two, "run", option, "labels/nope", code=2).stderr
