"""What a code location configures per environment: where workspaces lie, and who computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from mosaic_dagster.dataset import Dataset, DatasetDeclaration
from mosaic_dagster.pipeline.engine import Backend, Engine
from mosaic_dagster.store import open_database


class WorkspaceResource(DuckDBResource):
    """The workspace of one dataset: its database, its objects and its manifest.

    ``database`` is the path of ``store.duckdb``; the folder that holds it is the workspace.
    Assets of one's own can query the tables through :meth:`get_connection` like with any
    DuckDB resource; it takes the workspace's lock for as long as the ``with`` block lasts.
    """

    @property
    def path(self) -> Path:
        """The workspace folder."""
        return Path(self.database).absolute().parent

    def open(self, declaration: DatasetDeclaration) -> Dataset:
        """The dataset, made or brought up to date with its declaration."""
        return Dataset.ensure(self.path, declaration)

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for a short time; no other process gets one meanwhile."""
        with open_database(Path(self.database)).lease() as connection:
            yield connection


class EngineResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the entries of a step are computed; never changes a result."""

    backend: str = Field(
        default="loky", description="sequential, loky (this machine) or dask (a cluster)."
    )
    workers: int | None = Field(default=None, description="Processes; all cores by default.")

    def engine(self, backend: Backend | None = None) -> Engine:
        """The engine, with another backend if one is given."""
        return Engine(backend or self.backend, self.workers)  # type: ignore[arg-type]
