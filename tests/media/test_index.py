"""The media index finds a recording's videos again, and joins them in their order."""

from __future__ import annotations

import shutil

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import (
    EntryNotFoundError,
    MissingColumnError,
    ParamsError,
    ReaderError,
    ScopeError,
)
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.media.index import (
    MEDIA_SCHEMA,
    MediaFile,
    find_media,
    index_media,
    media_files,
    media_table,
    open_stream,
)

KEY = EntryKey("dish 01", "larva")
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
COUNT = st.integers(0, 2**40)


def media_file(order: int = 0, camera: str = "", **others: object) -> MediaFile:
    facts = (64, 48, 10.0, 20, "FMP4", camera)
    file = MediaFile(f"{order}.mp4", f"{order}.mp4", 9, 1.5, "dish 01", "larva", order, *facts)
    return MediaFile(**{**vars(file), **others})


FILES = st.builds(
    MediaFile, TEXT, TEXT, COUNT, st.floats(0, 2e9), TEXT, st.text("abc/ ", min_size=1), COUNT,
    COUNT, COUNT, st.floats(0, 500), COUNT, TEXT, TEXT, TEXT, TEXT,
)  # fmt: skip


@given(files=st.lists(FILES, max_size=5))
def test_files_survive_the_table(files):
    """An index is kept as a table; what changes on the way is lost for good."""
    table = media_table(files)
    assert table.schema == MEDIA_SCHEMA
    by_text = repr
    assert sorted(media_files(table), key=by_text) == sorted(files, key=by_text)


def test_a_table_that_is_no_index_is_named():
    with pytest.raises(MissingColumnError, match=r"lacks the column\(s\) n_frames"):
        media_files(media_table([media_file()]).drop("n_frames"))


def test_videos_of_a_recording_become_one_stream(video, make_video, tmp_path):
    """20 and 5 frames; given in the order b, a, frame 5 is the first of a."""
    folder = tmp_path / "media"
    folder.mkdir()
    shutil.copy(video, folder / "a.mp4")
    shutil.copy(make_video("second.mp4", n_frames=5), folder / "b.mp4")
    files = index_media(
        KEY, [folder / "b.mp4", folder / "a.mp4"], root=tmp_path, cm_per_pixel="0.05"
    )
    assert [(f.path, f.video_order, f.n_frames) for f in files] == [
        ("media/b.mp4", 0, 5), ("media/a.mp4", 1, 20)
    ]  # fmt: skip
    assert files[1].size_bytes == video.stat().st_size
    assert (files[0].key, files[0].scale_cm) == (KEY, 0.05)
    table = media_table(reversed(files))
    with open_stream(table, KEY, root=tmp_path) as stream:
        assert stream.facts.n_frames == 25
        assert stream.locate(5) == (folder / "a.mp4", 0)
        assert stream.frame(6).mean() == pytest.approx(12, abs=4)
    (folder / "a.mp4").write_bytes(b"another video")
    with pytest.raises(ReaderError, match="13 bytes; in the media index"):
        open_stream(table, KEY, root=tmp_path)


def test_frames_of_a_damaged_video_can_be_counted(cut_video, tmp_path):
    """With the header's count, everything in the next video would be shifted."""
    (file,) = index_media(KEY, [cut_video], root=tmp_path, count=True)
    assert file.n_frames < 20
    assert file.path == cut_video.as_posix()
    with open_stream(media_table([file]), KEY) as stream:
        assert stream.facts.n_frames == file.n_frames


def test_one_camera_must_be_chosen():
    """Frames of two cameras in a row would be a recording that never was."""
    table = media_table([media_file(0, "top"), media_file(0, "side"), media_file(1, "top")])
    with pytest.raises(ScopeError, match="cameras 'side', 'top'"):
        find_media(table, KEY)
    assert [f.video_order for f in find_media(table, KEY, camera="top")] == [0, 1]
    with pytest.raises(EntryNotFoundError, match=r"from camera 'back'. Its cameras: 'side', 'top'"):
        find_media(table, KEY, camera="back")
    with pytest.raises(EntryNotFoundError, match="index_media"):
        find_media(table, EntryKey("", "nobody"))


def test_an_order_is_given_once():
    table = media_table([media_file(0), media_file(0, path="copy.mp4")])
    with pytest.raises(ScopeError, match="video_order 0"):
        find_media(table, KEY)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "0,05", "wide"])
def test_a_scale_that_is_none_is_refused(text, video):
    """Lengths in cm would be wrong by it."""
    with pytest.raises(ParamsError, match="cm_per_pixel"):
        index_media(KEY, [video], cm_per_pixel=text)


def test_no_scale_means_uncalibrated():
    assert media_file(cm_per_pixel=" ").scale_cm is None
    assert media_table([]).schema == MEDIA_SCHEMA
    assert isinstance(media_table([media_file()])["cm_per_pixel"].dtype, pl.String)
