"""Bouts: unbroken stretches of one class of one individual or pair, and how well they were found.

A frame-wise score forgives a prediction that flickers; a score of bouts does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.models.metrics import ratio

_ROUNDING = 1e-12
"""Relative error of a product of floats, by which a bout of just ``min_iou`` must not fall."""


@dataclass(frozen=True)
class Bouts:
    """Bouts sorted by identity, then first frame; shape (n_bouts,) each.

    Attributes
    ----------
    identity
        Number of the identity.
    start, stop
        First frame, and the frame after the last.
    label
        Class.
    """

    identity: IntArray
    start: IntArray
    stop: IntArray
    label: IntArray


@dataclass(frozen=True)
class BoutScores:
    """Scores of the bouts of each class, shape (n_classes,) each.

    Attributes
    ----------
    precision
        Predicted bouts that match a true one; NaN where none was predicted.
    recall
        True bouts that are matched; NaN where there is none.
    f1
        2 matched / (true + predicted); NaN where the class has no true bout.
    true, predicted, matched
        Numbers of bouts.
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    true: IntArray
    predicted: IntArray
    matched: IntArray

    @classmethod
    def of(cls, true: IntArray, predicted: IntArray, matched: IntArray) -> BoutScores:
        """Scores from the numbers, which may be sums over recordings."""
        f1 = np.where(true > 0, ratio(2 * matched, true + predicted), np.nan)
        return cls(ratio(matched, predicted), ratio(matched, true), f1, true, predicted, matched)


def find_bouts(labels: IntArray, frames: IntArray, identity: IntArray | None = None) -> Bouts:
    """Stretches of one identity and one class whose frames step by exactly 1.

    Parameters
    ----------
    labels, frames
        Class and frame of each row, shape (n_rows,), in any order. Rows without a class are left
        out before, and so break a bout.
    identity
        Number of the identity of each row; None when there is only one.

    Raises
    ------
    ParamsError
        An identity has two rows in one frame.
    """
    who = np.zeros(len(frames), np.int64) if identity is None else np.asarray(identity, np.int64)
    order = np.lexsort((frames, who))
    who, frame, label = who[order], np.asarray(frames, np.int64)[order], labels[order]
    if not len(who):
        return Bouts(who, frame, frame, label.astype(np.int64))
    same = np.diff(who) == 0
    steps = np.diff(frame)
    if (same & (steps == 0)).any():
        at = int(frame[int((same & (steps == 0)).argmax())])
        msg = f"Frame {at} has two rows of one individual or pair."
        raise ParamsError(msg, "Give each at most one row per frame.")
    breaks = np.flatnonzero(~same | (steps != 1) | (np.diff(label) != 0))
    first, last = np.append(0, breaks + 1), np.append(breaks, len(frame) - 1)
    return Bouts(who[first], frame[first], frame[last] + 1, label[first].astype(np.int64))


def match_bouts(
    true: Bouts, predicted: Bouts, classes: Sequence[int], min_iou: float = 0.5
) -> BoutScores:
    """Match predicted bouts with true ones of the same class and identity.

    A predicted bout matches a true one when their frames in common are at least ``min_iou`` of
    the frames in either. Each bout is matched at most once.

    Parameters
    ----------
    true, predicted
        Bouts; those of one identity and class do not overlap.
    classes
        Classes to be scored.
    min_iou
        From 0.5 to 1. From one half on no bout can match two unless both fill it exactly, so
        there is nothing to be chosen.

    Raises
    ------
    ParamsError
        ``min_iou`` is below 0.5 or above 1.
    """
    if not 0.5 <= min_iou <= 1.0:
        msg = f"min_iou is {min_iou}."
        raise ParamsError(msg, "Give a share from 0.5 to 1.")
    counts = [_matched(_of_class(true, c), _of_class(predicted, c), min_iou) for c in classes]
    numbers = np.array(counts, dtype=np.int64).reshape(-1, 3)
    return BoutScores.of(numbers[:, 0], numbers[:, 1], numbers[:, 2])


def _of_class(bouts: Bouts, label: int) -> Bouts:
    chosen = bouts.label == label
    return Bouts(
        bouts.identity[chosen], bouts.start[chosen], bouts.stop[chosen], bouts.label[chosen]
    )


def _matched(true: Bouts, predicted: Bouts, min_iou: float) -> tuple[int, int, int]:
    n_true, n_predicted = len(true.start), len(predicted.start)
    if not n_true or not n_predicted:
        return n_true, n_predicted, 0
    start, stop = _on_one_line(true, predicted)
    t_start, p_start = start[:n_true], start[n_true:]
    t_stop, p_stop = stop[:n_true], stop[n_true:]
    # Bouts are sorted and disjoint, so those that a bout overlaps lie side by side.
    low = np.searchsorted(t_stop, p_start, side="right")
    high = np.searchsorted(t_start, p_stop, side="left")
    overlaps = np.maximum(high - low, 0)
    p = np.repeat(np.arange(n_predicted), overlaps)
    t = np.arange(overlaps.sum()) - np.repeat(overlaps.cumsum() - overlaps, overlaps) + low[p]
    common = np.minimum(t_stop[t], p_stop[p]) - np.maximum(t_start[t], p_start[p])
    either = np.maximum(t_stop[t], p_stop[p]) - np.minimum(t_start[t], p_start[p])
    good = common >= min_iou * either * (1.0 - _ROUNDING)
    # Two bouts that both match a third have no other match, so one of the two is dropped.
    pairs = np.stack([p[good], t[good]], axis=1)
    _, once = np.unique(pairs[:, 0], return_index=True)
    return n_true, n_predicted, len(np.unique(pairs[once, 1]))


def _on_one_line(true: Bouts, predicted: Bouts) -> tuple[IntArray, IntArray]:
    """Starts and stops, true before predicted, one identity behind the other."""
    who = np.concatenate([true.identity, predicted.identity])
    start = np.concatenate([true.start, predicted.start])
    stop = np.concatenate([true.stop, predicted.stop])
    _, place = np.unique(who, return_inverse=True)
    shift = place * (stop.max() - start.min() + 1) - start.min()
    return start + shift, stop + shift
