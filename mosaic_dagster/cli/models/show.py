"""``mosaic models show``: what a chain, a pipeline or a run is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.models.chain_facts import chain_facts
from mosaic_dagster.cli.models.identifiers import CHAIN, PIPELINE, RUN
from mosaic_dagster.cli.models.opening import Models, open_models
from mosaic_dagster.cli.models.run_facts import pipeline_facts, run_facts
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import (
    cell_text,
    one_line,
    print_json,
    print_lines,
    print_table,
    size_text,
)

_FACTS = {CHAIN: chain_facts, PIPELINE: pipeline_facts, RUN: run_facts}
_LONGEST = 100


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="CHAIN|PIPELINE|RUN",
            help="Beginning of an identifier.",
            show_default=False,
        ),
    ],
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Show what a chain, a pipeline or a run is made of.

    Of a chain: its steps, fitted objects, folds with weights and scores, the run that made it and
    the data that it was trained on. Of a pipeline: its chains. Of a run: its pipelines.

    Example: mosaic models show 3f2a8c1d
    """
    with open_models(project, dataset) as models:
        identifier = models.identifiers.find(name, CHAIN, PIPELINE, RUN)
        kind = models.identifiers.kind(identifier)
        facts = _FACTS[kind](models, identifier)
        told = facts if as_json else _shortened(models, facts)
    if as_json:
        print_json({"kind": kind} | facts)
        return
    print_lines([f"{kind} {identifier}"])
    for title, content in told.items():
        if content not in (None, "", identifier):
            _print_part(title.replace("_", " "), content)


def _print_part(title: str, content: Any) -> None:
    """A table for a list of rows, a line for each value of a mapping, or one line."""
    if isinstance(content, list | dict) and not content:
        print_lines(["", f"{title}: none"])
    elif isinstance(content, list) and isinstance(content[0], dict):
        print_lines(["", f"{title}:"])
        print_table(_table(content))
    elif isinstance(content, dict):
        print_lines(["", f"{title}:", *(f"  {key.replace('_', ' ')}: {_text(value)}"
                                        for key, value in content.items())])  # fmt: skip
    else:
        print_lines([f"{title}: {_text(content)}"])


def _table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    names = list(rows[0])
    columns = {name: [_cell(name, row[name]) for row in rows] for name in names}
    kept = {name: cells for name, cells in columns.items() if any(c is not None for c in cells)}
    return pl.DataFrame(
        {"size" if name == "bytes" else name: pl.Series(cells, strict=False)
         for name, cells in kept.items()}
    )  # fmt: skip


def _cell(name: str, value: Any) -> Any:
    if name == "bytes" and value is not None:
        return size_text(value)
    return _text(value) if isinstance(value, dict | list) else value


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _cut(", ".join(f"{key}={_text(item)}" for key, item in value.items()))
    if isinstance(value, list):
        return _cut(", ".join(_text(item) for item in value))
    return _cut(cell_text(value))


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _shortened(models: Models, value: Any, name: str = "") -> Any:
    """The same facts with the short form of every identifier in the tables."""
    if isinstance(value, dict):
        return {key: _shortened(models, item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(models, item, name) for item in value]
    if isinstance(value, str) and name in (CHAIN, PIPELINE, RUN):
        return models.identifiers.short(value)
    return value
