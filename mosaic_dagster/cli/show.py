"""``mosaic show``: a look at one result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.choices import find_step, units_of
from mosaic_dagster.cli.options import (
    DatasetOption,
    EntryOption,
    JsonOption,
    ProjectOption,
    StepArgument,
)
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.cli.status import unit_of
from mosaic_dagster.cli.tables import (
    cell_text,
    one_line,
    print_json,
    print_lines,
    print_table,
    shown_path,
    size_text,
)
from mosaic_dagster.dataset import Dataset, Labels
from mosaic_dagster.dataset.labels import read_labels_file
from mosaic_dagster.dataset.labels.behavior import NOBODY
from mosaic_dagster.errors import EntryNotFoundError, MissingColumnError
from mosaic_dagster.features import feature_columns
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.staleness import MODEL
from mosaic_dagster.pipeline.status import DONE, EntryStatus, result_of
from mosaic_dagster.pipeline.steps import labels_step
from mosaic_dagster.pipeline.trained_results import mean_scores, trained_of
from mosaic_dagster.pipeline.work import read_object
from mosaic_dagster.store import StoredResult
from mosaic_dagster.store.content.codecs import read_notes
from mosaic_dagster.store.outputs import write_files

AUTO = "auto"
_LONGEST_NAME = 150


@dataclass(frozen=True)
class _Shown:
    """A result, and what is known about it."""

    dataset: Dataset
    step: str
    entry: str
    status: EntryStatus
    result: StoredResult

    @property
    def path(self) -> Path:
        assert self.result.output_sha256 is not None
        return self.dataset.objects.path(self.result.output_sha256, self.result.ext)


def show(
    step: StepArgument,
    entry: EntryOption = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Number of first rows.")] = 5,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the first columns into this PNG file; `auto` puts it below exports/show.",
        ),
    ] = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Show a result: its columns and first rows, its notes, and a quick plot.

    A result that is out of date is shown as it was last made. Without --entry the files of a
    fitted step's fit, or of a callback, are listed, and the scores of a training step.

    Example: mosaic show kinematics --entry dish01/larva_007 --plot auto
    """
    with open_project(project) as found:
        study = found.study_with(dataset, step, entry)
        pipeline, name = find_step(study.pipelines, step)
        run = DatasetRun(found.open(study), study.pipelines)
        shown = _find(run, pipeline, name, unit_of(run, pipeline, name, entry))
        if shown.entry == MODEL:
            if plot is not None:
                msg = "Only the result of a recording can be drawn; name one with --entry KEY."
                raise typer.BadParameter(msg)
            _show_files(found, run, shown, as_json, _scores(run, pipeline, name))
        else:
            _show_table(found, shown, rows, plot, as_json)


def _find(run: DatasetRun, pipeline: str, step: str, key: str) -> _Shown:
    status = units_of(run, pipeline, step).get(key)
    if status is None:
        msg = f"The entry {key!r} is outside the scope of pipeline {pipeline!r}."
        if not pipeline:
            msg = f"The entry {key!r} has no {step!r}."
        raise EntryNotFoundError(msg, "`mosaic status --json` lists what there is.")
    result = status.result
    if result is None and status.head is not None:
        result = result_of(status.head)
    if result is None or result.output_sha256 is None:
        what = f"Step {step!r} has no result for {key!r}" if key else f"Step {step!r} has no result"
        reason = f" ({status.reason})" if status.reason else ""
        remedy = "`mosaic why` says more; `mosaic run` makes what is missing."
        raise EntryNotFoundError(f"{what}: it is {status.state}{reason}.", remedy)
    return _Shown(run.dataset, step, key, status, result)


def _show_table(
    project: Project, shown: _Shown, rows: int, plot: str | None, as_json: bool
) -> None:
    path = shown.path
    assert shown.result.output_sha256 is not None
    table = read_object(shown.dataset.objects, (shown.result.output_sha256, shown.result.ext))
    notes = read_notes(path)
    drawn = None if plot is None else _draw(project, shown, table, plot)
    if as_json:
        told = _facts(shown) | {
            "rows": table.height,
            "columns": {name: str(dtype) for name, dtype in table.schema.items()},
            "notes": notes,
            "head": table.head(rows).to_dicts(),
            "plot": None if drawn is None else str(drawn),
        }
        print_json(told)
        return
    shape = f"{table.height} rows, {table.width} columns"
    print_lines([*_title(shown, shape), f"file: {shown_path(path, project.root)}", ""])
    print_table(_sideways(table.head(rows)))
    if notes:
        print_lines(["", f"notes: {one_line(json.dumps(notes, ensure_ascii=False))}"])
    if drawn is not None:
        print_lines(["", f"plot: {shown_path(drawn, project.root)}"])


def _show_files(
    project: Project, run: DatasetRun, shown: _Shown, as_json: bool, scores: pl.DataFrame | None
) -> None:
    assert shown.result.output_sha256 is not None
    members = run.snapshot.state_members(shown.result.output_sha256)
    objects = shown.dataset.objects
    paths = {name: objects.path(sha, name.rpartition(".")[2]) for name, sha in members.items()}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    if as_json:
        files = [{"name": n, "bytes": sizes[n], "path": str(path)} for n, path in paths.items()]
        told = _facts(shown) | {"files": files}
        print_json(told if scores is None else told | {"scores": scores.to_dicts()})
        return
    place = f"file: {shown_path(shown.path, project.root)}"
    print_lines([*_title(shown, f"{len(paths)} files"), place, ""])
    listed = {
        "name": list(paths),
        "size": [size_text(size) for size in sizes.values()],
        "file": [shown_path(path, project.root) for path in paths.values()],
    }
    print_table(pl.DataFrame(listed, schema=dict.fromkeys(listed, pl.String)))
    if scores is not None:
        print_lines([""])
        print_table(scores)
        print_lines(["", "`mosaic models top` ranks all models, `mosaic models show` tells more."])


def _scores(run: DatasetRun, pipeline: str, step: str) -> pl.DataFrame | None:
    """Mean scores of each model of a training step over its folds; None for other steps."""
    evaluation = run.evaluations[pipeline]
    if not evaluation.bound.steps[step].trains:
        return None
    trained = trained_of(evaluation, step)
    return None if trained is None else mean_scores(trained)


def _facts(shown: _Shown) -> dict[str, Any]:
    return {
        "step": shown.step,
        "entry": shown.entry,
        "state": shown.status.state,
        "reason": shown.status.reason,
        "made_by": shown.result.made_by,
        "sha256": shown.result.output_sha256,
        "bytes": shown.result.bytes,
        "path": str(shown.path),
    }


def _title(shown: _Shown, shape: str) -> list[str]:
    sha256 = shown.result.output_sha256 or ""
    size = size_text(shown.result.bytes) if shown.result.bytes else ""
    lines = [
        f"{shown.step} {shown.entry}".strip() + f": {shape}",
        f"sha256 {sha256[:12]}, made by {shown.result.made_by}" + (f", {size}" if size else ""),
    ]
    if shown.status.state not in DONE:
        lines.append(f"This is the last result; now it is {shown.status.state}: "
                     f"{one_line(shown.status.reason)}")  # fmt: skip
    return lines


def _sideways(head: pl.DataFrame) -> pl.DataFrame:
    """A row for each column with its type and first values: wide tables stay readable."""
    told: dict[str, list[str]] = {
        "column": head.columns,
        "type": [str(dtype) for dtype in head.dtypes],
    }
    for i in range(head.height):
        told[f"row {i}"] = [cell_text(value) for value in head.row(i)]
    return pl.DataFrame(told, schema=dict.fromkeys(told, pl.String))


def _draw(project: Project, shown: _Shown, table: pl.DataFrame, plot: str) -> Path:
    title = f"{shown.step}, {shown.entry}"
    labels = read_labels_file(shown.path) if shown.step.startswith(labels_step("")) else None
    if isinstance(labels, Labels) and labels.events.height:
        png = _classes_over_time(labels, title)
    else:
        png = _columns_over_time(shown, table, title)
    if plot == AUTO:
        name = f"{shown.step}_{shown.entry}".replace("/", "_")[:_LONGEST_NAME]
        return write_files(shown.dataset.exports / "show", {f"{name}.png": png})[0]
    path = project.user_path(Path(plot))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png)
    return path


def _columns_over_time(shown: _Shown, table: pl.DataFrame, title: str) -> bytes:
    # Only a drawing needs matplotlib, which takes a while to load.
    from mosaic_dagster.charts import quick_lines

    columns = feature_columns(table)
    if not columns or not table.height:
        msg = f"There is nothing to draw in step {shown.step!r}, entry {shown.entry!r}."
        raise MissingColumnError(msg, "It has no rows, or no numeric column; leave out --plot.")
    return quick_lines(table, columns, title)


def _classes_over_time(labels: Labels, title: str) -> bytes:
    """A row for each individual, pair or scene; of two classes in a frame the later counts."""
    from mosaic_dagster.charts import ethogram

    events = labels.events.unique(("frame", "id1", "id2"), keep="last", maintain_order=True)
    if labels.fps is not None:
        events = events.with_columns((pl.col("frame") / labels.fps).alias("time"))
    parts = events.partition_by("id1", "id2", maintain_order=True, as_dict=True)
    rows = {
        ", ".join(str(who) for who in ids if who != NOBODY) or "all": part
        for ids, part in sorted(parts.items())
    }
    return ethogram(rows, title, column="label", names=labels.names)
