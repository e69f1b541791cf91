"""The columns that describe a pair as its focal animal sees it."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.egocentric import Pose, mean_direction, motion, relation
from mosaic_dagster.features.kernels.pairing import PairRows
from mosaic_dagster.features.kernels.smoothing import moving_mean
from mosaic_dagster.features.library.interpolated import CleanRows
from mosaic_dagster.features.library.pairs._pair_table import match_rows, pair_table
from mosaic_dagster.features.library.rows import need_fps
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import DatasetFacts, SamplingConfig

_MOTION = ("speed", "v_para", "v_perp", "ang_speed")
_RELATION = {
    "AB_dist": "dist",
    "AB_dx_egoA": "dx_ego",
    "AB_dy_egoA": "dy_ego",
    "rel_heading_cos": "heading_cos",
    "rel_heading_sin": "heading_sin",
}
_FOCAL = (*_MOTION, "heading_cos", "heading_sin")

EGO_COLUMNS = (
    *(f"A_{name}" for name in _FOCAL),
    *_RELATION,
    *(f"B_{name}" for name in _MOTION),
)
"""Value columns of the egocentric pair features, in their order."""


def sampling_of(sampling: SamplingConfig, facts: DatasetFacts) -> SamplingConfig:
    """The configuration with the frame rate of the dataset where it has none itself."""
    if sampling.fps_default is not None or facts.fps is None:
        return sampling
    return sampling.model_copy(update={"fps_default": facts.fps})


def ego_table(
    table: pl.DataFrame, clean: CleanRows, pose: Pose, sampling: SamplingConfig, feature: str
) -> FeatureTable:
    """Both perspectives of every pair.

    Parameters
    ----------
    table, clean
        The tracks, and their rows that are kept.
    pose
        Centre and heading of each kept row.
    sampling
        Smoothing before rates are taken, and the frame rate for tables that do not say it.
    feature
        Name of the feature, for messages.
    """
    pairs = match_rows(clean)
    fps = need_fps(table, sampling.fps_default, feature) if pairs.n_pairs else 1.0
    first = _take(pose, pairs.first, pairs, sampling.smooth_win)
    second = _take(pose, pairs.second, pairs, sampling.smooth_win)
    moves = motion(first, pairs.begins, fps), motion(second, pairs.begins, fps)
    seen = relation(first, second)
    values = {f"A_{name}": (moves[0][name], moves[1][name]) for name in _FOCAL}
    values |= {column: (seen[0][name], seen[1][name]) for column, name in _RELATION.items()}
    values |= {f"B_{name}": (moves[1][name], moves[0][name]) for name in _MOTION}
    notes = {**clean.notes, "n_pairs": pairs.n_pairs}
    return FeatureTable(pair_table(table, clean, pairs, values), notes)


def _take(pose: Pose, rows: IntArray, pairs: PairRows, window: int) -> Pose:
    """The poses of one side of the pairs, smoothed inside each run."""
    taken = [part[rows] for part in (pose.x, pose.y, pose.cos, pose.sin)]
    if window <= 1:
        return Pose(*taken)
    x, y, cos, sin = (_smooth(part, pairs, window) for part in taken)
    return Pose(x, y, *mean_direction(cos, sin))


def _smooth(values: FloatArray, pairs: PairRows, window: int) -> FloatArray:
    parts = [np.empty(0), *(moving_mean(values[run], window) for run in pairs.runs)]
    return np.concatenate(parts)
