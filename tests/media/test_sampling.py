"""Frames for annotation cover the recording, and are the same each time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import FitError, MissingColumnError, ParamsError, ScopeError
from mosaic_dagster.media.sampling import (
    diverse_rows,
    frame_pictures,
    sample_feature_frames,
    sample_frames,
    uniform_frames,
)


def test_uniform_frames_reach_from_first_to_last():
    """4 of 11: 0, 3.33, 6.67 and 10 are rounded."""
    assert uniform_frames(11, 4).tolist() == [0, 3, 7, 10]
    assert uniform_frames(5, 1).tolist() == [0]
    assert uniform_frames(3, 10).tolist() == [0, 1, 2]
    for n_frames, n in ((0, 1), (5, 0)):
        with pytest.raises(ParamsError):
            uniform_frames(n_frames, n)


@given(n_frames=st.integers(1, 5000), n=st.integers(1, 300))
def test_no_uniform_frame_comes_twice(n_frames, n):
    """A frame annotated twice is work lost."""
    frames = uniform_frames(n_frames, n)
    assert len(set(frames.tolist())) == len(frames) == min(n, n_frames)
    assert frames.min() == 0
    assert frames.max() < n_frames


def test_each_heap_gives_one_row():
    """Three heaps of 20 rows around 0, 100 and 200; the row of NaN is never chosen."""
    heaps = np.concatenate([np.linspace(0, 1, 20) + start for start in (0, 100, 200)])
    rows = np.append(heaps, np.nan)[:, None]
    chosen = diverse_rows(rows, 3)
    assert sorted(chosen // 20) == [0, 1, 2]
    assert diverse_rows(rows, 3).tolist() == chosen.tolist()


def test_what_clusters_do_not_give_is_filled_with_the_farthest():
    """0 (five times), 1 and 10: three distinct rows first, then any, until there are four."""
    rows = np.array([0, 0, 0, 0, 0, 1, 10], dtype=float)[:, None]
    chosen = diverse_rows(rows, 4)
    assert len(set(chosen.tolist())) == 4
    assert {5, 6} < set(chosen.tolist())


@given(values=st.lists(st.integers(0, 3), min_size=1, max_size=12), n=st.integers(1, 15))
def test_as_many_rows_as_asked_for(values, n):
    """Equal rows must neither be lost from the count nor come twice."""
    chosen = diverse_rows(np.array(values, dtype=float)[:, None], n)
    assert len(set(chosen.tolist())) == min(n, len(values))
    assert len({values[i] for i in chosen}) == min(n, len(set(values)))
    assert chosen.tolist() == sorted(chosen.tolist())


def test_rows_without_values_are_an_error():
    with pytest.raises(FitError, match="None of 2 rows"):
        diverse_rows(np.full((2, 1), np.nan), 1)


def test_frames_that_look_different_are_chosen(film):
    """Of 20 frames, 12 to 14 are bright and 19 is striped: one of each kind is chosen."""
    pytest.importorskip("cv2")
    images = [np.zeros((48, 64, 3), np.uint8) for _ in range(20)]
    for bright in images[12:15]:
        bright[:] = 250
    images[19][:, ::16] = 250
    images[19][:, 8:40] = 120
    chosen = sample_frames(film(images), 3, method="kmeans", width=16)
    assert chosen[1] in (12, 13, 14)
    assert chosen[2] == 19
    assert chosen[0] not in (12, 13, 14, 19)


def test_only_candidates_are_read(film):
    """A long video is not read whole: 5 candidates of 20 are 0, 5, 10, 14 and 19."""
    pytest.importorskip("cv2")
    source = film([np.full((4, 4, 3), i, np.uint8) for i in range(20)])
    chosen = sample_frames(source, 2, method="kmeans", candidates=5)
    assert source.asked == [0, 5, 10, 14, 19]
    assert set(chosen.tolist()) <= set(source.asked)


def test_a_video_is_sampled_evenly(film):
    source = film([np.zeros((4, 4, 3), np.uint8)] * 11)
    assert sample_frames(source, 4).tolist() == [0, 3, 7, 10]
    assert source.asked == []
    with pytest.raises(ParamsError, match="'random' is unknown"):
        sample_frames(source, 4, method="random")


def test_features_count_alike():
    """b has numbers of another size; it must not decide alone. Frames are told, not rows."""
    table = pl.DataFrame(
        {"frame": [10, 11, 12, 13], "id": [0, 0, 0, 0], "a": [0.0, 0.0, 1.0, 1.0],
         "b": [0.0, 1000.0, 0.0, 1000.0], "name": list("wxyz")}
    )  # fmt: skip
    assert sample_feature_frames(table, 4).tolist() == [10, 11, 12, 13]
    by_a = sample_feature_frames(table, 2, columns=["a"])
    assert by_a[0] in (10, 11)
    assert by_a[1] in (12, 13)
    with pytest.raises(MissingColumnError, match="lacks the column"):
        sample_feature_frames(table, 2, columns=["c"])
    with pytest.raises(FitError, match="no column of numbers"):
        sample_feature_frames(table.drop("a", "b"), 2)


def test_a_feature_of_many_scales_does_not_drown_the_others():
    """a separates rows 0 and 1 by 1 of 1; b differs by noise of 1000 in 4,000,000."""
    table = pl.DataFrame(
        {"frame": range(6), "a": [0.0] * 3 + [1.0] * 3, "b": [4e6, 4e6 + 1e3, 4e6] * 2}
    )
    chosen = sample_feature_frames(table, 4)
    kinds = {(table["a"][int(f)], table["b"][int(f)]) for f in chosen}
    assert len(kinds) == 4


def test_individuals_share_frames():
    """Two rows of frame 3 are one frame to annotate."""
    table = pl.DataFrame({"frame": [3, 3], "id": [0, 1], "a": [0.0, 1.0]})
    assert sample_feature_frames(table, 2).tolist() == [3]


def test_chosen_frames_become_pictures(video):
    from mosaic_dagster.media.video import Video

    with Video(video) as source:
        outputs = frame_pictures(source, [3, 12], "larva")
        with pytest.raises(ScopeError):
            frame_pictures(source, [20])
    assert [(name, ext) for _, name, ext in outputs] == [
        ("larva_000003", "png"), ("larva_000012", "png")
    ]  # fmt: skip
    assert all(data.startswith(b"\x89PNG") for data, _, _ in outputs)
