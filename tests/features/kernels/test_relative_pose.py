"""Order statistics of keypoints: a missing keypoint must not count as a distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.features.kernels.relative_pose import sorted_quantile


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8), st.integers(0, 3), st.floats(0, 1))
def test_quantiles_of_finite_values(values, n_missing, q):
    row = np.sort(np.array([*values, *[np.nan] * n_missing]))[None]
    expected = np.quantile(values, q)
    found = sorted_quantile(row, np.array([len(values)]), q)[0]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_nothing_finite_has_no_quantile():
    assert np.isnan(sorted_quantile(np.full((1, 3), np.nan), np.array([0]), 0.5)).all()
