"""``mosaic report``: what a pipeline made of a dataset, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.cli.tables import print_json, print_lines, shown_path, size_text


def report(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="Name of a pipeline.", show_default=False)
    ],
    dataset: DatasetOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to write it; else in the exports."),
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Write one HTML page about a pipeline: pictures, scores, failures, and what is behind them.

    The page needs no network and can be sent or printed as it is. Nothing is computed; what is
    out of date is said to be so.

    Example: mosaic report crawling --output crawling.html
    """
    # Drawing takes half a second to import.
    from mosaic_dagster.reporting import write_report
    from mosaic_dagster.reporting.words import state_sentence

    with open_project(project) as found:
        study = found.only(found.chosen(dataset, pipeline))
        target = None if output is None else _target(found, output)
        written = write_report(found.open(study), study.pipelines[0], target)
    size = written.path.stat().st_size
    if as_json:
        facts = written.facts.to_dict()
        print_json({"path": str(written.path), "bytes": size, "facts": facts})
        return
    place = shown_path(written.path, found.root)
    print_lines([f"{place} ({size_text(size)})", state_sentence(written.facts)])


def _target(project: Project, output: Path) -> Path:
    path = project.user_path(output)
    if path.is_dir():
        msg = f"{path} is a folder; name the file, such as {path / 'report.html'}."
        raise typer.BadParameter(msg, param_hint="--output")
    return path
