"""The benchmark of features: what it does not see may become slow or wrong unnoticed."""

from __future__ import annotations

import importlib

import numpy as np
import polars as pl
import pytest

from benchmarks.features.case import Case
from benchmarks.features.measure import measure
from benchmarks.features.tracks import standard_tracks
from mosaic_dagster.features import list_features

TRACKS = standard_tracks(600)
RIGHT = {"X_cm": TRACKS["X"].to_numpy() * 0.5, "Y_cm": TRACKS["Y"].to_numpy() * 0.5}


def measured(reference: dict[str, np.ndarray], **given: object):
    return measure(Case("scale-to-cm", lambda _: reference, {"cm_per_pixel": 0.5}, **given), TRACKS)


def test_every_feature_has_a_case_or_a_reason():
    """Else a new feature could be slower than a script and nobody would know."""
    pytest.importorskip("pandas")
    main = importlib.import_module("benchmarks.features.__main__")
    cases = main.gather_cases()
    library = {name for name in list_features() if not name.startswith(("bench-", "toy"))}
    assert not library & {*main.missing_cases(cases)}
    assert not {*main.EXCEPTED} & {case.feature for case in cases}


def test_equal_numbers_agree_and_other_numbers_are_named():
    """A feature that is fast and wrong must not pass: 1e-6 of 200 is above 1e-9."""
    assert measured(RIGHT, speedup=0.0).ok
    wrong = RIGHT | {"Y_cm": RIGHT["Y_cm"].copy()}
    wrong["Y_cm"][7] += 1e-6
    found = measured(wrong, speedup=0.0)
    assert not found.ok
    assert found.difference.startswith("Y_cm: 1 rows differ, row 7 is ")
    assert "no column speed" in measured({"speed": RIGHT["X_cm"]}).difference
    assert "rows, the reference has 3" in measured({"X_cm": np.zeros(3)}).difference


def test_a_slow_feature_is_not_ok():
    """Nothing is a million times faster than handing over an array."""
    found = measured(RIGHT, speedup=1e6)
    assert not found.difference
    assert not found.ok


def test_the_recording_is_the_same_every_time():
    """Figures of two machines are of one recording: with gaps, missing keypoints and a heading."""
    assert TRACKS.equals(standard_tracks(600))
    one = TRACKS.filter(pl.col("id") == 0)
    assert one["frame"].diff().max() > 1
    assert one["poseX3"].is_nan().any() or one["poseX4"].is_nan().any()
    assert np.isfinite(one["X"].to_numpy()).all()
