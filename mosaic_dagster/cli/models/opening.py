"""What every command about models works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.cli.models.identifiers import Identifiers
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.dataset import Dataset
from mosaic_dagster.store import WorkspaceStore


@dataclass(frozen=True)
class Models:
    """The models of one dataset.

    Attributes
    ----------
    identifiers
        Those of the runs, pipelines and chains that the store has.
    """

    project: Project
    dataset: Dataset
    store: WorkspaceStore
    identifiers: Identifiers


@contextmanager
def open_models(project: Path | None, dataset: str | None) -> Iterator[Models]:
    """Open the store of a dataset and keep it until the block ends."""
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        with WorkspaceStore(opened.path) as store, store.session():
            yield Models(found, opened, store, Identifiers(store.preview.identifiers()))
