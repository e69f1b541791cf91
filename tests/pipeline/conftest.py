"""Toy features and datasets (``toy.py``), and what most tests of pipelines begin with."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from mosaic_dagster import Dataset, FeatureStep, Pipeline
from mosaic_dagster.pipeline import DatasetRun

TOY = Path(__file__).with_name("toy.py")
TRAINER = Path(__file__).with_name("trainer.py")


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    # Worker processes cannot import it by its name.
    cloudpickle.register_pickle_by_value(module)
    return module


_toy = _load(TOY, "mosaic_toy_pipeline")
_trainer = _load(TRAINER, "mosaic_toy_trainer")


@pytest.fixture
def toy() -> Any:
    return _toy


@pytest.fixture
def trainer() -> Any:
    """The module of a training step that writes down its calls; whole again at the end."""
    _trainer.CALLS.clear()
    _trainer.BROKEN.clear()
    return _trainer


@pytest.fixture
def toy_path() -> Path:
    return TOY


@pytest.fixture
def log(tmp_path: Path) -> Any:
    return _toy.Log(tmp_path / "log.txt")


@pytest.fixture
def added(tmp_path: Path) -> Dataset:
    """Three entries of four frames, X from 0, 10 and 20 on."""
    return _toy.added(tmp_path / "workspace", {"s1": 0.0, "s2": 10.0, "s3": 20.0})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Dataset, Path]:
    """The same three entries as csv files, and their folder."""
    return _toy.from_files(tmp_path, {"s1": 0.0, "s2": 10.0, "s3": 20.0})


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs a pipeline in this process."""

    def run_it(pipeline: Pipeline, dataset: Dataset, **options: Any) -> Any:
        return pipeline.run(dataset, **{"engine": "sequential", **options})

    return run_it


@pytest.fixture
def states() -> Callable[..., dict[str, str]]:
    """State and reason of each entry of a step, by sequence; the fit under ``""``."""

    def look(dataset: Dataset, pipeline: Pipeline, step: str) -> dict[str, str]:
        looked = DatasetRun(dataset, [pipeline])
        if step == "tracks":
            units = looked.tracks.statuses
        else:
            units = looked.evaluations[pipeline.name].units(step)
        return {
            key.rpartition("/")[2]: f"{status.state} {status.reason}".strip()
            for key, status in units.items()
        }

    return look


@pytest.fixture
def keys() -> Callable[..., dict[str, str | None]]:
    """Action key of everything a pipeline makes, by ``step/sequence``; the fit is ``step/``."""

    def look(dataset: Dataset, pipeline: Pipeline) -> dict[str, str | None]:
        evaluation = DatasetRun(dataset, [pipeline]).evaluations[pipeline.name]
        return {
            f"{step}/{key.rpartition('/')[2]}": status.action_key
            for step in evaluation.bound.steps
            for key, status in evaluation.units(step).items()
        }

    return look


@pytest.fixture
def layered(log: Any) -> Callable[..., Pipeline]:
    """shift -> mean (fitted on entries) -> scaled (fitted on mean's file), and a side branch."""

    def build(**params: dict[str, Any]) -> Pipeline:
        def given(step: str) -> dict[str, Any]:
            return {"log": str(log), **params.get(step, {})}

        return (
            Pipeline(name="layered")
            .add(FeatureStep("shift", _toy.Shift, given("shift")))
            .add(FeatureStep("mean", _toy.Mean, given("mean"), ["shift"]))
            .add(FeatureStep("scaled", _toy.Scaled, given("scaled"), ["mean"]))
            .add(FeatureStep("side", _toy.Whole, given("side")))
        )

    return build
