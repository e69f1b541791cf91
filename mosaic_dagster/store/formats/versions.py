"""Which library made an object, and what is said when another version loads it."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any


class LibraryVersionWarning(UserWarning):
    """An object was stored with another version of its library than the one that loads it."""


def format_version(obj: Any) -> str:
    """Library and version of an object's class, such as ``sklearn==1.9.1``.

    The library is the top-level package of the class; the text is empty when it has no version
    (built-in types, classes of a notebook).
    """
    package = type(obj).__module__.partition(".")[0]
    found = library_version(package)
    return f"{package}=={found}" if found else ""


def library_version(package: str) -> str:
    """Version of an imported or installed top-level package; empty when it has none."""
    if package in sys.stdlib_module_names or package == "__main__":
        return ""
    own = getattr(sys.modules.get(package), "__version__", None)
    return own if isinstance(own, str) else _installed(package)


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
