"""Names of assets, groups and jobs; everything begins with the name of the dataset."""

from __future__ import annotations

import dagster as dg

from mosaic_dagster.pipeline.steps import NO_PIPELINE, TRACKS, is_ingested


def tracks_key(dataset: str) -> dg.AssetKey:
    """The tracks of a dataset."""
    return ingested_key(dataset, TRACKS)


def ingested_key(dataset: str, name: str) -> dg.AssetKey:
    """What is read from files: ``tracks``, or ``labels/<kind>``."""
    return dg.AssetKey([dataset, *name.split("/")])


def step_of(asset: dg.AssetKey) -> tuple[str, str]:
    """Pipeline and step that an asset shows; the pipeline of tracks and labels is empty."""
    parts = asset.path
    name = "/".join(parts[1:])
    return (NO_PIPELINE, name) if is_ingested(name) else (parts[1], parts[2])


def step_key(dataset: str, pipeline: str, step: str) -> dg.AssetKey:
    """The entries of a step, or a callback."""
    return dg.AssetKey([dataset, pipeline, step])


def model_key(dataset: str, pipeline: str, step: str) -> dg.AssetKey:
    """The fitted state of a step."""
    return dg.AssetKey([dataset, pipeline, step, "model"])


def report_key(dataset: str, pipeline: str) -> dg.AssetKey:
    """The report of a pipeline."""
    return dg.AssetKey([dataset, pipeline, "report"])


def group_name(dataset: str, pipeline: str = "") -> str:
    """Group under which the UI shows the assets of a pipeline, or of the dataset itself."""
    return f"{dataset}_{pipeline}" if pipeline else dataset


def job_name(dataset: str, pipeline: str = "") -> str:
    """Job over a dataset, or over one pipeline of it."""
    return group_name(dataset, pipeline)
