"""A small lab: four recordings, clusters, a map, a classifier's scores and a picture."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier

from mosaic_dagster import CallbackStep, Dataset, EntryKey, FeatureStep, Pipeline, TrainingStep
from mosaic_dagster.errors import RunFailedError
from mosaic_dagster.features import Feature, Params
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.store import StepOutput, TrainedChain

FRAMES = 8
KEYS = (("a", "one"), ("a", "two"), ("b", "three"), ("b", "four"))
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
BROKEN: set[str] = set()
"""Sequences that the step ``kinds`` fails for."""


class KindsParams(Params):
    parts: int = 2


class Kinds(Feature[KindsParams]):
    """Cluster of each frame: the frame modulo ``parts``."""

    name = "report-kinds"
    version = "1"
    Params = KindsParams

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return values_schema(schema, {"cluster": pl.Int32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        if str(table["sequence"][0]) in BROKEN:
            msg = "no <b>legs</b> & no head"
            raise ArithmeticError(msg)
        return with_values(table, {"cluster": (table["frame"] % self.params.parts).cast(pl.Int32)})


class Place(Feature[Params]):
    """A map: where the animal is, as it is."""

    name = "report-place"
    version = "1"
    category = "global"
    fits = "stream"

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return values_schema(schema, {"spot_x": pl.Float64(), "spot_y": pl.Float64()})

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        return folder is not None

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        pass

    def finalize(self) -> None:
        pass

    def save_state(self, folder: Path) -> None:
        (folder / "state.json").write_text("{}")

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return with_values(table, {"spot_x": table["X"], "spot_y": table["Y"]})


def draw(dataset: Dataset, results: Mapping[str, Any]) -> StepOutput:
    """A pixel and a table."""
    del dataset, results
    return StepOutput(outputs=[(PIXEL, "a_dot", "png"), ("a,b\n1,2\n", "numbers", "csv")])


def train(dataset: Dataset, results: Mapping[str, Any]) -> StepOutput:
    """Two folds of four rows; of the eight, six are right: class 0 3 of 4, class 1 3 of 4."""
    del dataset, results
    folds = [([0, 0, 1, 1], [0, 0, 1, 0], 0.7), ([0, 0, 1, 1], [0, 1, 1, 1], 0.9)]
    predictions = [
        {"fold_id": f"fold_{i}", "partition": "val", "val_score": score, "metric": "f1_macro",
         "task_type": "classification", "n_samples": 4, "n_features": 1,
         "arrays": {"y_true": np.array(truth, float), "y_pred": np.array(said, float)}}
        for i, (truth, said, score) in enumerate(folds)
    ]  # fmt: skip
    model = DummyClassifier().fit([[0.0], [1.0]], [0, 1])
    chain = TrainedChain(
        steps=[{"step_idx": 0, "operator_class": "DummyClassifier", "params": {},
                "artifact_id": None, "stateless": False, "role": "model"}],
        model_step_idx=0,
        model_class="DummyClassifier",
        fold_artifacts={"fold_0": "model", "fold_1": "model"},
        name="guess",
        predictions=predictions,
    )  # fmt: skip
    return StepOutput(artifacts={"model": model}, chains=[chain])


def tracks(start: float) -> pl.DataFrame:
    """One animal that goes along X by 1 in each of eight frames."""
    frames = list(range(FRAMES))
    columns = {"frame": frames, "id": [0] * FRAMES, "X": [start + f for f in frames], "Y": 1.0}
    return pl.DataFrame(columns, schema_overrides={"X": pl.Float64, "Y": pl.Float64})


def new_lab(path: Path, keys: Sequence[tuple[str, str]]) -> Dataset:
    made = Dataset.create(path, "lab", fps=10.0, unit="mm")
    with made.registry.session():
        for number, key in enumerate(keys):
            made.add_tracks(EntryKey(*key), tracks(10.0 * number))
    return made


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    """A dataset with a recording for each (group, sequence)."""
    return lambda *keys: new_lab(tmp_path / "lab", keys)


@pytest.fixture
def lab(make: Callable[..., Dataset]) -> Dataset:
    """Four recordings in two groups: 32 rows of tracks."""
    return make(*KEYS)


def declared() -> Pipeline:
    return (
        Pipeline(name="walks", description="How they walk.")
        .add(FeatureStep("kinds", Kinds, {"parts": 2}))
        .add(FeatureStep("spots", Place))
        .add(FeatureStep("bouts", "cluster-summary", {}, ["kinds"]))
        .add(CallbackStep("pictures", draw, ["kinds"]))
        .add(TrainingStep("models", train, ["kinds"]))
    )


@pytest.fixture
def pipeline() -> Pipeline:
    return declared()


@pytest.fixture
def run() -> Callable[[Pipeline, Dataset], None]:
    """Makes what can be made."""

    def run_it(pipeline: Pipeline, dataset: Dataset) -> None:
        try:
            pipeline.run(dataset, engine="sequential")
        except RunFailedError:
            assert BROKEN

    return run_it


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The lab with everything made; not to be changed."""
    dataset = new_lab(tmp_path_factory.mktemp("made") / "lab", KEYS)
    declared().run(dataset, engine="sequential")
    return dataset


@pytest.fixture
def changing(made: Dataset, tmp_path: Path) -> Dataset:
    """The same, to be changed."""
    return Dataset.open(shutil.copytree(made.path, tmp_path / "changing"))


@pytest.fixture
def broken() -> Any:
    """Sequences that a step fails for; none again at the end."""
    yield BROKEN
    BROKEN.clear()
