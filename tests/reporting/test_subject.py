"""What stands behind a number."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.reporting.subject import Subject, entry_name, one_line, spread


def test_a_steps_digest_can_be_made_by_hand(made: Dataset, pipeline: Pipeline) -> None:
    """Else nobody could check that a page belongs to the results beside it."""
    heads = [h for h in made.registry.heads("walks") if h.step == "kinds"]
    lines = sorted(f"{head.key} {head.output_sha256}" for head in heads)
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    trace = Subject(made, pipeline).trace("kinds")
    assert (trace.digest, trace.results) == (expected, 4)
    assert trace.run_id == heads[0].run_id


def test_a_digest_over_some_recordings_is_of_these_alone(made: Dataset, pipeline: Pipeline) -> None:
    """The caption of a picture of two recordings must not vouch for four."""
    subject = Subject(made, pipeline)
    some = subject.trace("kinds", ["a/one", "a/two"])
    assert some.results == 2
    assert some.digest != subject.trace("kinds").digest
    assert subject.trace("kinds", []).digest == ""


def test_a_fit_and_a_callback_have_their_own_digest(made: Dataset, pipeline: Pipeline) -> None:
    """A fit that changes would go unseen in the digest of the tables."""
    subject = Subject(made, pipeline)
    heads = {(h.step, h.key): h.output_sha256 for h in made.registry.heads("walks")}
    assert subject.trace_of_fit("spots").digest == heads["spots", ""]
    assert subject.trace("pictures").digest == heads["pictures", ""]


@given(st.lists(st.integers(), unique=True), st.integers(1, 12))
def test_spread_keeps_order_and_ends(items: list[int], most: int) -> None:
    """Of 10,000 recordings the first and the last are shown, too."""
    chosen = spread(items, most)
    assert len(chosen) == min(len(items), most)
    assert chosen == sorted(chosen, key=items.index)
    if most > 1 and items:
        assert (chosen[0], chosen[-1]) == (items[0], items[-1])


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", "a b"), ("nul\0", "nul\\x00"), ("\u202egnp", "\\u202egnp"), ("é 蛆", "é 蛆")],
)
def test_what_cannot_be_printed_is_spelled_out(text: str, shown: str) -> None:
    """A name with a line break or a change of direction would spoil the page around it."""
    assert one_line(text) == shown


def test_a_recording_is_called_as_people_call_it() -> None:
    assert entry_name("dish%2001/larva%0A7") == "dish 01/larva 7"
