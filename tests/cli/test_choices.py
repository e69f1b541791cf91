"""Names on the command line, and what is meant by them."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.cli.choices import (
    find_entries,
    find_entry,
    find_keys,
    find_parts,
    find_selection,
    find_step,
    refuse_ingested,
)
from mosaic_dagster.dataset import DatasetDeclaration, EntryKey
from mosaic_dagster.errors import EntryNotFoundError, ScopeError
from mosaic_dagster.pipeline import FeatureStep, Pipeline, Study


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
    with pytest.raises(typer.BadParameter, match="walking/speed"):
        find_step(pipelines, "speed")
    assert find_step(pipelines, "crawling/speed") == ("crawling", "speed")


def test_an_unknown_step_gets_the_nearest_name() -> None:
    with pytest.raises(typer.BadParameter, match="Did you mean 'speed'"):
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


def study(name: str, *pipelines: Pipeline) -> Study:
    return Study(DatasetDeclaration(name), pipelines)


def test_a_step_comes_with_what_it_needs_and_forcing_with_what_is_below() -> None:
    """speed needs smooth and not size; below smooth lie all three."""
    mice = [study("mice", walking())]
    (part,) = find_parts(mice, ["speed"], "smooth")
    selection = find_selection(part, ["dish02/a"])
    assert selection.steps == {"walking": {"smooth", "speed"}}
    assert selection.keys == {"dish02/a"}
    assert selection.forced == {"walking": {"smooth", "speed", "size"}}
    assert find_selection(find_parts(mice, [], None)[0], None).steps is None


def test_a_pipeline_of_several_datasets_is_asked_for_on_each() -> None:
    """One pipeline on several datasets is normal; its steps must not count as ambiguous."""
    parts = find_parts([study("mice", walking()), study("flies", walking())], ["speed"], "smooth")
    assert [(p.study.dataset.name, p.steps, p.force_from) for p in parts] == [
        ("mice", ["walking/speed"], "walking/smooth"),
        ("flies", ["walking/speed"], "walking/smooth"),
    ]


def test_pipelines_of_one_name_may_differ_between_datasets() -> None:
    """Only the mice have sizes; asking for them must neither fail nor run the flies."""
    short = Pipeline(name="walking").add(FeatureStep("speed", "speed-angvel"))
    studies = [study("mice", walking()), study("flies", short)]
    for steps, force_from in ((["size"], None), ([], "size")):
        (part,) = find_parts(studies, steps, force_from)
        assert part.study.dataset.name == "mice"
    assert len(find_parts(studies, [], None)) == 2


def test_a_step_of_two_pipelines_of_one_dataset_must_be_told_apart() -> None:
    """Running both, or the first, is not what was asked for; elsewhere the name is plain."""
    both = study("mice", walking(), walking("crawling"))
    with pytest.raises(typer.BadParameter, match="walking/speed"):
        find_parts([both, study("flies", walking())], ["speed"], None)
    parts = find_parts([both, study("flies", walking())], ["crawling/speed"], None)
    assert [part.study.dataset.name for part in parts] == ["mice"]


@pytest.mark.parametrize(
    ("name", "option", "told"),
    [
        ("tracks", "--step", "reads the tracks"),
        ("tracks", "--force-from", "tracks cannot be forced.*files change"),
        ("labels/behavior", "--step", "reads the labels of kind behavior"),
        ("labels/behavior", "--force-from", "labels of kind behavior cannot be forced"),
        ("labels/behaviour", "--step", "no labels of kind 'behaviour'.*'behavior'.*id_tags"),
    ],
)
def test_what_is_read_from_files_is_no_step(name: str, option: str, told: str) -> None:
    """A message about tracks leaves whoever typed labels without a clue."""
    with pytest.raises(typer.BadParameter, match=told):
        refuse_ingested(name, option, ["id_tags", "behavior"])


def test_a_range_is_all_entries_from_one_to_another() -> None:
    """A day of recordings is named by its first and last; a wrong order must not mean none."""
    keys = ["d/a", "d/b", "d/c", "e/a"]
    assert find_entries(["d/b...e/a"], keys) == ["d/b", "d/c", "e/a"]
    assert find_entries(["d/c", "d/b...d/c"], keys) == ["d/c", "d/b"]
    with pytest.raises(EntryNotFoundError, match=r"ends before it begins\. Write d/a\.\.\.d/c"):
        find_entries(["d/c...d/a"], keys)
    with pytest.raises(EntryNotFoundError, match="'d/z'"):
        find_entries(["d/a...d/z"], keys)


def test_an_entry_whose_name_has_three_dots_is_no_range() -> None:
    keys = [str(EntryKey("d", "a...b")), "d/b"]
    assert find_entries(["d/a...b"], keys) == [keys[0]]
