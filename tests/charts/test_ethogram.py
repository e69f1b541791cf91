"""Who did what when: what rows, pages and keys say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.charts import ethogram, ethogram_pairs
from mosaic_dagster.errors import ParamsError

NAMES = {0: "rest", 1: "attack"}


def row(values: list[object], column: str = "label", first: int = 0) -> pl.DataFrame:
    """Frames from `first` on, ten in a second."""
    frames = np.arange(first, first + len(values))
    return pl.DataFrame({"frame": frames, "time": frames / 10, column: values}, strict=False)


def images(figure):
    return [image.get_array().tolist() for image in figure.axes[0].images]


def key_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_the_rows_of_a_table_may_come_in_any_order():
    """A table after a join is not sorted; frames 2, 0, 1 are drawn as 0, 1, 2."""
    shuffled = row([0, 1, 1])[[2, 0, 1]]
    assert ethogram({"a": shuffled}, column="label") == ethogram(
        {"a": row([0, 1, 1])}, column="label"
    )


def test_text_and_numbers_with_names_look_the_same():
    """A class must not change its colour with the way in which labels are stored."""
    numbers = ethogram({"a": row([0, 1, None])}, column="label", names=NAMES)
    text = ethogram({"a": row(["rest", "attack", None])}, column="label", names=NAMES)
    assert numbers == text


def test_a_recording_without_attack_still_names_it(figure_of):
    """Then two pictures can be compared: the same key, the same colours."""
    figure = figure_of(ethogram, {"a": row([0])}, column="label", names=NAMES)
    assert key_of(figure) == ["rest", "attack"]


def test_missing_frames_are_in_the_key_only_if_there_are_some(figure_of):
    """A key must explain all colours and nothing else."""
    full, holes = row([0, 1, 0]), row([0, None, 0])
    assert key_of(figure_of(ethogram, {"a": full}, column="label")) == ["0", "1"]
    assert key_of(figure_of(ethogram, {"a": holes}, column="label")) == ["0", "none"]
    gap = full.filter(pl.col("frame") != 1)
    assert "none" not in key_of(figure_of(ethogram, {"a": gap}, column="label"))
    assert "none" in key_of(figure_of(ethogram, {"a": row([0] * 5)[[0, 1, 4]]}, column="label"))


def test_what_a_page_leaves_out_is_told(figure_of, texts_of):
    """41 rows: 40 on page 1, the last on page 2; else people think that they see all."""
    rows = {f"dish{i}": row([0]) for i in range(41)}
    first = figure_of(ethogram, rows, column="label")
    assert "Rows 1 to 40 of 41 (page 1 of 2)." in texts_of(first)
    second = figure_of(ethogram, rows, column="label", page=2)
    assert [t.get_text() for t in second.axes[0].get_yticklabels()] == ["dish40"]
    with pytest.raises(ParamsError, match="no page 3"):
        ethogram(rows, column="label", page=3)


def test_colours_are_the_same_on_all_pages(figure_of):
    """Class 1 is on the first page only and keeps its place in the key of the second."""
    rows = {"first": row([1])} | {f"dish{i}": row([2]) for i in range(40)}
    figure = figure_of(ethogram, rows, column="label", page=2)
    assert key_of(figure) == ["1", "2"]


def test_a_long_recording_says_how_it_was_condensed(figure_of, texts_of):
    """1,700 frames on 800 columns: up to 3 in each."""
    figure = figure_of(ethogram, {"a": row([0] * 1700)}, column="label")
    assert "A column of pixels: up to 3 frames, split by share." in texts_of(figure)


def test_pairs_are_joined_by_frame(figure_of, texts_of):
    """Truth of frames 0-3: 0 0 1 1, prediction of frames 1-4: 0 0 1 1. Both know 1, 2, 3 and agree
    on 1 and 3: 67 %. By position all would agree."""
    truth, prediction = row([0, 0, 1, 1]), row([0, 0, 1, 1], "predicted_label", 1)
    figure = figure_of(ethogram_pairs, {"a": truth}, {"a": prediction})
    above, below, strip = images(figure)
    indigo, cyan, grey = [0x33, 0x22, 0x88], [0x88, 0xCC, 0xEE], [0xE4] * 3
    assert above == [[indigo, indigo, cyan, cyan, grey]]
    assert below == [[grey, indigo, indigo, cyan, cyan]]
    agree, differ = [0xF4] * 3, [0, 0, 0]
    assert strip == [[grey, agree, differ, agree, grey]]
    assert "67%" in texts_of(figure)


def test_without_a_frame_known_in_both_there_is_no_agreement(figure_of, texts_of):
    """Zero per cent would say that the model is always wrong."""
    figure = figure_of(ethogram_pairs, {"a": row([None, 1])}, {})
    assert "–" in texts_of(figure)
    assert not any("%" in text for text in texts_of(figure) if text[0].isdigit())


def test_recordings_of_either_side_have_a_row(figure_of):
    """A recording that was predicted and never labelled must not vanish."""
    figure = figure_of(
        ethogram_pairs, {"a": row([0])}, {"b": row([0], "predicted_label")}, names=NAMES
    )
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b"]


def test_two_pairs_of_animals_in_a_table_are_refused():
    """Rows (0, 1) and (1, 0) of one frame would hide each other; the message names the side."""
    twice = pl.concat([row([0]), row([1])])
    with pytest.raises(ParamsError, match="'a, truth'"):
        ethogram_pairs({"a": twice}, {})
    with pytest.raises(ParamsError, match="'a'"):
        ethogram({"a": twice}, column="label")
