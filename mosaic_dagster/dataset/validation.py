"""What pydantic found wrong, as one sentence with the names that the user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from pydantic import ValidationError


def describe_problems(error: ValidationError, known: Iterable[str] = ()) -> str:
    """Each problem as ``name: message (given value)``; unknown names get the nearest known one."""
    names = list(known)
    return "; ".join(_describe(dict(problem), names) for problem in error.errors()) + "."


def nearest(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` with up to three known names, or an empty text."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def _describe(problem: Mapping[str, object], known: list[str]) -> str:
    parts = problem["loc"]
    where = ".".join(str(part) for part in parts) if isinstance(parts, tuple) else str(parts)
    if problem["type"] == "extra_forbidden":
        hint = nearest(where.rpartition(".")[2], known)
        return f"{where} is not a known name" + (f" ({hint})" if hint else "")
    given = problem.get("input")
    shown = "" if isinstance(given, Mapping) or not where else f" (given {given!r})"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where or 'values'}: {message}{shown}"
