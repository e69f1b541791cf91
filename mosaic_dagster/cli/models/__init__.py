"""``mosaic models``: rank, show, export, replay and delete trained chains."""

from mosaic_dagster.cli.models.commands import app

__all__ = ["app"]
