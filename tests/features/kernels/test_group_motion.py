"""States of a group: names that papers quote."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.features.kernels.group_motion import group_state


@pytest.mark.parametrize(
    ("rotation", "polarization", "state"),
    [
        (0.34, 0.66, "Polarized"),
        (0.34, 0.34, "Swarm"),
        (0.66, 0.34, "Milling"),
        (0.66, 0.66, "Transitional"),
        (0.66, 0.35, "Transitional"),
        (0.65, 0.34, "Transitional"),
        (0.35, 0.66, "Transitional"),
        (0.34, 0.65, "Transitional"),
        (0.35, 0.34, "Transitional"),
        (np.nan, 0.9, "Undefined"),
        (0.1, np.nan, "Undefined"),
    ],
)
def test_states_and_their_open_bounds(rotation, polarization, state):
    assert group_state(np.array([rotation]), np.array([polarization])).tolist() == [state]
