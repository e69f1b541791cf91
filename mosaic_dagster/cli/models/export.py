"""``mosaic models export``: a chain as one file that predicts elsewhere."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mosaic_dagster.cli.models.identifiers import CHAIN
from mosaic_dagster.cli.models.opening import Models, open_models
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import print_json, print_lines, shown_path, size_text

ChainArgument = Annotated[
    str,
    typer.Argument(metavar="CHAIN", help="Beginning of a chain's identifier.", show_default=False),
]


class BundleFormat(StrEnum):
    """Kinds of files that hold a chain."""

    archive = "n4a"
    script = "n4a.py"


TargetArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="PATH",
        help="File or folder to write to; by default the exports of the workspace.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    BundleFormat,
    typer.Option("--format", help="An archive for `models replay`, or a script by itself."),
]
KeepOption = Annotated[
    bool,
    typer.Option(
        "--keep", help="Copy the objects as they are, also those that need trust to load."
    ),
]


def export(
    chain: ChainArgument,
    path: TargetArgument = None,
    format: FormatOption = BundleFormat.archive,
    keep: KeepOption = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Write a chain, with everything that it was fitted with, as one file.

    Objects are written so that loading them runs no code where that is possible.

    Example: mosaic models export 3f2a8c1d model.n4a
    """
    if path is not None and path.name.endswith(f".{BundleFormat.script}"):
        format = BundleFormat.script
    if keep and format is BundleFormat.script:
        msg = "A script holds no copies; --keep goes with --format n4a."
        raise typer.BadParameter(msg, param_hint="--keep")
    with open_models(project, dataset) as models:
        chain_id = models.identifiers.find(chain, CHAIN)
        written = models.store.export_chain(
            chain_id,
            _target(models, chain_id, path, format),
            str(format),
            artifact_format="keep" if keep else "auto",
        )
        size = written.stat().st_size
        shown = shown_path(written, models.project.root)
    if as_json:
        facts = {"chain_id": chain_id, "path": str(written), "format": str(format), "bytes": size}
        print_json(facts)
    else:
        print_lines([f"{shown} ({size_text(size)})"])


def _target(models: Models, chain_id: str, path: Path | None, format: BundleFormat) -> Path:
    """File to write to; a folder gets a file that is named after the model and the chain."""
    given = models.dataset.exports if path is None else models.project.user_path(path)
    endings = {f".{ending}" for ending in BundleFormat}
    if path is not None and not given.is_dir():
        if given.suffix and not given.name.endswith((*endings,)):
            msg = f"{path} ends with {given.suffix}."
            raise typer.BadParameter(msg + " Use .n4a or .n4a.py.", param_hint="PATH")
        return given
    found = models.store.get_chain(chain_id) or {}
    model = re.sub(r"\W+", "_", str(found.get("model_class", "")).rpartition(".")[2]) or CHAIN
    return given / f"{model}_{models.identifiers.short(chain_id)}.{format}"
