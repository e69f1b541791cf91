"""JSON of strangers: bounded in size and depth, without what readers understand differently."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from mosaic_dagster.errors import BundleError

MAX_JSON = 16 << 20
MAX_DEPTH = 100

# A text without its end reaches to the end of the data, or each quote in it would be tried anew.
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_REMEDY = "The bundle is damaged or unsafe; nothing of it was used."


def parse_json(data: bytes, where: str) -> Any:
    """Read strict JSON in UTF-8.

    Parameters
    ----------
    data
        The text.
    where
        File and member, for the error.

    Raises
    ------
    BundleError
        The text is over 16 MiB, is nested deeper than 100, is no JSON, has a name twice in one
        object, or holds NaN, infinity or half a character.
    """
    if len(data) > MAX_JSON:
        raise BundleError(f"{where} is longer than {MAX_JSON} bytes.", _REMEDY)
    if _depth(data) > MAX_DEPTH:
        raise BundleError(f"{where} is nested deeper than {MAX_DEPTH}.", _REMEDY)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if rb"\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        raise BundleError(f"{where} is not strict JSON: {error}.", _REMEDY) from error
    return value


def _depth(data: bytes) -> int:
    """Deepest nesting; brackets inside texts do not count."""
    depth = deepest = 0
    for match in _BRACKET.finditer(data):
        first = data[match.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "an object has the same name twice"
        raise ValueError(msg)
    return found


def _refuse_constant(name: str) -> NoReturn:
    msg = f"it holds {name}"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse_constant(text)
    return value
