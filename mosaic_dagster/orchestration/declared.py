"""What assets say of themselves before anything is made: description, kinds, tags, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.manifest import Manifest
from mosaic_dagster.dataset.tracks_schema import TYPES, column_order
from mosaic_dagster.features.inputs import join_inputs
from mosaic_dagster.orchestration.column_words import Recordings, told_schema
from mosaic_dagster.orchestration.descriptions import (
    asset_tags,
    callback_description,
    declared_parameters,
    labels_description,
    model_description,
    predictions_description,
    report_description,
    step_description,
    tracks_description,
)
from mosaic_dagster.pipeline import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.pipeline.binding import BoundPipeline, BoundStep
from mosaic_dagster.pipeline.graph import StepGraph
from mosaic_dagster.pipeline.steps import TRACKS

_TABLE = frozenset({"polars", "parquet"})
_SCALES = "global"
"""Category of features that may keep the name of a column and change its unit."""


@dataclass(frozen=True)
class Declared:
    """What an asset says of itself.

    Attributes
    ----------
    description
        Markdown.
    kinds
        Icons.
    tags, metadata
        By what it is found, and what is declared of it.
    """

    description: str
    kinds: frozenset[str]
    tags: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def declared_tracks(study: Study) -> Declared:
    """What the tracks say of themselves."""
    declared = study.dataset
    schema = _tracks_schema(study)
    shown = {} if schema is None else {"dagster/column_schema": told_schema(schema, _of(study))}
    facts = {"fps": declared.fps, "unit": declared.unit}
    return Declared(
        tracks_description(study), _TABLE, asset_tags(declared.name, what="tracks"),
        {name: value for name, value in facts.items() if value is not None} | shown,
    )  # fmt: skip


def declared_labels(study: Study, kind: str) -> Declared:
    """What the labels of a kind say of themselves."""
    tags = asset_tags(study.dataset.name, what="labels", labels=_tag(kind))
    return Declared(labels_description(study, kind), _TABLE, tags, {"kind of labels": kind})


def declared_step(study: Study, pipeline: Pipeline, step: FeatureStep) -> Declared:
    """What the entries of a step say of themselves."""
    schema = table_schemas(study, pipeline).get(step.name)
    of = _of(study) if measures(pipeline.graph(), step.name) else None
    shown = {} if schema is None else {"dagster/column_schema": told_schema(schema, of)}
    tags = _step_tags(study, pipeline, step, "step")
    return Declared(step_description(step), _TABLE, tags, _of_feature(step) | shown)


def declared_model(study: Study, pipeline: Pipeline, step: FeatureStep) -> Declared:
    """What the fitted state of a step says of itself."""
    kinds = frozenset({"scikitlearn" if step.feature_cls.fits == "templates" else "polars"})
    tags = _step_tags(study, pipeline, step, "model")
    return Declared(model_description(step), kinds, tags, _of_feature(step))


def declared_callback(study: Study, pipeline: Pipeline, step: CallbackStep) -> Declared:
    """What a callback, or the models of a training step, say of themselves."""
    trains = isinstance(step, TrainingStep)
    what = "model" if trains else "callback"
    tags = asset_tags(study.dataset.name, pipeline.name, what=what, step=step.name)
    metadata: dict[str, Any] = {"function": f"{step.fn.__module__}.{step.fn.__qualname__}"}
    if step.params:
        metadata["parameters"] = dg.MetadataValue.json(dict(step.params))
    kinds = frozenset({"scikitlearn" if trains else "python"})
    return Declared(callback_description(step), kinds, tags, metadata)


def declared_predictions(study: Study, pipeline: Pipeline, step: TrainingStep) -> Declared:
    """What the predictions of a training step say of themselves."""
    tags = asset_tags(study.dataset.name, pipeline.name, what="predictions", step=step.name)
    return Declared(predictions_description(step), frozenset({"parquet"}), tags)


def declared_report(study: Study, pipeline: Pipeline) -> Declared:
    """What the report of a pipeline says of itself."""
    tags = asset_tags(study.dataset.name, pipeline.name, what="report")
    return Declared(report_description(pipeline), frozenset({"report"}), tags)


def measures(graph: StepGraph, step: str) -> bool:
    """Whether the columns of a step still have the units that they were measured in."""
    above = [graph.steps[name] for name in graph.above([step]) if name in graph.steps]
    return not any(isinstance(s, FeatureStep) and s.feature_cls.category == _SCALES for s in above)


def table_schemas(study: Study, pipeline: Pipeline) -> dict[str, pl.Schema]:
    """Columns of each step's tables, where they can be known from what is declared.

    What files bring beside positions (headings, confidences) is not among them.
    """
    tracks = _tracks_schema(study)
    if tracks is None:
        return {}
    found = {TRACKS: tracks}
    try:
        manifest = Manifest.new(name=study.dataset.name).updated_by(study.dataset)
        steps = BoundPipeline(
            pipeline.name, pipeline.graph(),
            cast("Dataset", SimpleNamespace(manifest=manifest)), (), None, {},
        ).steps  # fmt: skip
    except Exception:  # noqa: BLE001 - what is wrong with a declaration is told where it is run
        return {}
    for name, step in steps.items():
        schema = None if step.is_callback else _output_schema(step, found)
        if schema is not None:
            found[name] = schema
    return found


def _output_schema(step: BoundStep, known: Mapping[str, pl.Schema]) -> pl.Schema | None:
    try:
        tables = [pl.DataFrame(schema=known[name]) for name in step.inputs]
        joined = join_inputs(tables, step.inputs, step.options.join_on)
        feature = step.feature_cls(step.checked_inputs, step.params)
        feature.check_columns(joined.schema)
        return feature.output_schema(joined.schema)
    except Exception:  # noqa: BLE001 - a feature may need what only the files have
        return None


def _tracks_schema(study: Study) -> pl.Schema | None:
    count = len(study.dataset.keypoints)
    if not count:
        return None
    pose = {f"pose{axis}{k}": pl.Float64 for k in range(count) for axis in "XY"}
    types = {name: dtype for name, dtype in TYPES.items() if name != "ANGLE"} | pose
    return pl.Schema({name: types[name] for name in column_order(types)})


def _of(study: Study) -> Recordings:
    return Recordings(study.dataset.unit, study.dataset.keypoints)


def _of_feature(step: FeatureStep) -> dict[str, Any]:
    feature = step.feature_cls
    metadata: dict[str, Any] = {
        "feature": feature.name,
        "feature version": feature.version,
        "parameters": dg.MetadataValue.json(declared_parameters(step)),
    }
    if step.run_kwargs:
        metadata["run_kwargs"] = dg.MetadataValue.json(dict(step.run_kwargs))
    return metadata


def _step_tags(study: Study, pipeline: Pipeline, step: FeatureStep, what: str) -> Mapping[str, str]:
    return asset_tags(
        study.dataset.name, pipeline.name, what=what, step=step.name,
        feature=step.feature_cls.name, category=step.feature_cls.category,
    )  # fmt: skip


def _tag(text: str) -> str:
    """A text as a tag of Dagster may be."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)[:63]
