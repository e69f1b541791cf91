"""One real recording through the library: crashes on real gaps and noise show here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.features import DatasetFacts, get_feature
from mosaic_dagster.testing import check_feature

FOLDER = Path(__file__).parents[3] / "recordings" / "larvae" / "dish01"
POINTS = ("head", "neck", "mid", "hind", "tail")


@pytest.fixture(scope="module")
def larva() -> pl.DataFrame:
    """The first 300 rows of a crawling larva, 16 fps, mm."""
    files = sorted(FOLDER.glob("*.csv"))
    if not files:
        pytest.skip("the example recordings are not here")
    raw = pl.read_csv(files[0], n_rows=300)
    pose = {
        f"pose{axis.upper()}{k}": pl.col(f"{name}_{axis}")
        for k, name in enumerate(POINTS)
        for axis in "xy"
    }
    centre = {
        axis.upper(): pl.mean_horizontal(f"{name}_{axis}" for name in POINTS) for axis in "xy"
    }
    return raw.select(
        "frame", time=pl.col("frame") / 16, id=pl.lit(0, dtype=pl.Int64), **centre, **pose
    ).with_columns(fps=pl.lit(16.0), group=pl.lit("dish01"), sequence=pl.lit(files[0].stem))


def test_a_larva_is_millimetres_long_and_crawls(larva):
    """Third-instar larvae are 3 to 5 mm long and crawl at about 1 mm/s."""
    posture = check_feature(get_feature("posture"), larva)
    speed = check_feature(get_feature("speed-angvel"), larva, {"smooth_window": 9})
    scale = check_feature(get_feature("body-scale"), larva)
    assert 2 < posture["body_length"].median() < 6
    assert 0.1 < speed["speed_smooth"].drop_nans().median() < 5
    assert 0.5 < scale["scale"].median() < 4


def test_heading_agrees_with_the_way_it_crawls(larva):
    """Larvae crawl forwards: the heading and the velocity point the same way on the whole."""
    params = get_feature("heading").Params(front_idx="head", rear_idx="tail")
    heading = check_feature(
        get_feature("heading"), larva, params.resolve(DatasetFacts(keypoints=POINTS))
    )["ANGLE"]
    velocity = check_feature(get_feature("speed-angvel"), larva)
    forward = velocity["vx"] * np.cos(heading) + velocity["vy"] * np.sin(heading)
    assert forward.drop_nans().median() > 0


def test_cleaning_stacking_and_spectra_run(larva):
    smooth = check_feature(
        get_feature("trajectory-smooth"), larva, {"speed_threshold": 10.0, "savgol_window": 5}
    )
    posture = get_feature("posture")().apply(smooth)
    power = check_feature(get_feature("pair-wavelet"), posture, {"n_freq": 4})
    stack = check_feature(get_feature("temporal-stack"), power, {"half": 4, "skip": 2})
    assert power.height == stack.height == larva.height
