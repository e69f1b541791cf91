"""The library of a workspace: templates to start from, trained pipelines to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mosaic_dagster.store.library.templates import Templates
from mosaic_dagster.store.library.trained import Trained
from mosaic_dagster.store.workspace.store import WorkspaceStore


class PipelineLibrary:
    """Templates and trained pipelines below ``<workspace>/library/``.

    Names and categories become folders: lower case, spaces become ``_``, and signs that no
    folder can have go. Every folder appears and is replaced as a whole: after a crash the old
    or the new one is there.

    Parameters
    ----------
    workspace_path
        Folder of the workspace. Trained pipelines are taken from its store.
    allow_pickle
        Whether saving bundles may load artifacts whose format runs code (joblib, pickle), to
        write them in one that does not. Without it they are copied as they are.
    """

    def __init__(self, workspace_path: str | Path, *, allow_pickle: bool = True) -> None:
        self.workspace_path = Path(workspace_path)
        self.allow_pickle = allow_pickle
        library = self.workspace_path / "library"
        self._templates = Templates(library)
        self._trained = Trained(library, self._open_store)

    def save_template(
        self,
        pipeline_config: Mapping[str, Any],
        name: str,
        category: str = "general",
        description: str = "",
        tags: Iterable[str] | None = None,
        metrics: Mapping[str, Any] | None = None,
        notes: str = "",
        overwrite: bool = False,
    ) -> Path:
        """Save a pipeline configuration as a template and return its folder.

        The folder holds ``pipeline.json``, ``metadata.json`` and ``README.md``. Numbers that are
        not finite are refused in the configuration and become null in the metrics.

        Raises
        ------
        LibraryNameTakenError
            The category has a template of this name and ``overwrite`` is not set.
        StoreValueError
            Nothing is left of a name, or a number of the configuration is not finite.
        StoreTypeError
            The configuration holds what JSON cannot.
        """
        facts = {"description": description, "tags": tags, "metrics": metrics, "notes": notes}
        return self._templates.save(pipeline_config, name, category, facts, overwrite=overwrite)

    def load_template(self, name: str, category: str | None = None) -> dict[str, Any]:
        """Return the configuration of a template.

        Raises
        ------
        LibraryNameUnknownError
            There is no such template.
        StoreValueError
            Several categories have one and none is given, or the template is damaged.
        """
        return self._templates.load(name, category)

    def get_template_metadata(self, name: str, category: str | None = None) -> dict[str, Any]:
        """Return name, category, description, tags, metrics, notes, times and version.

        Raises
        ------
        LibraryNameUnknownError, StoreValueError
            As for :meth:`load_template`.
        """
        return self._templates.metadata(name, category)

    def list_templates(
        self, category: str | None = None, tags: Iterable[str] | None = None
    ) -> list[dict[str, Any]]:
        """Metadata of templates, sorted by category and name.

        Parameters
        ----------
        category
            Only this one.
        tags
            Only templates with at least one of them. A damaged template is listed always, with
            the reason as ``error``.
        """
        return self._templates.find(category, tags)

    def delete_template(self, name: str, category: str | None = None) -> None:
        """Delete a template.

        Raises
        ------
        LibraryNameUnknownError, StoreValueError
            As for :meth:`load_template`.
        """
        self._templates.delete(name, category)

    def export_template(self, name: str, path: str | Path, category: str | None = None) -> Path:
        """Write a template to one JSON file, to be imported elsewhere, and return its path.

        ``.json`` is appended unless the path ends with it.

        Raises
        ------
        LibraryNameUnknownError, StoreValueError
            As for :meth:`load_template`.
        """
        return self._templates.export(name, Path(path), category)

    def import_template(
        self, path: str | Path, category: str = "general", overwrite: bool = False
    ) -> Path:
        """Save the template of an exported file under its own name and return its folder.

        Raises
        ------
        LibraryNameUnknownError
            The file is not there.
        LibraryNameTakenError
            As for :meth:`save_template`.
        StoreValueError
            The file holds no template.
        """
        return self._templates.import_(Path(path), category, overwrite=overwrite)

    def save_filtered(
        self, pipeline_id: str, name: str, description: str = "", *, overwrite: bool = False
    ) -> Path:
        """Save a pipeline's configuration and metrics under a name and return the folder.

        Raises
        ------
        UnknownIdError
            The store has no such pipeline.
        LibraryNameTakenError
            The name is taken and ``overwrite`` is not set.
        """
        return self._trained.save_pipeline(
            pipeline_id, name, description, bundles=False, overwrite=overwrite
        )

    def save_pipeline_full(
        self, pipeline_id: str, name: str, description: str = "", *, overwrite: bool = False
    ) -> Path:
        """Save what :meth:`save_filtered` does, and each chain as ``chains/<chain id>.n4a``.

        Raises
        ------
        UnknownIdError, LibraryNameTakenError
            As for :meth:`save_filtered`.
        ObjectMissingError
            An artifact of a chain is gone.
        """
        return self._trained.save_pipeline(
            pipeline_id, name, description, bundles=True, overwrite=overwrite
        )

    def save_fullrun(
        self, run_id: str, name: str, description: str = "", *, overwrite: bool = False
    ) -> Path:
        """Save a run: ``run.yaml``, ``predictions.parquet`` and ``chains/<chain id>.n4a``.

        Raises
        ------
        UnknownIdError, LibraryNameTakenError, ObjectMissingError
            As for :meth:`save_pipeline_full`.
        """
        return self._trained.save_run(run_id, name, description, overwrite=overwrite)

    def list_filtered(self) -> list[dict[str, Any]]:
        """Metadata of what :meth:`save_filtered` saved, by name; damaged ones with ``error``."""
        return self._trained.find("filtered")

    def list_pipelines(self) -> list[dict[str, Any]]:
        """Metadata of what :meth:`save_pipeline_full` saved, by name."""
        return self._trained.find("pipeline")

    def list_fullruns(self) -> list[dict[str, Any]]:
        """Metadata of what :meth:`save_fullrun` saved, by name."""
        return self._trained.find("fullrun")

    def _open_store(self) -> WorkspaceStore:
        return WorkspaceStore(self.workspace_path, read_only=True, allow_pickle=self.allow_pickle)
