"""Bouts of named behaviours into labels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mosaic_dagster.dataset.labels.readers.bouts import (
    SCENE,
    Bout,
    BoutParams,
    Whom,
    bout_labels,
    class_names,
)

ADULT, PUP = (0, -1), (1, -1)


def made(
    bouts: list[Bout], observed: tuple[int, int] | None = None, of: Any = (SCENE,), **params: Any
) -> tuple[list[tuple[int, Whom, str]], dict[str, object]]:
    """(frame, whom, name) of each event, and the notes."""
    asked = BoutParams(**params)
    names = class_names({bout.behavior for bout in bouts}, asked)
    labels, notes = bout_labels(bouts, names, asked, fps=30.0, observed=observed, background_of=of)
    return [(f, (a, b), names[c]) for f, a, b, c in labels.events.rows()], notes


def test_classes_are_the_background_and_the_behaviours_by_name() -> None:
    """Numbers must not depend on the order in which a person scored."""
    assert class_names(["run", "groom"], BoutParams()) == {0: "none", 1: "groom", 2: "run"}
    assert class_names(["run"], BoutParams(background=None)) == {0: "run"}
    assert class_names(["run", "other", "a"], BoutParams(background="other")) == {
        0: "a", 1: "other", 2: "run",
    }  # fmt: skip


def test_a_list_of_behaviours_keeps_the_numbers_of_all_files_alike() -> None:
    """A file without grooming would call running 1, the others 2: two meanings of one number."""
    asked = BoutParams(behaviors=("run", "groom"))
    assert class_names(["run"], asked) == class_names(["groom"], asked)
    assert class_names(["run"], asked) == {0: "none", 1: "groom", 2: "run"}


def test_frames_without_an_event_stay_unlabelled() -> None:
    """Nobody said that nothing happened there."""
    assert made([Bout("run", 2, 4)], (0, 6))[0] == [(2, SCENE, "run"), (3, SCENE, "run")]


def test_the_one_that_began_later_counts() -> None:
    """Rows are in the order of the starts: in frame 1, groom comes after run."""
    events, _ = made([Bout("groom", 1, 2), Bout("run", 0, 2)])
    assert events == [(0, SCENE, "run"), (1, SCENE, "run"), (1, SCENE, "groom")]


def test_the_later_in_the_list_counts() -> None:
    events, notes = made(
        [Bout("groom", 1, 2), Bout("run", 0, 2), Bout("dig", 0, 1), Bout("dig", 5, 6)],
        behaviors=("groom", "run"),
    )
    assert events == [(1, SCENE, "groom"), (0, SCENE, "run"), (1, SCENE, "run")]
    assert notes == {"behaviors_left_out": {"dig": 2}}, "what is left out is told"


def test_negative_frames_are_dropped_and_counted() -> None:
    """[-3, -1) goes whole, [-1, 2) loses one frame: three frames."""
    events, notes = made([Bout("run", -3, -1), Bout("run", -1, 2)])
    assert [frame for frame, *_ in events] == [0, 1]
    assert notes == {"negative_frames_dropped": 3}


def test_overlapping_bouts_of_one_behaviour_are_one_label() -> None:
    """Twice the rows would weigh these frames twice."""
    events, notes = made([Bout("run", 0, 3), Bout("run", 2, 4)])
    assert [frame for frame, *_ in events] == [0, 1, 2, 3]
    assert notes == {}


def test_a_behaviour_that_begins_again_counts_again() -> None:
    """Run from 0, dig from 2, run once more from 3: in frame 3 run began later than dig."""
    events, _ = made([Bout("run", 0, 5), Bout("dig", 2, 4), Bout("run", 3, 4)])
    assert [name for frame, _, name in events if frame == 2] == ["run", "dig"]
    assert [name for frame, _, name in events if frame == 3] == ["dig", "run"]


def test_the_background_fills_what_is_free() -> None:
    """Of frames 0 to 5: run in 2, 3; free are 0, 1 and 4, 5."""
    events, _ = made([Bout("run", 2, 4)], (0, 6), label_background=True)
    assert {(frame, name) for frame, _, name in events} == {
        (0, "none"), (1, "none"), (2, "run"), (3, "run"), (4, "none"), (5, "none"),
    }  # fmt: skip
    assert len(events) == 6


def test_the_background_is_of_each_individual() -> None:
    """The adult runs in frame 0, the scene is dark in frame 1: each is free where neither is."""
    bouts = [Bout("run", 0, 1, ADULT), Bout("dark", 1, 2, SCENE)]
    events, _ = made(bouts, (0, 3), [ADULT, PUP], label_background=True)
    assert [(f, w) for f, w, name in events if name == "none"] == [(2, ADULT), (0, PUP), (2, PUP)]
    assert events[-2:] == [(0, ADULT, "run"), (1, SCENE, "dark")], "events come after, and count"


@given(
    st.lists(st.tuples(st.integers(-5, 15), st.integers(1, 8)), max_size=6),
    st.integers(0, 5),
    st.integers(0, 12),
)
def test_with_a_background_every_observed_frame_has_one_label(
    spans: list[tuple[int, int]], first: int, length: int
) -> None:
    bouts = [Bout("run", start, start + long) for start, long in spans]
    events, _ = made(bouts, (first, first + length), label_background=True)
    run = {f for b in bouts for f in range(b.first, b.after) if f >= 0}
    observed = set(range(first, first + length))
    assert sorted(frame for frame, *_ in events) == sorted(run | observed)
    assert {frame for frame, _, name in events if name == "none"} == observed - run


@pytest.mark.parametrize(
    "params",
    [
        {"behaviors": ()},
        {"behaviors": ("a", "a")},
        {"background": ""},
        {"background": None, "label_background": True},
        {"behaviours": ("a",)},
    ],
)
def test_impossible_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BoutParams(**params)
