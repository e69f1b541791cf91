"""Frames of several videos are counted on, and only what belongs together is joined."""

from __future__ import annotations

import pytest

from mosaic_dagster.errors import ReaderError, ScopeError
from mosaic_dagster.media.stream import VideoStream
from mosaic_dagster.media.video import FrameSource, Video


def test_the_second_video_begins_where_the_first_ends(video, make_video):
    """20 and 5 frames: frame 19 is the last of the first (228), 20 the second's first (0)."""
    second = make_video("second.mp4", n_frames=5)
    with VideoStream([video, Video(second)]) as stream:
        assert isinstance(stream, FrameSource)
        assert stream.facts.n_frames == 25
        assert stream.facts.width == 64
        for number, brightness in ((24, 48), (19, 228), (20, 0), (3, 36)):
            assert stream.frame(number).mean() == pytest.approx(brightness, abs=4)
        assert stream.locate(19) == (video, 19)
        assert stream.locate(22) == (second, 2)
        assert [n for n, _ in stream.frames(range(18, 22))] == [18, 19, 20, 21]
        assert len(list(stream.frames())) == 25
        for number in (-1, 25):
            with pytest.raises(ScopeError, match="frames 0 to 24"):
                stream.frame(number)


def test_videos_of_other_recordings_are_refused(video, make_video):
    """Joined all the same, tracks would lie beside the animals in all later videos."""
    wide = make_video("wide.mp4", size=(80, 48))
    with pytest.raises(ReaderError, match=r"wide.mp4 is 80x48 at 10 fps, but .* is 64x48"):
        VideoStream([video, wide])
    fast = make_video("fast.mp4", fps=25.0)
    with pytest.raises(ReaderError, match="at 25 fps"):
        VideoStream([video, fast])
    with pytest.raises(ScopeError, match="no videos"):
        VideoStream([])
