"""Row-wise results: if a row depended on its neighbours, early cut-off would break."""

from __future__ import annotations

import numpy as np

from mosaic_dagster.features.kernels.rowwise import nearest_center, project


def test_projection_is_the_matrix_product():
    """(1, 2) on (3, 4) is 11, on (1, 0) is 1."""
    scores = project(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(scores, [[11, 1]])


def test_a_projected_row_has_the_same_bits_alone_and_among_others():
    rng = np.random.default_rng(0)
    values, directions = rng.normal(size=(300, 37)), rng.normal(size=(5, 37))
    together = project(values, directions)
    alone = np.concatenate([project(values[i : i + 1], directions) for i in range(300)])
    np.testing.assert_array_equal(together, alone)


def test_the_nearest_center_is_found_and_equal_distances_go_to_the_first():
    """1.5 lies halfway between 1 and 2; 9 is nearest to 2."""
    labels = nearest_center(np.array([[1.5], [9.0], [-4.0]]), np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(labels, [0, 1, 0])


def test_far_from_the_origin_rounding_does_not_choose_the_center():
    """Centres 1e6 and 1e6 + 1e-3 apart: the plain product formula has errors of about 1e-4."""
    centers = np.array([[1e6], [1e6 + 1e-3]])
    values = centers + np.array([[1e-4], [-1e-4]])
    np.testing.assert_array_equal(nearest_center(values, centers), [0, 1])


def test_labels_do_not_depend_on_chunks():
    rng = np.random.default_rng(3)
    centers = rng.integers(0, 3, size=(20, 4)).astype(float)
    values = rng.integers(0, 3, size=(500, 4)).astype(float)
    together = nearest_center(values, centers)
    chunks = [nearest_center(chunk, centers) for chunk in np.array_split(values, 77)]
    np.testing.assert_array_equal(np.concatenate(chunks), together)
    direct = ((values[:, None] - centers[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(together, direct)
