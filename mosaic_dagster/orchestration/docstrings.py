"""What docstrings say, as the Markdown that Dagster shows."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel

_SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.M)
_ROLE = re.compile(r":[a-z]+:`~?([^`<]+)`")
_NAMES = re.compile(r"^([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*)$")


def told_of(described: object) -> str:
    """What a docstring says before its first section."""
    return as_markdown(_parts(described)[""])


def notes_of(described: object) -> str:
    """The section *Notes* of a docstring; empty where there is none."""
    return as_markdown(_parts(described).get("Notes", ""))


def field_words(model: type[BaseModel]) -> dict[str, str]:
    """What is said of each field of a model, in its docstring or those of its bases.

    Fields that nothing is said of are left out; one entry of a docstring may be about several.
    """
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel and cls.__dict__.get("__doc__"):
            found |= _entries(_parts(cls).get("Attributes", ""))
    given = {name: info.description for name, info in model.model_fields.items()}
    found |= {name: text for name, text in given.items() if text}
    return {name: as_markdown(text) for name, text in found.items() if name in model.model_fields}


def as_markdown(text: str) -> str:
    """Plain docstring text with its code and its references in Markdown's form."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`").strip()


def _parts(described: object) -> dict[str, str]:
    """Text of each section by its title; what comes before them has none."""
    pieces = _SECTION.split(_own_doc(described))
    return {"": pieces[0]} | dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _own_doc(described: Any) -> str:
    text = described.__dict__.get("__doc__") if inspect.isclass(described) else described.__doc__
    return inspect.cleandoc(text) if text else ""


def _entries(section: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.strip().splitlines():
        match = _NAMES.match(line)
        if match:
            names = match[1].split(", ")
        elif names and line.strip():
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return found
