"""Pictures keep what they show when they are shrunk, evened out and masked."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.media.pictures import ellipse_mask, equalize, shrink, to_grey, warp


def test_the_mask_is_as_large_as_its_half_axes():
    """Around (3, 2) with 2 and 1: row 2 from x = 1 to 5, rows 1 and 3 at x = 3 alone."""
    mask = ellipse_mask((7, 5), (3, 2), (2, 1))
    assert mask.sum() == 7
    assert mask[2].tolist() == [False, True, True, True, True, True, False]
    assert mask[1].tolist() == mask[3].tolist() == [x == 3 for x in range(7)]


def test_shrinking_means():
    """2 x 2 pixels of 0, 10, 20, 30 become one of 15; a picture never grows."""
    pytest.importorskip("cv2")
    image = np.array([[0, 10] * 4, [20, 30] * 4], dtype=np.uint8)
    assert shrink(image, 4).tolist() == [[15] * 4]
    assert shrink(image, 8) is image


def test_brightness_follows_the_eye():
    """0.587 of 200 in green is 117; grey stays as it is."""
    pytest.importorskip("cv2")
    green = np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200
    assert to_grey(green).tolist() == [[117, 117]] * 2
    assert to_grey(to_grey(green)).tolist() == [[117, 117]] * 2


@pytest.mark.parametrize("coloured", [False, True])
def test_contrast_is_evened_out(coloured):
    """A dark ramp of 20 to 51 gets a wider range, and the picture passed in stays as it is."""
    pytest.importorskip("cv2")
    ramp = np.repeat(np.arange(20, 52, dtype=np.uint8)[None, :], 32, axis=0)
    image = np.repeat(ramp[:, :, None], 3, axis=2) if coloured else ramp
    even = equalize(image)
    assert even.shape == image.shape
    assert np.ptp(even) > np.ptp(image) + 10
    assert np.array_equal(image[..., 0] if coloured else image, ramp)


def test_what_lies_outside_is_black():
    """Moved 2 px to the right, the first two columns of the result show nothing."""
    pytest.importorskip("cv2")
    image = np.full((3, 5), 200, np.uint8)
    moved = warp(image, np.array([[1.0, 0, 2], [0, 1, 0]]), (5, 3))
    assert moved[:, 3:].tolist() == [[200, 200]] * 3
    assert not moved[:, :2].any()
