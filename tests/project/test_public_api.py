"""The names that people import: complete, sorted, and there."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import mosaic_dagster

PINNED = {
    "mosaic_dagster": {"CallbackStep", "Dataset", "FeatureStep", "Pipeline"},
    "mosaic_dagster.dataset": {"READERS", "Dataset", "EntryKey", "read_tracks"},
    "mosaic_dagster.features": {
        "ArtifactSpec",
        "Feature",
        "InputStream",
        "Inputs",
        "JoblibLoadSpec",
        "NpzLoadSpec",
        "Params",
        "ParquetLoadSpec",
        "Result",
        "ResultColumn",
        "TracksColumn",
        "get_feature",
        "list_features",
    },
    "mosaic_dagster.pipeline": {
        "CallbackStep",
        "FeatureRegistry",
        "FeatureStep",
        "Pipeline",
        "open_registry",
        "run_feature",
    },
    "mosaic_dagster.store": {"ContentStore", "FeatureRegistry", "open_registry"},
    "mosaic_dagster.orchestration": {"ArtifactIOManager", "WorkspaceResource", "build_definitions"},
}
WALKED = pkgutil.walk_packages(mosaic_dagster.__path__, "mosaic_dagster.")
PACKAGES = ["mosaic_dagster", *sorted(module.name for module in WALKED if module.ispkg)]


@pytest.mark.parametrize("package", sorted(PINNED))
def test_promised_names_are_exported(package: str) -> None:
    """A lab's own pipelines import these names; without one of them they stop working."""
    missing = PINNED[package] - set(importlib.import_module(package).__all__)
    assert missing == set()


def imported_names(package: str) -> set[str]:
    """The public names that a package's ``__init__`` takes from its modules."""
    file = importlib.import_module(package).__file__
    assert file is not None
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    return {name for name in names if not name.startswith("_")} - {"annotations"}


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_is_exported(package: str) -> None:
    """A name outside ``__all__`` is missing from the reference and from star imports."""
    module = importlib.import_module(package)
    exported = list(getattr(module, "__all__", []))
    assert set(exported) == imported_names(package)
    assert len(exported) == len(set(exported))
    assert [name for name in exported if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", sorted(PINNED))
def test_public_names_are_documented(package: str) -> None:
    """A class or function without a docstring is a page without words."""
    module = importlib.import_module(package)
    public = {name: getattr(module, name) for name in module.__all__}
    silent = [name for name, value in public.items() if callable(value) and not value.__doc__]
    assert silent == []
