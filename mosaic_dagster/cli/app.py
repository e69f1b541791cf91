"""The command ``mosaic``."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mosaic_dagster
from mosaic_dagster.cli.options import PROJECT_HELP
from mosaic_dagster.errors import MosaicError

COMPLETE = "_MOSAIC_COMPLETE"
"""Set by a shell that asks how a command may go on."""


ASKING = ("status", "why")
"""Commands that only read, and make very many objects for that."""


COMMANDS = {
    "init": "init",
    "ingest": "ingest",
    "run": "run",
    "status": "status",
    "why": "status",
    "show": "show",
    "clean": "clean",
    "report": "report",
    "doctor": "doctor",
}
"""Module of each command; its function is called as the command."""

GROUPS = ("sources", "store", "models", "executions")
"""Modules with commands of their own, in ``app``."""

app: typer.Typer
"""All commands; built when somebody asks for it."""


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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mosaic {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return version("mosaic-dagster")
    except PackageNotFoundError:
        return mosaic_dagster.__version__


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


def build(only: str | None = None) -> typer.Typer:
    """The command line; where one command or group is named, without the others.

    To import and build all of them takes as long as many an answer.
    """
    made = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(mosaic)
    for name, module in COMMANDS.items():
        if only in (None, name):
            made.command(name)(getattr(_module(module), name))
    for name in GROUPS:
        if only in (None, name):
            made.add_typer(_module(name).app, name=name)
    return made


def _module(name: str) -> ModuleType:
    return import_module(f"mosaic_dagster.cli.{name}")


def __getattr__(name: str) -> Any:
    if name != "app":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    made = globals()["app"] = build()
    return made


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold what the terminal cannot show; that must not end a report.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    typed = "" if COMPLETE in os.environ else "".join(sys.argv[1:2])
    _collect_seldom(never=typed in ASKING)
    try:
        build(typed if typed in (*COMMANDS, *GROUPS) else None)(prog_name="mosaic")
    except SystemExit as end:
        if typed in ASKING and isinstance(end.code, int):
            _leave(end.code)
        raise


def _collect_seldom(*, never: bool) -> None:
    """Look for cycles among objects seldom: a command makes many and is over soon."""
    gc.set_threshold(200_000, 20, 20)
    if never:
        gc.disable()


def _leave(code: int) -> None:
    """End the process at once: nothing is open, and to free each object takes as long as asking."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        gc.enable()
        return
    os._exit(code)


def _tell(what: str, remedy: str) -> None:
    typer.echo(f"Error: {what}" + (f"\n  {remedy}" if remedy else ""), err=True)


if __name__ == "__main__":
    main()
