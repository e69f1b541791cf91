"""Every error says what to do next: a message without a remedy leaves people alone with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mosaic_dagster
from mosaic_dagster import errors

PACKAGE = Path(mosaic_dagster.__file__).parent
NAMES = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.MosaicError)
}
WHOLE = {"refusal.reason", "_describe(error)"}
"""Messages that were made elsewhere, with what to do at their end."""


def without_remedy(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every error that is made of one argument, or of an empty remedy."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in NAMES or any(isinstance(arg, ast.Starred) for arg in node.args):
            continue
        what, *remedy = [ast.unparse(arg) for arg in node.args] or [""]
        if what not in WHOLE and (not remedy or remedy[0] in ("''", "None")):
            yield node.lineno, ast.unparse(node)


def test_a_missing_remedy_is_noticed() -> None:
    """Two of these three calls say nothing of what to do."""
    source = "StoreError('a')\nStoreError('a', '')\nStoreError('a', 'Do b.')\nprint('a')"
    assert [line for line, _ in without_remedy(source)] == [1, 2]


@pytest.mark.slow
def test_every_error_says_what_to_do() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in without_remedy(path.read_text("utf-8"))
    ]
    assert found == []
