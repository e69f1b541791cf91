"""From the name of a feature to its class.

The library is found by file name: ``speed-angvel`` is ``library/<family>/speed_angvel.py``. A lab
adds its own features through the entry point group ``mosaic_dagster.features`` or with
:func:`register`.
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from mosaic_dagster.errors import FeatureError, UnknownFeatureError
from mosaic_dagster.features.protocol import Feature

ENTRY_POINTS = "mosaic_dagster.features"

AnyFeature = type[Feature[Any]]
F = TypeVar("F", bound=AnyFeature)

_registered: dict[str, AnyFeature] = {}


def register(cls: F) -> F:
    """Make a feature class known by its name; used as a class decorator.

    Raises
    ------
    FeatureError
        Another class has the name already.
    """
    known = _registered.setdefault(cls.name, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        msg = f"Two features are called {cls.name!r}: {known.__module__} and {cls.__module__}."
        raise FeatureError(msg, "Rename one of them.")
    _registered[cls.name] = cls
    return cls


def get_feature(name: str) -> AnyFeature:
    """The feature class of this name.

    Raises
    ------
    UnknownFeatureError
        Nothing has this name; the nearest names are given.
    """
    if name not in _registered:
        if name in _library_modules():
            importlib.import_module(_library_modules()[name])
        elif name in _plugins():
            register(_plugins()[name].load())
    if name not in _registered:
        near = difflib.get_close_matches(name, list_features(), n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See list_features()."
        msg = f"There is no feature {name!r}."
        raise UnknownFeatureError(msg, hint)
    return _registered[name]


def list_features() -> list[str]:
    """Names of all features: the library's, a lab's own, and those registered in this process."""
    return sorted({*_library_modules(), *_plugins(), *_registered})


@cache
def _library_modules() -> dict[str, str]:
    root = Path(__file__).parent / "library"
    files = (path for path in root.glob("*/*.py") if not path.name.startswith("_"))
    package = __name__.rpartition(".")[0]
    return {
        path.stem.replace("_", "-"): f"{package}.library.{path.parent.name}.{path.stem}"
        for path in files
    }


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
