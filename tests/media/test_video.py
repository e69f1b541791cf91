"""The frame that is shown is the frame that was asked for, and bad files are named."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

import mosaic_dagster.media
from mosaic_dagster.errors import MissingExtraError, ReaderError, ScopeError
from mosaic_dagster.media.video import FrameSource, Video, probe


def test_without_opencv_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mosaic-dagster\[images\]'"):
        probe(tmp_path / "any.mp4")
    with pytest.raises(MissingExtraError, match=r"Reading a video needs the package 'cv2'"):
        Video(tmp_path / "any.mp4")


def test_one_module_alone_knows_opencv():
    """A second import would raise something else than the error that names the extra."""
    folder = Path(mosaic_dagster.media.__file__).parent
    knowing = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = isinstance(node, ast.Import) and any(a.name == "cv2" for a in node.names)
            named = isinstance(node, ast.Constant) and node.value == "cv2"
            if imported or named or (isinstance(node, ast.ImportFrom) and node.module == "cv2"):
                knowing.add(path.name)
    assert knowing == {"_opencv.py"}


def test_facts_are_those_of_the_file(video):
    """Crops and labels would be out of step with a wrong rate, or miss frames."""
    facts = probe(video)
    assert (facts.width, facts.height, facts.fps, facts.n_frames) == (64, 48, 10.0, 20)
    assert len(facts.codec) == 4
    assert probe(video, count=True) == facts


@pytest.mark.parametrize(("name", "codec"), [("grey.mp4", "mp4v"), ("whole.avi", "MJPG")])
def test_frames_come_by_number(make_video, name, codec):
    """Frame n is 12 n bright; a neighbour, 12 off, would put every overlay one frame beside."""
    with Video(make_video(name, codec=codec)) as video:
        for number in (13, 3, 4, 19, 0, 18):
            image = video.frame(number)
            assert image.shape == (48, 64, 3)
            assert image.mean() == pytest.approx(12 * number, abs=4)
        assert isinstance(video, FrameSource)
        assert [n for n, _ in video.frames()] == list(range(20))


def test_far_frames_are_jumped_to(make_video):
    """Frame 65 of 70, bright as 5, is beyond the frames that are skipped singly; 2 is before it."""
    with Video(make_video("long.mp4", n_frames=70, size=(16, 16))) as video:
        for number, brightness in ((65, 60), (2, 24)):
            assert video.frame(number).mean() == pytest.approx(brightness, abs=4)


def test_red_comes_first(tmp_path):
    """Pictures shown with matplotlib would have blue animals for red ones."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 250), dtype=np.uint8))  # OpenCV: blue first
    writer.release()
    with Video(path) as video:
        red, green, blue = video.frame(0)[20, 30]
    assert red > 200
    assert max(green, blue) < 60


def test_a_file_without_an_index_is_read_from_its_start(video, monkeypatch):
    """A jump that lands elsewhere must not give another frame under the number asked for."""
    reader = Video(video)
    reader.frame(10)

    class Lost:
        def __init__(self, capture):
            self._capture = capture

        def set(self, *_):
            return True

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(reader, "_capture", Lost(reader._capture))
    assert reader.frame(3).mean() == pytest.approx(36, abs=4)


@pytest.mark.parametrize("number", [-1, 20])
def test_a_frame_that_is_not_there_is_refused(video, number):
    with Video(video) as reader, pytest.raises(ScopeError, match=f"0 to 19, and no frame {number}"):
        reader.frame(number)


def test_what_is_no_video_is_named(tmp_path, video):
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all" * 50)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:1500])
    for path in (text, cut):
        with pytest.raises(ReaderError, match=rf"{path.name} cannot be read as a video"):
            probe(path)
        with pytest.raises(ReaderError, match="convert it to mp4"):
            Video(path)
    with pytest.raises(ReaderError, match="There is no video"):
        probe(tmp_path / "nowhere.mp4")
    with pytest.raises(ReaderError, match="There is no video"):
        Video(tmp_path)


def test_a_picture_is_no_video(tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ReaderError, match="cannot be read as a video"):
        Video(tmp_path / "one.png")


def test_a_cut_off_video_says_where_it_ends(cut_video):
    """Frames that are promised and not there must not be read as black or as the last one."""
    counted = probe(cut_video, count=True).n_frames
    assert 0 < counted < probe(cut_video).n_frames == 20
    with Video(cut_video) as video:
        with pytest.raises(ReaderError, match="although its header promises 20"):
            list(video.frames())
        assert video.frame(2).mean() == pytest.approx(24, abs=4)
        with pytest.raises(ReaderError, match="although its header promises 20"):
            video.frame(19)
    with Video(cut_video, n_frames=counted) as video:
        assert len(list(video.frames())) == counted
