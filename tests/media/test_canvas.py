"""Drawing changes a copy, and survives every number that tracks may hold."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mosaic_dagster.errors import MissingExtraError, ParamsError
from mosaic_dagster.media.canvas import Canvas

BLACK = np.zeros((20, 30), np.uint8)
RED = (255, 0, 0)


def test_points_that_are_missing_or_absurd_draw_nothing():
    """A single tracking error of 1e300 px must not end a video of an hour."""
    pytest.importorskip("cv2")
    canvas = Canvas(BLACK)
    for x in (np.nan, np.inf, -np.inf, 1e300, 1e7):
        canvas.dot([x, 5], 2, RED)
        canvas.circle([x, 5], 4, RED)
        canvas.path(np.array([[x, 5], [5, 5]]), RED)
        canvas.arrow([5, 5], [x, 5], RED)
        canvas.box([x, 5, 10, 10], RED)
        canvas.hull(np.array([[x, 5], [5, 5]]), RED)
        canvas.text("word", [x, 5], RED)
    canvas.path(np.empty((0, 2)), RED)
    assert not canvas.image.any()


def test_shapes_beyond_the_edge_are_cut():
    """From (-100, 10) to (15, 10): the part inside the picture is there."""
    pytest.importorskip("cv2")
    canvas = Canvas(BLACK)
    canvas.path(np.array([[-100.0, 10.0], [15.0, 10.0]]), RED)
    assert canvas.image[10, :16].tolist() == [list(RED)] * 16
    assert not canvas.image[10, 16:].any()


def test_the_picture_given_is_left_alone():
    """Frames may be used again; grey ones become coloured."""
    pytest.importorskip("cv2")
    canvas = Canvas(BLACK)
    canvas.dot([5, 5], 2, RED)
    canvas.dim_outside(np.array([[np.nan, 1.0]]), 3)
    assert canvas.image.shape == (20, 30, 3)
    assert canvas.image[5, 5].tolist() == [89, 0, 0]  # 0.35 of 255
    assert not BLACK.any()
    with pytest.raises(ParamsError, match="is no picture"):
        Canvas(np.zeros((3, 3)))


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"Drawing on frames .*mosaic-dagster\[images\]"):
        Canvas(BLACK)
