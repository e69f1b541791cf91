"""``mosaic init``: a new project of a lab's own."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mosaic_dagster.cli.tables import print_lines
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold import NewProject, write_project


class Example(StrEnum):
    """What a project may begin with."""

    NONE = "none"
    LARVAE = "larvae"


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the project; new, or empty.")
    ],
    example: Annotated[
        Example, typer.Option("--example", help="Recordings and pipelines to begin with.")
    ] = Example.NONE,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the project's package; by default as DIR."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Name of its dataset; by default as the project."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames per second, where the files do not tell."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="Unit of the coordinates, such as mm or px.")
    ] = None,
) -> None:
    """Write a new project: a dataset, a pipeline, a feature and a reader of your own, tests.

    Nothing is written where something is already, and nothing is left when it fails.

    Example: mosaic init our_lab --example larvae
    """
    place = Path(os.path.normpath(folder.expanduser().absolute()))
    try:
        project = NewProject.in_folder(
            place, name, example=example.value, dataset=dataset, fps=fps, unit=unit
        )
    except ProjectError as error:
        raise typer.BadParameter(str(error)) from error
    files = write_project(place, project)
    print_lines([f"Made the project {project.name!r} in {place}: {len(files)} files.", ""])
    print_lines(_next(folder, project))


def _next(folder: Path, project: NewProject) -> list[str]:
    """What to type next."""
    go = [] if folder == Path() else [f'cd "{folder}"' if " " in str(folder) else f"cd {folder}"]
    install = [*go, 'pip install -e ".[dev]"']
    if project.example == Example.NONE:
        rate = "" if project.fps else "; with --fps 30 where the files do not tell"
        told = f"PATH is a folder of tracking files{rate}."
        steps = ["mosaic ingest PATH --dry-run", "mosaic ingest PATH", "mosaic run", "dagster dev"]
    else:
        told = "The first run takes about a minute. README.md says what is where."
        steps = ["mosaic run", "dagster dev"]
    return ["Type next:", *(f"  {line}" for line in [*install, *steps]), "", told]
