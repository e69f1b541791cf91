"""The pipeline for pairs of animals on a real recording: an adult and a juvenile mouse.

One recording of 190 s has both keypoints and labels. It is cut into blocks that are recordings of
their own, so that a classifier is never tried on the neighbours of frames it learned from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.social import LABELS, map_behavior
from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline, TrainingStep
from mosaic_dagster.dataset import Labels, read_labels, read_tracks
from mosaic_dagster.features import GroundTruthLabelsSource, StepRef
from mosaic_dagster.models.behavior_classifier import train_behavior_classifier
from mosaic_dagster.pipeline import DatasetRun, Engine, load_values
from mosaic_dagster.pipeline.execute import draw

ROOT = Path(__file__).resolve().parents[2]
MICE = ROOT.parent / "shared" / "data" / "from_fetch" / "mice_pair_dlc_boris"
RECORDING = "e3v813a-20210610T122332-122642"
KEYPOINTS = ("nose", "leftear", "rightear", "neck", "lefthip", "righthip", "tail")
BLOCK = 950
N_BLOCKS = 6
SCORED = {"subjects": {"adult": [0, 1]}, "label_background": True}
"""The scored subject is the adult, and what it does it does to the juvenile."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MICE.is_dir(), reason=f"{MICE} is not here"),
]


def mapping() -> Pipeline:
    """The declared steps, and a classifier that also sees places, which wavelets do not keep."""
    window = {"half": 2, "skip": 1, "sigma_stack": 2, "add_pool": False}
    places = {
        "features": "places", "n_folds": 3, "n_estimators": 10, "max_depth": 3,
        "default_class": 0, "max_train_rows": 4000, "prefix": "places_",
    }  # fmt: skip
    return (
        map_behavior(
            "mapping", default_class=0, k=(10,), cuts=(10,), n_templates=300, per_class=150,
            perplexity=20.0, n_folds=3,
        )
        .add(FeatureStep("places", "temporal-stack", window, ["pose", "ego"]))
        .add(TrainingStep("behavior_of_places", train_behavior_classifier, ["places", LABELS],
                          params=places))
    )  # fmt: skip


def blocks() -> Iterator[tuple[EntryKey, pl.DataFrame, Labels]]:
    """Tracks and labels of each block, frames counted from its beginning."""
    (tracks,) = read_tracks(MICE / "dlc", format="deeplabcut", fps=30.0).values()
    file = MICE / "boris" / f"{RECORDING}_reencode.csv"
    (labels,) = read_labels(file, format="boris_events", **SCORED).values()
    assert isinstance(labels, Labels)
    for number in range(N_BLOCKS):
        start = number * BLOCK
        within = pl.col("frame").is_between(start, start + BLOCK, closed="left")
        moved = pl.col("frame") - start
        cut = tracks.filter(within).with_columns(moved, pl.col("time") - start / 30.0)
        events = labels.events.filter(within).with_columns(moved)
        yield EntryKey("", f"block{number}"), cut, Labels(events, labels.names, 30.0)


@pytest.fixture(scope="module")
def mice(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The blocks after the first run; not to be changed."""
    folder = tmp_path_factory.mktemp("mice")
    dataset = Dataset.create(folder, "mice", fps=30.0, unit="px", keypoints=KEYPOINTS)
    for key, tracks, labels in blocks():
        dataset.add_tracks(key, tracks.drop("group", "sequence"))
        dataset.add_labels(key, labels)
    mapping().run(dataset, engine="sequential")
    return dataset


def held_out(dataset: Dataset, prefix: str) -> dict[str, Any]:
    path = dataset.exports / "mice_mapping" / f"{prefix}metrics.json"
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_the_labels_are_those_that_people_gave(mice: Dataset) -> None:
    """662 of the 5700 frames are interaction: each of the ten bouts from the first frame at or
    after its start up to the frame before its end. Lost or doubled frames would be learned."""
    found = [mice.labels(key) for key in mice.entries()]
    assert all(isinstance(labels, Labels) for labels in found)
    events = pl.concat(labels.events for labels in found if isinstance(labels, Labels))
    assert (events.height, int((events["label"] == 1).sum())) == (N_BLOCKS * BLOCK, 662)


def test_both_sides_of_the_pair_are_mapped_and_predicted(mice: Dataset) -> None:
    """Frames that vanish from a real recording are missed only when a paper counts them."""
    sources = [
        StepRef("tsne", column="tsne_x"),
        StepRef("kmeans_10", column="cluster"),
        StepRef("clf", column="predicted_label"),
        GroundTruthLabelsSource(),
    ]
    table = load_values(mice, sources, mapping())
    assert table.height == N_BLOCKS * BLOCK * 2
    assert table.select("sequence", "frame", "id1", "id2").is_unique().all()
    assert table.null_count().row(0) == (0,) * table.width


@pytest.mark.parametrize(("prefix", "least"), [("", 0.0), ("places_", 0.15)])
def test_held_out_blocks_are_predicted_better_than_by_the_most_frequent_class(
    mice: Dataset, prefix: str, least: float
) -> None:
    """Whoever learned nothing says `none` everywhere: of 5700 frames 5038 are, so that its F1 is
    2 · 5038 / (5700 + 5038) = 0.938, that of `interact` 0, and their mean 0.469.

    Wavelets tell rhythms, not how near the mice are, and beat that by little; with their places
    and distances it must be by far, or labels and tracks do not belong together.
    """
    told = held_out(mice, prefix)
    print(prefix, {name: told[name] for name in ("accuracy", "f1_macro", "bout_f1_macro")})
    nothing = 2 * 5038 / (5700 + 5038) / 2
    assert told["f1_macro"] > nothing + least
    tested = [key for fold in told["folds"] for key in fold["test"]]
    assert sorted(tested) == [f"/block{number}" for number in range(N_BLOCKS)]


def test_a_second_run_computes_nothing(mice: Dataset) -> None:
    """The first run of a real project takes hours; the second must not."""
    report = draw(DatasetRun(mice, [mapping()], Engine("sequential")))
    assert {step.step: step.made for step in report if step.made} == {}
