"""Short names of runs, pipelines and chains: unique, and understood again."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.cli.models.identifiers import CHAIN, PIPELINE, RUN, Identifiers

KINDS = (CHAIN, PIPELINE, RUN)
names = st.text("ab01-", min_size=1, max_size=14)


@given(st.dictionaries(names, st.sampled_from(KINDS), min_size=1))
def test_a_short_name_leads_back(kinds: dict[str, str]) -> None:
    """What one command prints another takes; else people copy names that mean something else."""
    known = Identifiers(kinds)
    for name, kind in kinds.items():
        assert known.find(known.short(name), *KINDS) == name
        assert known.find(known.short(name).upper(), kind) == name
        assert known.kind(name) == kind


def test_short_names_are_as_long_as_needed() -> None:
    """Two share nine characters, so they are told apart by the tenth; the third needs eight."""
    known = Identifiers({"aaaaaaaaab1": CHAIN, "aaaaaaaaac2": RUN, "b123456789": CHAIN})
    assert known.short("aaaaaaaaab1") == "aaaaaaaaab"
    assert known.short("aaaaaaaaac2") == "aaaaaaaaac"
    assert known.short("b123456789") == "b1234567"


def test_several_are_listed_with_their_kinds() -> None:
    """Among chains alone the same beginning is clear."""
    known = Identifiers({"aa1": CHAIN, "aa2": RUN})
    with pytest.raises(typer.BadParameter, match=r"aa1 \(chain\), aa2 \(run\)"):
        known.find("aa", CHAIN, RUN)
    assert known.find("aa", CHAIN) == "aa1"


@pytest.mark.parametrize("text", ["", " ", "zz"])
def test_an_unknown_beginning_lists_what_there_is(text: str) -> None:
    """Six chains: five are shown, and that there are more."""
    known = Identifiers({f"{i}abcdefgh": CHAIN for i in range(6)})
    with pytest.raises(typer.BadParameter, match=r"There are 6: 0abcdefg, .*4abcdefg, …"):
        known.find(text, CHAIN)


def test_a_typing_error_gets_the_nearest() -> None:
    with pytest.raises(typer.BadParameter, match="Did you mean '1abcdefg'"):
        Identifiers({"1abcdefgh": CHAIN, "zzzzzzzzz": CHAIN}).find("1abdefg", CHAIN)


def test_nothing_is_there_yet() -> None:
    with pytest.raises(typer.BadParameter, match="There is no chain at all yet"):
        Identifiers({}).find("a", CHAIN)
