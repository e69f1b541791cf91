"""Predicting with a classifier beside scikit-learn, and tags beside pandas; fits not timed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl

from benchmarks.features.case import Case, Columns
from mosaic_dagster.dataset.labels import IdTags, encode_labels
from mosaic_dagster.features import StepRef
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table

_DEFAULT = 2
_TAGS = {i: {"focal": i % 2 == 0, "group_size": 2 + i, "mass": 0.5 * i} for i in range(40)}

_FITTED: dict[str, Any] = {}
"""What a script would have kept in a variable since its fit."""


def body_shape(tracks: pl.DataFrame) -> pl.DataFrame:
    """Keypoints relative to the centre, beside the key columns."""
    names = [name for name in tracks.columns if name.startswith(("poseX", "poseY"))]
    keys = [c for c in ("frame", "time", "id", "fps", "group", "sequence") if c in tracks.columns]
    return tracks.select(*keys, *(pl.col(name) - pl.col(name[4]) for name in names))


def fit_classifier(feature: Any, table: pl.DataFrame) -> None:
    """Fit on 1,500 rows of three classes."""
    values = table.select(pl.selectors.starts_with("pose")).drop_nulls().drop_nans()
    values = values.gather_every(max(1, values.height // 1500))
    label = pl.sum_horizontal(pl.nth(0, 3) > pl.nth(0, 3).median()).cast(pl.Int64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "templates.parquet")
        path.write_bytes(encode_table(values.with_columns(label=label)))
        feature.load_state(None, {"templates": path}, {})
        feature.fit(None)
    _FITTED[feature.params.estimator] = feature.trained


def trees(table: pl.DataFrame) -> Columns:
    """Rows without any value are the default class."""
    fitted = _FITTED["hist_gradient_boosting"]
    frame = table.select(fitted.columns).to_pandas()
    return _predicted(fitted, frame, frame.notna().any(axis=1))


def forest(table: pl.DataFrame) -> Columns:
    """Rows with a missing value are the default class."""
    fitted = _FITTED["random_forest"]
    frame = table.select(fitted.columns).to_pandas()
    return _predicted(fitted, frame, frame.notna().all(axis=1))


def _predicted(fitted: Any, frame: pd.DataFrame, usable: pd.Series) -> Columns:
    probabilities = np.full((len(frame), len(fitted.classes)), np.nan)
    probabilities[usable] = fitted.estimators[0].predict_proba(frame[usable].to_numpy())
    label = np.full(len(frame), _DEFAULT)
    label[usable] = fitted.classes[probabilities[usable].argmax(axis=1)]
    named = {f"prob_{c}": probabilities[:, i] for i, c in enumerate(fitted.classes)}
    return named | {"predicted_label": label}


def take_tags(feature: Any, table: pl.DataFrame) -> None:
    """Tags of 40 individuals, in a file."""
    key = EntryKey(table["group"][0], table["sequence"][0])
    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
        file.write(encode_labels(IdTags.from_mapping(_TAGS), key))
    feature.load_state(None, {}, {"labels": {key: Path(file.name)}})
    _FITTED["tags"] = file.name


def tags(table: pl.DataFrame) -> Columns:
    known = pd.read_parquet(_FITTED["tags"]).set_index("id")
    ids = table["id"].to_pandas().astype(str)
    found = known[["focal", "group_size", "mass"]].reindex(ids)
    return {name: found[name].to_numpy(dtype=np.float64) for name in found.columns}


def _classifier(reference: Any, **params: Any) -> Case:
    given = {"templates": StepRef("t", "templates.parquet"), "default_class": _DEFAULT, **params}
    # Nearly all of the time is scikit-learn's on both sides, so the ratio is 1 but for noise.
    ready = fit_classifier
    return Case("classifier", reference, given, prepare=body_shape, ready=ready, speedup=0.9)


CASES: tuple[Case, ...] = (
    _classifier(trees, estimator="hist_gradient_boosting"),
    _classifier(forest, estimator="random_forest", n_estimators=30),
    Case("id-tag-columns", tags, ready=take_tags),
)
