"""The animal is in the middle of its crop, looks to the right, and gaps are told."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, MissingColumnError, ParamsError, ScopeError
from mosaic_dagster.media.cropping import CropParams
from mosaic_dagster.media.egocentric import body_windows, egocentric_crop
from mosaic_dagster.media.poses import Poses

SMALL = CropParams(crop_size=(60, 60), heading_points=(0, 1), output="frames")


def looking_down(frames=(2, 3, 5), missing=()) -> pl.DataFrame:
    """An animal of 20 px at (32, 24): head at (32, 34), tail at (32, 14). Frame 4 has no row."""
    head_y = [float("nan") if frame in missing else 34.0 for frame in frames]
    return pl.DataFrame(
        {"frame": frames, "id": 1, "X": 32.0, "Y": 24.0, "poseX0": 32.0, "poseY0": head_y,
         "poseX1": 32.0, "poseY1": 14.0, "ANGLE": np.pi / 2}
    )  # fmt: skip


def scene() -> np.ndarray:
    """Grey, with a red square of 5 x 5 on the head and a blue one on the tail."""
    image = np.full((48, 64, 3), 80, np.uint8)
    image[32:37, 30:35] = (250, 0, 0)
    image[12:17, 30:35] = (0, 0, 250)
    return image


def decoded(data: bytes) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image if image.ndim == 2 else image[:, :, ::-1]


@pytest.fixture
def source(film):
    pytest.importorskip("cv2")
    return film([scene()] * 6)


def test_the_head_is_to_the_right(source):
    """1.5 bodies of 20 px fill 60 px: scale 2. The head, 10 px ahead, is at (29.5 + 20, 29.5)."""
    clip = egocentric_crop(source, looking_down(), 1, SMALL)
    assert (clip.name, clip.frames, clip.absent) == ("id_1", (2, 3, 4, 5), (4,))
    crop = decoded(clip.pictures[2])
    assert crop.shape == (60, 60, 3)
    assert crop[29, 49].tolist() == [250, 0, 0]
    assert crop[29, 10].tolist() == [0, 0, 250]
    assert crop[10, 29].tolist() == [80, 80, 80]


def test_without_rotation_the_head_stays_below(source):
    params = CropParams(crop_size=(60, 60), rotate_to_heading=False, output="frames")
    crop = decoded(egocentric_crop(source, looking_down(), 1, params).pictures[2])
    assert crop[49, 29].tolist() == [250, 0, 0]


def test_the_angle_of_the_tracks_will_do(source):
    params = CropParams(crop_size=(60, 60), heading_points=None, output="frames")
    crop = decoded(egocentric_crop(source, looking_down(), 1, params).pictures[2])
    assert crop[29, 49].tolist() == [250, 0, 0]


def test_a_wider_margin_shows_more(source):
    """3 bodies of 20 px in 60 px: scale 1, so the head is at (29.5 + 10, 29.5)."""
    params = CropParams(crop_size=(60, 60), heading_points=(0, 1), margin=3.0, output="frames")
    crop = decoded(egocentric_crop(source, looking_down(), 1, params).pictures[2])
    assert crop[29, 39].tolist() == [250, 0, 0]
    assert crop[29, 49].tolist() == [80, 80, 80]


def test_the_middle_can_be_the_head(source):
    """10 px ahead of the body, the mask of half axes 8 x 4 stays on the body, at 29.5 - 20."""
    params = CropParams(
        crop_size=(60, 60), heading_points=(0, 1), center_offset_px=(10, 0), output="frames"
    )
    crop = decoded(egocentric_crop(source, looking_down(), 1, params).pictures[2])
    assert crop[29, 29].tolist() == [250, 0, 0]
    masked = CropParams(
        crop_size=(60, 60), heading_points=(0, 1), center_offset_px=(10, 0), output="frames",
        mask_body=True, body_mask=(8, 4),
    )  # fmt: skip
    crop = decoded(egocentric_crop(source, looking_down(), 1, masked).pictures[2])
    assert crop[29, 29].tolist() == [0, 0, 0]
    assert crop[29, 9].tolist() == [80, 80, 80]


def test_grey_and_even_crops(source):
    """Brightness of 80 stays 80; evened out, a flat surrounding is no longer what it was."""
    params = CropParams(crop_size=(60, 60), heading_points=(0, 1), grayscale=True, output="frames")
    crop = decoded(egocentric_crop(source, looking_down(), 1, params).pictures[2])
    assert crop.shape == (60, 60)
    assert crop[10, 29] == 80
    even = CropParams(
        crop_size=(60, 60), heading_points=(0, 1), grayscale=True, clahe=True, output="frames"
    )
    assert not np.array_equal(
        crop, decoded(egocentric_crop(source, looking_down(), 1, even).pictures[2])
    )


def test_frames_without_a_heading_are_absent(source):
    """In frame 3 the head is missing: a crop turned anyhow would teach a model nonsense."""
    clip = egocentric_crop(source, looking_down(missing=(3,)), 1, SMALL)
    assert clip.absent == (3, 4)
    assert list(clip.pictures) == [2, 5]
    assert source.asked == [2, 5]


def test_frames_can_be_chosen(source):
    clip = egocentric_crop(source, looking_down(), "1", SMALL, frames=range(1, 4), name="dish/1")
    assert (clip.name, clip.frames, clip.absent) == ("dish/1", (1, 2, 3), (1,))
    with pytest.raises(ScopeError, match="No frame of individual"):
        egocentric_crop(source, looking_down(), 1, SMALL, frames=range(0))


def test_a_real_video_can_be_cut(video):
    """Frame 5 is 60 bright; the crop of 30 px of the video around (32, 24) is so everywhere."""
    from mosaic_dagster.media.video import Video

    with Video(video) as source:
        clip = egocentric_crop(source, looking_down(), 1, SMALL)
        assert decoded(clip.pictures[5]).mean() == pytest.approx(60, abs=4)
        with pytest.raises(ScopeError, match="no frame 30"):
            egocentric_crop(source, looking_down(frames=(2, 30)), 1, SMALL)


def test_a_body_of_unknown_length_is_asked_for():
    """One keypoint says nothing about length; without any keypoint and ANGLE, the number does."""
    single = looking_down().drop("poseX1", "poseY1")
    params = CropParams(heading_points=None)
    with pytest.raises(FitError, match=r"body of individual 1 .* Give body_length"):
        body_windows(Poses.of(single, 1), np.array([2]), params)
    known = CropParams(heading_points=None, body_length=20.0)
    assert body_windows(Poses.of(single, 1), np.array([2]), known).length == 20.0
    with pytest.raises(MissingColumnError, match="no keypoint 3"):
        body_windows(Poses.of(single, 1), np.array([2]))


@pytest.mark.parametrize(
    "values",
    [
        {"crop_size": (0, 10)}, {"crop_size": (10.5, 10)}, {"margin": 0.0}, {"body_length": -1.0},
        {"body_mask": (0.0, 1.0)}, {"center_offset_px": (float("nan"), 0.0)},
        {"heading_points": (3, 3)}, {"output": "gif"},
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused(values):
    """A wrong number would cost a run through the whole video before anyone sees it."""
    with pytest.raises(ParamsError):
        CropParams(**values)
