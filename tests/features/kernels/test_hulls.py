"""Areas: densities of groups rest on them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull

from mosaic_dagster.features.kernels.hulls import alpha_area, hull_area


def areas(*groups: list[tuple[float, float]]) -> np.ndarray:
    points = np.array([p for group in groups for p in group], dtype=float).reshape(-1, 2)
    scene = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return hull_area(points[:, 0], points[:, 1], scene, len(groups))


def test_triangle_square_with_inner_and_repeated_points():
    """3-4-5 triangle: 6. Square of side 2: 4, also with its centre, an edge point and a twin."""
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    found = areas([(0, 0), (3, 0), (0, 4)], square, [(1, 1), *square, (1, 0), (2, 2)])
    np.testing.assert_allclose(found, [6, 4, 4])


def test_what_has_no_area_is_missing_not_zero():
    line = [(0.1 * k, 0.3 * k) for k in range(5)]
    far = [(1e6 + 0.1 * k, 0.3 * k) for k in range(5)]
    assert np.isnan(areas([(0, 0)], [(0, 0), (1, 1)], [(1, 1)] * 3, line, far)).all()
    assert np.isnan(areas([(0, 0), (1, 1), (1, 1)], [(5, 0), (5, 1), (5, 3)])).all()


@given(arrays(np.int64, (12, 2), elements=st.integers(-50, 50)), st.integers(3, 12))
def test_agrees_with_a_general_hull(points, n):
    """Whole numbers: a hull of area 0 is exactly flat, which the general one refuses."""
    found = areas([tuple(p) for p in points[:n]])[0]
    if np.isnan(found):
        assert np.linalg.matrix_rank(points[:n] - points[0]) < 2
    else:
        np.testing.assert_allclose(found, ConvexHull(points[:n]).volume)


def test_large_groups_are_padded_without_harm():
    """40 points (not a multiple of 16) on a circle of radius 1: 20 sin(2 pi / 40)."""
    angle = np.arange(40) * 2 * np.pi / 40
    found = areas(list(zip(np.cos(angle), np.sin(angle), strict=True)))
    np.testing.assert_allclose(found, 20 * np.sin(2 * np.pi / 40))


def test_alpha_shape_leaves_out_large_triangles():
    """Square of side 2 and a point 10 to its right at half height.

    The square's two triangles have the circumradius sqrt(2); that of the far point and the right
    side has side 2 and height 10: legs sqrt(101), R = 101 * 2 / (4 * 10) = 5.05, area 10.
    """
    x, y = np.array([0.0, 2, 2, 0, 12]), np.array([0.0, 0, 2, 2, 1])
    scene = np.zeros(5, dtype=np.int64)
    found = {a: alpha_area(x, y, scene, 1, a) for a in (1.0, 2.0, 5.0, 5.1)}
    assert {a: (float(s[0]), int(n[0])) for a, (s, n) in found.items()} == {
        1.0: (0.0, 0),
        2.0: (4.0, 2),
        5.0: (4.0, 2),
        5.1: (14.0, 3),
    }
