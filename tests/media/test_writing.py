"""What is written can be played, whole, and replaces an older file only when it is."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mosaic_dagster.errors import MissingExtraError, ParamsError, StoreFullError
from mosaic_dagster.media import writing
from mosaic_dagster.media.video import Video, VideoFacts, probe
from mosaic_dagster.media.writing import mp4_bytes, png_bytes, write_mp4

cv2 = pytest.importorskip("cv2")


def greys(n: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), 12 * i, np.uint8) for i in range(n)]


def test_a_written_video_has_the_frames_and_the_rate(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    assert write_mp4(path, iter(greys(12)), 12.5) == 12
    with Video(path) as video:
        assert (video.facts.fps, video.facts.n_frames) == (12.5, 12)
        for number, image in video.frames():
            assert image.mean() == pytest.approx(12 * number, abs=4)
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]


def test_equal_frames_give_equal_bytes():
    """Results are stored under the digest of their bytes; a date in them would make each new."""
    assert mp4_bytes(greys(5), 10) == mp4_bytes(greys(5), 10)


def test_no_column_is_cut_from_odd_sizes(tmp_path):
    """63 x 47 becomes 64 x 48; the codec alone would drop the last column and row."""
    write_mp4(tmp_path / "odd.mp4", greys(3, 63, 47), 10)
    facts = probe(tmp_path / "odd.mp4")
    assert (facts.width, facts.height) == (64, 48)


def test_grey_frames_are_written(tmp_path):
    write_mp4(tmp_path / "grey.mp4", [np.full((48, 64), 100, np.uint8)] * 2, 10)
    with Video(tmp_path / "grey.mp4") as video:
        assert np.ptp(video.frame(1)) < 10
        assert video.frame(1).mean() == pytest.approx(100, abs=4)


def test_a_broken_off_video_leaves_the_older_one(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"older")

    def broken():
        yield from greys(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(path, broken(), 10)
    with pytest.raises(ParamsError, match=r"Frame 1 .* has the shape \(10, 10\)"):
        write_mp4(path, [*greys(1), *greys(1, 10, 10)], 10)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"older"


def test_lost_frames_are_noticed(tmp_path, monkeypatch):
    """OpenCV says nothing when the disk is full."""
    monkeypatch.setattr(writing, "probe", lambda _: VideoFacts(64, 48, 10.0, 3, ""))
    with pytest.raises(StoreFullError, match="3 of 5 frames"):
        write_mp4(tmp_path / "clip.mp4", greys(5), 10)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_a_video_is_refused(tmp_path):
    with pytest.raises(ParamsError, match="no frame to write"):
        write_mp4(tmp_path / "clip.mp4", [], 10)
    for fps in (0.0, float("nan")):
        with pytest.raises(ParamsError, match="frames per second"):
            mp4_bytes(greys(1), fps)
    for image in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ParamsError, match="is no picture"):
            mp4_bytes([image], 10)
        with pytest.raises(ParamsError, match="is no picture"):
            png_bytes(image)


@settings(max_examples=25, deadline=None)
@given(
    image=array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
        lambda shape: st.sampled_from([shape, (*shape, 3)]).flatmap(
            lambda full: arrays(np.uint8, full)
        )
    )
)
def test_a_png_keeps_every_pixel(image):
    """Crops that train a model must not change on the way to the disk."""
    data = np.frombuffer(png_bytes(image), np.uint8)
    back = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, back if back.ndim == 2 else back[:, :, ::-1])


def test_without_opencv_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"Writing a video .*mosaic-dagster\[images\]"):
        write_mp4(tmp_path / "clip.mp4", greys(1), 10)
    with pytest.raises(MissingExtraError, match=r"mosaic-dagster\[images\]"):
        png_bytes(greys(1)[0])
