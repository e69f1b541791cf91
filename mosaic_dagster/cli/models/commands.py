"""The commands behind ``mosaic models``."""

from __future__ import annotations

import typer

from mosaic_dagster.cli.models import delete, export, replay, show, top

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Rank, show, export, replay and delete trained chains.",
)
app.command("top")(top.top)
app.command("show")(show.show)
app.command("export")(export.export)
app.command("replay")(replay.replay)
app.command("delete")(delete.delete)
