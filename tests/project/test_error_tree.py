"""The errors: one tree, drawn where people look for it, each usable across processes."""

from __future__ import annotations

import copy
import importlib
import pkgutil

import pytest

import mosaic_dagster
from mosaic_dagster import errors
from mosaic_dagster.errors import MosaicError


def draw(cls: type[MosaicError], indent: str = "") -> str:
    """The tree below a class, one line per class, in the order of their definition."""
    own = [c for c in cls.__subclasses__() if c.__module__ == errors.__name__]
    return "\n".join([indent + cls.__name__, *(draw(c, indent + "  ") for c in own)])


def every_error(cls: type[MosaicError] = MosaicError) -> list[type[MosaicError]]:
    """All errors of the installed package, in whichever module they stand."""
    ours = [c for c in cls.__subclasses__() if c.__module__.startswith("mosaic_dagster.")]
    return [cls, *(error for c in ours for error in every_error(c))]


def test_the_drawn_tree_is_the_tree() -> None:
    """Whoever writes ``except`` picks the class from this drawing."""
    assert draw(MosaicError, "    ") in (errors.__doc__ or "")


def test_all_errors_stand_in_one_module() -> None:
    """An error defined elsewhere is missing from the drawing and cannot be found."""
    for module in pkgutil.walk_packages(mosaic_dagster.__path__, "mosaic_dagster."):
        if not module.name.endswith(".__main__"):  # importing that would run the command
            importlib.import_module(module.name)
    assert {error.__module__ for error in every_error()} == {errors.__name__}


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_an_error_keeps_message_and_remedy_on_its_way_from_a_worker(
    cls: type[MosaicError],
) -> None:
    """Workers send errors to their parent by the same protocol that ``copy`` uses."""
    error = cls("Frame 3 of dish01/larva_1 is text.", "Write a number.")
    error.where = "larva_1.csv"  # type: ignore[attr-defined]
    arrived = copy.copy(error)
    assert type(arrived) is cls
    assert str(arrived) == "Frame 3 of dish01/larva_1 is text. Write a number."
    assert (arrived.what, arrived.remedy) == (error.what, error.remedy)
    assert arrived.where == "larva_1.csv"  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_an_error_says_what_it_is_for(cls: type[MosaicError]) -> None:
    """A class without a docstring leaves its reader to guess when it is raised."""
    assert cls.__dict__.get("__doc__")
