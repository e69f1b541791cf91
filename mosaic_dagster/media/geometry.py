"""Where an animal lies in a picture, and the map from there into a crop: arrays in, arrays out.

Angles are radians from +x, positive towards +y, which points down in a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic_dagster.media.arrays import FloatArray

_BLOCK = 4096


def headings(front: FloatArray, back: FloatArray) -> FloatArray:
    """Direction from one point to another, shape (n_frames,).

    Parameters
    ----------
    front, back
        Shape (n_frames, 2). Where one is missing, or both are in the same place, it is NaN.
    """
    offset = front - back
    angle: FloatArray = np.arctan2(offset[:, 1], offset[:, 0])
    angle[(offset == 0).all(axis=1)] = np.nan
    return angle


def body_length(points: FloatArray) -> float:
    """Median over the frames of the largest distance between two keypoints.

    Parameters
    ----------
    points
        Shape (n_frames, n_keypoints, 2). Missing keypoints are left out; frames with fewer than
        two do not count. NaN when no frame counts.
    """
    lengths = [_extents(points[i : i + _BLOCK]) for i in range(0, len(points), _BLOCK)]
    every = np.concatenate(lengths) if lengths else np.empty(0)
    counting = every[np.isfinite(every)]
    return float(np.median(counting)) if len(counting) else float("nan")


def crop_matrix(
    centre: Sequence[float] | FloatArray,
    heading: float,
    scale: float,
    size: tuple[int, int],
    offset: Sequence[float] = (0.0, 0.0),
) -> FloatArray:
    """Map from a picture into a crop in which the animal looks along +x, shape (2, 3).

    A point p of the picture lands at ``scale (R(-heading) (p - centre) - offset) + middle``, with
    ``middle`` the middle of the crop, ``((width - 1) / 2, (height - 1) / 2)``.

    Parameters
    ----------
    centre
        The animal's place in the picture.
    heading
        Its direction; 0 turns nothing.
    scale
        Pixels of the crop for each pixel of the picture.
    size
        Width and height of the crop.
    offset
        How far ahead and to the right of the animal the middle of the crop lies, in pixels of the
        picture.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    turn = scale * np.array([[cos, sin], [-sin, cos]])
    middle = (np.asarray(size, dtype=np.float64) - 1) / 2
    shift = middle - turn @ np.asarray(centre, dtype=np.float64) - scale * np.asarray(offset)
    return np.column_stack([turn, shift])


def transform(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Where points land, shape (n, 2); NaN stays NaN.

    Parameters
    ----------
    matrix
        Shape (2, 3), as :func:`crop_matrix` gives it.
    points
        Shape (n, 2).
    """
    landed: FloatArray = points @ matrix[:, :2].T + matrix[:, 2]
    return landed


def _extents(points: FloatArray) -> FloatArray:
    """Largest distance between two finite keypoints of each frame; NaN where there is none."""
    n = points.shape[1]
    largest = np.full(len(points), np.nan)
    for i in range(n):
        for j in range(i):
            offset = points[:, i] - points[:, j]
            largest = np.fmax(largest, np.hypot(offset[:, 0], offset[:, 1]))
    return largest
