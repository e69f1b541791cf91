"""Each interaction gives its own clips, of the frames it lasts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import MissingColumnError, ParamsError, ScopeError
from mosaic_dagster.media.cropping import CropParams
from mosaic_dagster.media.interaction import (
    INTERACTION_CROP,
    Segment,
    interaction_crops,
    pair_windows,
    segments,
)
from mosaic_dagster.media.poses import Poses

PARAMS = CropParams(crop_size=(60, 60), heading_points=(0, 1), output="frames")


def interactions() -> pl.DataFrame:
    """Animals 0 and 1 meet in the frames 2 to 4 (no row for frame 3), and again in 7 and 8."""
    rows = [(2, 0, 2, 4), (4, 0, 2, 4), (7, 1, 7, 8), (8, 1, 7, 8)]
    names = ["frame", "interaction_id", "interaction_start", "interaction_end"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(id1=pl.lit(0), id2=pl.lit(1))


def tracks() -> pl.DataFrame:
    """0 at (20, 24) looks right, 1 at (40, 24) looks left: heads 10 px apart, bodies of 10 px."""
    shared = {"frame": [f for f in range(10) if f != 3], "Y": 24.0, "poseY0": 24.0, "poseY1": 24.0}
    one = pl.DataFrame({**shared, "id": 0, "X": 20.0, "poseX0": 25.0, "poseX1": 15.0})
    other = pl.DataFrame({**shared, "id": 1, "X": 40.0, "poseX0": 35.0, "poseX1": 45.0})
    return pl.concat([one, other])


@pytest.fixture
def source(film):
    pytest.importorskip("cv2")
    return film([np.full((48, 64, 3), 80, np.uint8)] * 10)


def test_one_segment_for_each_interaction():
    assert segments(interactions()) == [Segment(0, 1, 0, 2, 4), Segment(0, 1, 1, 7, 8)]
    assert segments(interactions().clear()) == []
    with pytest.raises(MissingColumnError, match="interaction_end"):
        segments(interactions().drop("interaction_end"))


def test_each_animal_has_a_clip(source):
    """Two meetings of two animals are four clips; the frame without rows is absent."""
    clips = list(interaction_crops(source, tracks(), interactions(), PARAMS))
    assert [clip.name for clip in clips] == [
        "ids_0_1_interaction_0_id_0", "ids_0_1_interaction_0_id_1",
        "ids_0_1_interaction_1_id_0", "ids_0_1_interaction_1_id_1",
    ]  # fmt: skip
    assert [clip.frames for clip in clips] == [(2, 3, 4), (2, 3, 4), (7, 8), (7, 8)]
    assert [clip.absent for clip in clips] == [(3,), (3,), (), ()]
    assert INTERACTION_CROP.crop_size == (192, 192)


def test_a_pair_has_one_clip_around_both(source):
    (first, second) = interaction_crops(source, tracks(), interactions(), PARAMS, focus="pair")
    assert (first.name, first.frames) == ("ids_0_1_interaction_0", (2, 3, 4))
    assert second.frames == (7, 8)
    with pytest.raises(ParamsError, match="'both' is unknown"):
        next(interaction_crops(source, tracks(), interactions(), PARAMS, focus="both"))


def test_both_animals_are_in_the_crop_of_a_pair():
    """(20, 24) and (40, 24): middle (30, 24), heading 0; 20 px apart plus a body of 10 is 30.

    Seen from 1, the other lies to the left of it in the video, so the crop is turned by pi.
    """
    one, other = (Poses.of(tracks(), i) for i in (0, 1))
    windows = pair_windows(one, other, np.array([2, 3]), PARAMS)
    assert windows.centre[0].tolist() == [30.0, 24.0]
    assert windows.heading[0] == 0.0
    assert windows.length == 30.0
    assert [matrix is None for matrix in windows.matrices(PARAMS)] == [False, True]
    turned = pair_windows(other, one, np.array([2]), PARAMS)
    assert np.isclose(abs(turned.heading[0]), np.pi)


def test_an_individual_without_tracks_is_named(source):
    stranger = interactions().with_columns(id2=pl.lit(5))
    with pytest.raises(ScopeError, match="no individual 5"):
        next(interaction_crops(source, tracks(), stranger, PARAMS))
