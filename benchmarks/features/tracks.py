"""The recording on which every feature is timed."""

from __future__ import annotations

import numpy as np
import polars as pl

FPS = 30.0
_N_IDS = 2
_N_KEYPOINTS = 7
_MISSING = 0.002
_BOX = np.array([300.0, 200.0])
_GAPS = ((0.21, 4), (0.48, 37), (0.83, 260))
"""Where both animals are lost, as a share of the recording, and for how many frames."""


def standard_tracks(n_frames: int) -> pl.DataFrame:
    """Two animals with seven keypoints on a random walk in a box, the same rows on every machine.

    Both lack some frames, and one keypoint in five hundred is NaN, in x and y alike. ``ANGLE``
    looks from keypoint 1 to keypoint 0. Sorted by frame, then id.

    Parameters
    ----------
    n_frames
        Frames of the recording, of which some have no row.
    """
    numbers = np.random.default_rng(20)
    gaps = [np.arange(int(at * n_frames), int(at * n_frames) + n) for at, n in _GAPS]
    frames = np.setdiff1d(np.arange(n_frames), np.concatenate(gaps))
    animals = [_animal(numbers, frames, identity) for identity in range(_N_IDS)]
    return pl.concat(animals).sort("frame", "id")


def _animal(numbers: np.random.Generator, frames: np.ndarray, identity: int) -> pl.DataFrame:
    n = len(frames)
    walk = numbers.normal(0.0, 1.5, (n, 2)).cumsum(axis=0) + 60.0 * identity
    # Thrown back by the walls, so that the animals meet.
    center = np.abs((walk + _BOX) % (2 * _BOX) - _BOX)
    heading = numbers.normal(0.0, 0.08, n).cumsum()
    ahead = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    along = np.linspace(24.0, -24.0, _N_KEYPOINTS)
    jitter = numbers.normal(0.0, 1.0, (n, _N_KEYPOINTS, 2))
    points = center[:, None] + along[None, :, None] * ahead[:, None] + jitter
    points[numbers.random((n, _N_KEYPOINTS)) < _MISSING] = np.nan
    columns = {
        "frame": frames,
        "time": frames / FPS,
        "id": np.full(n, identity),
        "X": center[:, 0],
        "Y": center[:, 1],
        "ANGLE": np.arctan2(*(points[:, 0] - points[:, 1]).T[::-1]),
    }
    for k in range(_N_KEYPOINTS):
        columns |= {f"poseX{k}": points[:, k, 0], f"poseY{k}": points[:, k, 1]}
    origin = {"fps": FPS, "group": "bench", "sequence": "pair"}
    return pl.DataFrame(columns).with_columns(pl.lit(v).alias(c) for c, v in origin.items())
