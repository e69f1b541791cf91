"""Larvae, their labels, and what is made of both."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mosaic_dagster import CallbackStep, Dataset, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.features import StepRef
from mosaic_dagster.store import StepOutput

CHOICES = json.loads((Path(__file__).parent / "choices.json").read_text())


def cover(dataset: Dataset, results: Mapping[str, Any], rule: str) -> StepOutput:
    """How much of a recording somebody has labelled; slow where the lab wants it so."""
    pause = Path("pause")
    if pause.exists():
        time.sleep(float(pause.read_text()))
    ((key, table),) = results["kinematics"].tables()
    labelled = len(list(results["labels/behavior"].tables()))
    with Path("covered").open("a") as log:
        log.write(f"{key}\n")
    return StepOutput(metadata={"rows": table.height, "labelled": labelled, "rule": rule})


DATASET = DatasetDeclaration(
    name="larvae",
    fps=16.0,
    unit="mm",
    keypoints=("head", "neck", "mid", "hind", "tail"),
    sources=(
        SourceRule(path="recordings", format="keypoint_csv", params=CHOICES["reader"]),
        SourceRule(path="scored", format="boris_aggregated", labels="behavior"),
    ),
)
WEEK = (
    Pipeline(name="week")
    .add(FeatureStep("smooth", "trajectory-smooth", {"savgol_window": 5}))
    .add(FeatureStep("kinematics", "speed-angvel", {}, ["smooth"]))
    .add(FeatureStep("templates", "extract-templates", {"n_templates": 100_000}, ["kinematics"]))
    .add(FeatureStep("scaled", "global-scaler",
                     {"templates": StepRef("templates", "templates.parquet")}, ["kinematics"]))
    .add(FeatureStep("clusters", "global-kmeans",
                     {"templates": StepRef("scaled", "scaled_templates.parquet"),
                      "k": CHOICES["k"]}, ["scaled"]))
    .add(CallbackStep("coverage", cover, ["kinematics", "labels/behavior"], per_entry=True,
                      params={"rule": CHOICES["coverage"]}))
)  # fmt: skip
STUDIES = (Study(DATASET, [WEEK]),)
