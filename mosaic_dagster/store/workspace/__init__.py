"""The workspace store: runs, pipelines, chains, predictions, artifacts and logs of models."""

from mosaic_dagster.store.workspace.preview import Leaving, LeavingFile, Preview
from mosaic_dagster.store.workspace.store import WorkspaceStore

__all__ = ["Leaving", "LeavingFile", "Preview", "WorkspaceStore"]
