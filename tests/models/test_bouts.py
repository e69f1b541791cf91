"""Bouts and how they are matched."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.models.bouts import Bouts, BoutScores, find_bouts, match_bouts

rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=60
)


def of(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes and frames of a text with a digit per frame; a dot is a frame without a label."""
    frames = np.array([n for n, sign in enumerate(text) if sign != "."], dtype=np.int64)
    return np.array([int(text[n]) for n in frames], dtype=np.int64), frames


def scores(truth: str, predicted: str, min_iou: float = 0.5) -> BoutScores:
    classes = [0, 1]
    return match_bouts(find_bouts(*of(truth)), find_bouts(*of(predicted)), classes, min_iou)


def test_bouts_by_hand() -> None:
    """0011 then a frame without a label, then 11: the gap ends a bout though the class goes on."""
    bouts = find_bouts(*of("0011.11"))
    assert bouts.start.tolist() == [0, 2, 5]
    assert bouts.stop.tolist() == [2, 4, 7]
    assert bouts.label.tolist() == [0, 1, 1]


def test_each_individual_has_bouts_of_its_own() -> None:
    """Rows of two animals, interleaved by frame: one bout each, not four of one frame."""
    frames, who = np.array([0, 0, 1, 1]), np.array([4, 9, 4, 9])
    bouts = find_bouts(np.array([1, 2, 1, 2]), frames, who)
    assert bouts.identity.tolist() == [4, 9]
    assert (bouts.stop - bouts.start).tolist() == [2, 2]


def test_a_bout_is_found_when_half_of_either_is_common() -> None:
    """True 1s in frames 2–5, predicted in 3–6: 3 in common, 5 in either, 3/5 ≥ 1/2.

    At .7 it is not found any more, so precision, recall and F1 fall from 1 to 0.
    """
    found = scores("0011110000", "0001111000")
    assert (found.true[1], found.predicted[1], found.matched[1]) == (1, 1, 1)
    assert found.f1[1] == 1.0
    strict = scores("0011110000", "0001111000", 0.7)
    assert (strict.precision[1], strict.recall[1], strict.f1[1]) == (0.0, 0.0, 0.0)


def test_a_prediction_that_flickers_loses_its_bouts() -> None:
    """8 of 10 frames are right, but of the pieces of 2, 2 and 4 frames none is half of the bout.

    Frames: accuracy .8. Bouts of class 1: 1 true, 3 predicted, none matched.
    """
    found = scores("1111111111", "1101101111")
    assert found.true[1] == 1
    assert found.predicted[1] == 3
    assert found.matched[1] == 0
    assert found.f1[1] == 0.0


def test_a_true_bout_counts_once_however_many_pieces_match() -> None:
    """True 0–4; predicted 0–2 and 4: 3/5 matches, 1/5 does not, so F1 = 2 · 1 / (1 + 2) = 2/3.

    Two pieces of exactly half each would both match; only one may count, from either side.
    """
    found = scores("11111", "11101")
    assert (found.predicted[1], found.matched[1]) == (2, 1)
    assert found.f1[1] == pytest.approx(2 / 3)
    whole = find_bouts(np.ones(4, np.int64), np.arange(4))
    pieces = Bouts(np.zeros(2, int), np.array([0, 2]), np.array([2, 4]), np.ones(2, int))
    assert match_bouts(whole, pieces, [1]).matched.tolist() == [1]
    assert match_bouts(pieces, whole, [1]).matched.tolist() == [1]


def test_bouts_of_different_individuals_never_match() -> None:
    """The one did it in frames 0–2, the prediction says the other did."""
    ones, frames = np.ones(3, np.int64), np.arange(3)
    true = find_bouts(ones, frames, np.full(3, 0))
    said = find_bouts(ones, frames, np.full(3, 1))
    assert match_bouts(true, said, [1]).matched.tolist() == [0]


def test_a_class_without_bouts_has_no_score() -> None:
    """Never there and never predicted: null, not a perfect 1 nor a 0."""
    found = scores("000", "000")
    assert [found.precision[1], found.recall[1], found.f1[1]] == pytest.approx(
        [math.nan] * 3, nan_ok=True
    )
    said = scores("000", "010")
    assert said.precision[1] == 0.0
    assert math.isnan(said.f1[1])


def slow_matches(truth: dict, said: dict, label: int) -> int:
    """Matches of one class by comparing sets of frames, each pair with each."""
    pieces = []
    for values in (truth, said):
        found: list[set] = []
        for who, frame in sorted(values):
            if values[who, frame] != label:
                continue
            if found and (who, frame - 1) in found[-1]:
                found[-1].add((who, frame))
            else:
                found.append({(who, frame)})
        pieces.append(found)
    return sum(any(2 * len(t & p) >= len(t | p) for t in pieces[0]) for p in pieces[1])


@given(rows)
@settings(max_examples=150, deadline=None)
def test_matching_agrees_with_comparing_sets_of_frames(
    given_rows: list[tuple[int, int, int, bool]],
) -> None:
    """Truth and prediction of the same rows, gaps wherever a frame is not drawn."""
    truth, said = {}, {}
    for frame, (who, true, predicted, is_there) in enumerate(given_rows):
        if is_there:
            truth[who, frame // 2] = true
            said[who, frame // 2] = predicted
    places = list(truth)
    who = np.array([place[0] for place in places], dtype=np.int64)
    frames = np.array([place[1] for place in places], dtype=np.int64)
    true = np.array([truth[place] for place in places], dtype=np.int64)
    predicted = np.array([said[place] for place in places], dtype=np.int64)
    found = match_bouts(
        find_bouts(true, frames, who), find_bouts(predicted, frames, who), [0, 1, 2]
    )
    assert found.matched.tolist() == [slow_matches(truth, said, label) for label in range(3)]
    assert (found.matched <= np.minimum(found.true, found.predicted)).all()
    same = match_bouts(find_bouts(true, frames, who), find_bouts(true, frames, who), [0, 1, 2])
    assert same.matched.tolist() == same.true.tolist()


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(ParamsError, match="Frame 3 has two rows"):
        find_bouts(np.array([1, 1]), np.array([3, 3]))
    with pytest.raises(ParamsError, match=r"min_iou is 0\.4"):
        scores("1", "1", 0.4)


def test_a_share_of_exactly_min_iou_counts_whatever_floats_make_of_it() -> None:
    """Truth 00000000 0000…: 14 frames of 25 are .56, and .56 · 25 is 14.000000000000002."""
    assert 0.56 * 25 > 14
    found = scores("1" * 25, "1" * 14 + "0" * 11, 0.56)
    assert found.matched[1] == 1
