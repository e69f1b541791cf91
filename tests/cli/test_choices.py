"""Names on the command line, and what is meant by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.cli.choices import find_entry, find_keys, find_selection, find_step
from mosaic_dagster.dataset import EntryKey
from mosaic_dagster.errors import EntryNotFoundError, ScopeError, UnknownStepError
from mosaic_dagster.pipeline import FeatureStep, Pipeline


def walking(name: str = "walking") -> Pipeline:
    smooth = FeatureStep("smooth", "trajectory-smooth")
    speed = FeatureStep("speed", "speed-angvel", {}, ["smooth"])
    other = FeatureStep("size", "body-scale", {}, ["smooth"])
    return Pipeline(name=name).add(smooth).add(speed).add(other)


KEYS = ["/alone", "dish%2001/larva%2E1", "dish02/a", "dish02/b"]


def test_a_step_is_found_by_its_name_or_its_full_name() -> None:
    pipelines = [walking()]
    assert find_step(pipelines, "speed") == ("walking", "speed")
    assert find_step(pipelines, "walking/speed") == ("walking", "speed")
    assert find_step(pipelines, "tracks") == ("", "tracks")


def test_a_step_of_two_pipelines_must_be_told_apart() -> None:
    """Taking the first would show the wrong pipeline's numbers."""
    pipelines = [walking(), walking("crawling")]
    with pytest.raises(UnknownStepError, match="walking/speed"):
        find_step(pipelines, "speed")
    assert find_step(pipelines, "crawling/speed") == ("crawling", "speed")


def test_an_unknown_step_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownStepError, match="Did you mean 'speed'"):
        find_step([walking()], "sped")


@given(st.lists(st.builds(EntryKey, st.text(), st.text(min_size=1)), min_size=1, unique=True))
def test_every_key_finds_its_entry(entries: list[EntryKey]) -> None:
    """A recording with an odd name could not be asked about."""
    keys = [str(entry) for entry in entries]
    assert [find_entry(key, keys) for key in keys] == keys


@pytest.mark.parametrize(
    ("text", "key"),
    [("dish 01/larva.1", "dish%2001/larva%2E1"), ("alone", "/alone"), ("/alone", "/alone")],
)
def test_an_entry_may_be_called_as_its_files(text: str, key: str) -> None:
    """Nobody percent-encodes by hand."""
    assert find_entry(text, KEYS) == key


def test_an_unknown_entry_gets_the_nearest_name() -> None:
    with pytest.raises(EntryNotFoundError, match="dish02/a"):
        find_entry("dish2/a", KEYS)


def test_an_entry_that_could_be_two_is_refused() -> None:
    """``a/b`` + ``c`` and ``a`` + ``b/c`` read alike; guessing shows the wrong recording."""
    keys = [str(EntryKey("a/b", "c")), str(EntryKey("a", "b/c"))]
    with pytest.raises(EntryNotFoundError, match="could be"):
        find_entry("a/b/c", keys)


def test_groups_and_entries_narrow_each_other() -> None:
    assert find_keys([], [], KEYS) is None
    assert find_keys(["dish02"], [], KEYS) == ["dish02/a", "dish02/b"]
    assert find_keys(["dish02"], ["dish02/b"], KEYS) == ["dish02/b"]
    with pytest.raises(ScopeError, match="dish02"):
        find_keys(["dish2"], [], KEYS)
    with pytest.raises(ScopeError, match="No entry"):
        find_keys(["dish02"], ["alone"], KEYS)


def test_a_step_comes_with_what_it_needs_and_forcing_with_what_is_below() -> None:
    """speed needs smooth and not size; below smooth lie all three."""
    selection = find_selection([walking()], ["speed"], ["dish02/a"], "smooth")
    assert selection.steps == {"walking": {"smooth", "speed"}}
    assert selection.keys == {"dish02/a"}
    assert selection.forced == {"walking": {"smooth", "speed", "size"}}
    assert find_selection([walking()], [], None, None).steps is None


def test_tracks_cannot_be_forced() -> None:
    with pytest.raises(UnknownStepError, match="files change"):
        find_selection([walking()], [], None, "tracks")
