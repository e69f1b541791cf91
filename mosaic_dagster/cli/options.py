"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mosaic_dagster.cli import completion


def _project(context: typer.Context, value: Path | None) -> Path | None:
    """``mosaic --project DIR status`` means the same as ``mosaic status --project DIR``."""
    outer: Path | None = context.find_root().params.get("project")
    return value or outer


PROJECT_HELP = "Folder of the project; by default the nearest one from here upwards."

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project", envvar="MOSAIC_PROJECT", metavar="DIR", help=PROJECT_HELP, callback=_project
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Name of the dataset, where the project has several.",
        autocompletion=completion.datasets,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
EntryOption = Annotated[
    str | None,
    typer.Option(
        "--entry",
        metavar="KEY",
        help="Key of the recording, such as dish01/larva_007.",
        autocompletion=completion.entries,
    ),
]
StepArgument = Annotated[
    str,
    typer.Argument(
        metavar="STEP",
        help="Name of a step, or PIPELINE/STEP, or `tracks`.",
        show_default=False,
        autocompletion=completion.steps,
    ),
]
FormatOption = Annotated[
    str, typer.Option("--format", help="Name of a reader; auto looks into each file.")
]
SourceGroupOption = Annotated[
    str | None,
    typer.Option("--group", help="Group of all; by default the folder below PATH."),
]
ReaderParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="KEY=VALUE", help="A parameter of the reader; repeatable."),
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", metavar="KIND", help="The files hold labels of this kind."),
]
SequenceOption = Annotated[
    str | None,
    typer.Option("--sequence", metavar="REGEX", help="Its group names the recording."),
]
FpsOption = Annotated[
    float | None, typer.Option("--fps", help="Frames per second, where the files do not tell.")
]
PipelineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="Name of a pipeline; all by default.",
        autocompletion=completion.pipelines,
    ),
]
StepsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="STEP",
        help="Make this and what it needs; repeatable.",
        autocompletion=completion.pipeline_steps,
    ),
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        metavar="GROUP",
        help="Only recordings of this group; repeatable.",
        autocompletion=completion.groups,
    ),
]
EntriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--entry",
        metavar="KEY",
        help="Only this recording, or FIRST...LAST for a range; repeatable.",
        autocompletion=completion.entries,
    ),
]
ForceFromOption = Annotated[
    str | None,
    typer.Option(
        "--force-from",
        metavar="STEP",
        help="Make this and all below it anew.",
        autocompletion=completion.pipeline_steps,
    ),
]
