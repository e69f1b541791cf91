"""The command ``mosaic``."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mosaic_dagster
from mosaic_dagster.cli import clean, ingest, models, run, show, status, store
from mosaic_dagster.cli.options import PROJECT_HELP
from mosaic_dagster.errors import MosaicError


class _Commands(TyperGroup):
    """Turns what went wrong on purpose into a message; a fault of ours keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MosaicError as error:
            _tell(error.what, error.remedy)
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is None:
                raise
            _tell(f"{error.filename}: {error.strerror}.", "Check the path and your rights to it.")
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ingest")(ingest.ingest)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("why")(status.why)
app.command("show")(show.show)
app.command("clean")(clean.clean)
app.add_typer(store.app, name="store")
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mosaic {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("mosaic-dagster")
    except PackageNotFoundError:
        return mosaic_dagster.__version__


@app.callback()
def mosaic(
    project: Annotated[
        Path | None, typer.Option("--project", metavar="DIR", help=PROJECT_HELP)
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """From folders of tracking files to features and behaviour clusters, kept up to date.

    Every command works on the project in whose folder it is typed.
    The exit status is 0 when all went well, 1 when something failed, 2 for wrong usage.

    Example: mosaic status
    """


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold what the terminal cannot show; that must not end a report.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="mosaic")


def _tell(what: str, remedy: str) -> None:
    typer.echo(f"Error: {what}" + (f"\n  {remedy}" if remedy else ""), err=True)


if __name__ == "__main__":
    main()
