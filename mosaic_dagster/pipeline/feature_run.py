"""Run one feature on a dataset, without declaring a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.features import Feature, Params
from mosaic_dagster.pipeline.engine import Backend
from mosaic_dagster.pipeline.pipeline import Pipeline
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.pipeline.steps import FeatureStep, Step

SINGLE = "single"
"""Pipeline under which features that are run alone are recorded."""


def run_feature(
    dataset: Dataset,
    feature: type[Feature[Any]] | str,
    params: Mapping[str, Any] | Params | None = None,
    *,
    after: Sequence[Step] = (),
    inputs: Sequence[str] = (),
    name: str | None = None,
    scope: Scope | None = None,
    engine: Backend = "sequential",
    workers: int | None = None,
    run_kwargs: Mapping[str, Any] | None = None,
) -> StepResult:
    """Run one feature over the entries of a dataset and give its result.

    What is up to date is looked up; equal work of any pipeline is found again, since results
    are known by what they were made from.

    Parameters
    ----------
    dataset
        The dataset.
    feature
        A feature class or its name.
    params
        Its parameters; a :class:`~mosaic_dagster.features.StepRef` refers to a step in ``after``.
    after
        Steps that it needs, if it reads more than the tracks.
    inputs
        Names of the steps it reads; empty means the tracks.
    name
        Name of the step; by default the feature's, with underscores.
    scope, engine, workers, run_kwargs
        As for a pipeline.

    Raises
    ------
    RunFailedError
        Something failed; everything good is stored.
    """
    cls_name = feature if isinstance(feature, str) else feature.name
    step_name = name or cls_name.replace("-", "_")
    step = FeatureStep(step_name, feature, params, inputs, run_kwargs or {})
    pipeline = Pipeline.of(SINGLE, [*after, step], scope=scope)
    return pipeline.run(dataset, engine=engine, workers=workers)[step_name]
