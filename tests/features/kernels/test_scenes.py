"""Scenes: a slip here mixes the animals of different frames."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels import scenes
from mosaic_dagster.features.kernels.scenes import (
    from_centroid,
    lay_out,
    scene_count,
    scene_mean,
    scene_sum,
)

SCENE = np.array([0, 0, 2, 2, 2])


def test_missing_values_and_empty_scenes():
    """Scene 0: 1 + NaN; scene 1 has no row; scene 2: 2 + 4 + 6 = 12, mean 4."""
    values = np.array([1.0, np.nan, 2.0, 4.0, 6.0])
    np.testing.assert_array_equal(scene_sum(values, SCENE, 3), [1, 0, 12])
    np.testing.assert_array_equal(scene_mean(values, SCENE, 3), [1, np.nan, 4])
    np.testing.assert_array_equal(scene_count(values > 1, SCENE, 3), [0, 0, 3])


def test_no_rows_give_sums_of_zero_and_no_means():
    nothing = np.empty(0)
    none = np.empty(0, dtype=np.int64)
    assert scene_sum(nothing, none, 2).tolist() == [0.0, 0.0]
    assert np.isnan(scene_mean(nothing, none, 2)).all()
    assert list(lay_out(none, 0)) == []


def test_an_animal_at_the_centroid_has_no_direction_from_rounding():
    """0.1, 0.2 and 0.3 have mean 0.2 but for rounding: the second is at the centroid."""
    x = np.array([0.1, 0.2, 0.3])
    assert x.mean() != 0.2
    rx, ry, distance = from_centroid(x, np.zeros(3), np.zeros(3, dtype=np.int64), 1)
    assert (rx[1], ry[1], distance[1]) == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(distance, [0.1, 0, 0.1])


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_every_row_is_laid_out_once_with_its_scene(monkeypatch, block):
    monkeypatch.setattr(scenes, "_BLOCK", block)
    sizes = [3, 0, 1, 17, 3, 33, 40]
    scene = np.repeat(np.arange(len(sizes)), sizes)
    seen = []
    for numbers, rows in lay_out(scene, len(sizes)):
        for number, row in zip(numbers, rows, strict=True):
            found = row[row >= 0]
            assert (scene[found] == number).all()
            assert len(found) == sizes[number]
            seen += found.tolist()
    assert sorted(seen) == list(range(len(scene)))
