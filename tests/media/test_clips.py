"""What crops and overlays give back can be handed on as the output of a step."""

from __future__ import annotations

import numpy as np
import pytest

from mosaic_dagster.errors import ParamsError, ScopeError
from mosaic_dagster.media.clips import Clip, encode_clip
from mosaic_dagster.store import StepOutput

PICTURE = np.full((8, 16, 3), 90, np.uint8)


def test_a_clip_is_the_output_of_a_step():
    """Names and bytes reach the files that people open."""
    clip = Clip("id_1", 10.0, (3, 4, 5), (4,), b"mp4", {3: b"a", 5: b"b"})
    files = StepOutput(outputs=clip.outputs(), metadata=clip.metadata()).files()
    assert files == {"id_1.mp4": b"mp4", "id_1_000003.png": b"a", "id_1_000005.png": b"b"}
    assert clip.metadata() == {"id_1: frames": 3, "id_1: absent": 1}


def test_absent_frames_are_black_and_counted(tmp_path):
    """Left out of the video, all later frames would be out of step with the recording."""
    from mosaic_dagster.media.video import Video

    pytest.importorskip("cv2")
    frames = [(7, PICTURE), (8, None), (9, PICTURE[..., 0])]
    clip = encode_clip("c", frames, 10.0, "both", (16, 8))
    assert (clip.frames, clip.absent, clip.n_absent) == ((7, 8, 9), (8,), 1)
    assert list(clip.pictures) == [7, 9]
    assert clip.video is not None
    (tmp_path / "c.mp4").write_bytes(clip.video)
    with Video(tmp_path / "c.mp4") as video:
        means = [image.mean() for _, image in video.frames()]
    assert means == pytest.approx([90, 0, 90], abs=4)


def test_only_what_is_asked_for_is_made():
    pytest.importorskip("cv2")
    assert encode_clip("c", [(0, PICTURE)], 10.0, "frames", (16, 8)).video is None
    assert encode_clip("c", [(0, PICTURE)], 10.0, "video", (16, 8)).pictures == {}
    with pytest.raises(ScopeError, match="no frame for 'c'"):
        encode_clip("c", [], 10.0, "both", (16, 8))
    with pytest.raises(ParamsError, match="'gif' is unknown"):
        encode_clip("c", [(0, PICTURE)], 10.0, "gif", (16, 8))
