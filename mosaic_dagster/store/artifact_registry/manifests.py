"""Records as files: what a registry writes down, and what it reads back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry.artifact_record import ArtifactRecord
from mosaic_dagster.store.content import durable

SCHEMA_VERSION = "3.0"
Manifest = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_FOLDER = Path("library", "manifests")
_SUFFIX = ".yaml"
_MODE = 0o644
# The C versions read and write the same YAML, twenty times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_manifest(records: Iterable[ArtifactRecord]) -> dict[str, Any]:
    """Manifest of some records: ``{"schema_version": "3.0", "items": [...]}``."""
    return {"schema_version": SCHEMA_VERSION, "items": [record.to_dict() for record in records]}


def records_of(manifest: Manifest) -> list[ArtifactRecord]:
    """Records of a manifest, or of a bare list of its items.

    Raises
    ------
    StoreValueError
        The manifest has another layout or another version, or an item is no record.
    """
    return [_record(item, position) for position, item in enumerate(_items(manifest))]


def _record(item: Any, position: int) -> ArtifactRecord:
    try:
        return ArtifactRecord.from_dict(item)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"Item {position} of the manifest is no record of an artifact: {error}"
        raise StoreValueError(msg, "Each item is what ArtifactRecord.to_dict gave.") from error


def _items(manifest: Any) -> Sequence[Any]:
    if isinstance(manifest, Mapping):
        version = manifest.get("schema_version")
        if str(version) != SCHEMA_VERSION:
            msg = f"The manifest has the schema version {version!r}."
            raise StoreValueError(msg, f"This version of the package reads {SCHEMA_VERSION}.")
        manifest = manifest.get("items")
    if not isinstance(manifest, list | tuple):
        msg = f"The items of the manifest are a {type(manifest).__name__}, not a list."
        raise StoreValueError(msg, "Pass what export_to_manifest gave.")
    return manifest


def manifest_folder(workspace: Path, dataset: str) -> Path:
    """Folder of a dataset's manifests."""
    return workspace / _FOLDER / _file_name(dataset)


def manifest_path(workspace: Path, dataset: str, name: str) -> Path:
    """File of one manifest of a dataset."""
    return manifest_folder(workspace, dataset) / f"{_file_name(name)}{_SUFFIX}"


def manifest_paths(workspace: Path, dataset: str | None = None) -> list[Path]:
    """All manifests of a workspace, or those of one dataset."""
    folder = workspace / _FOLDER if dataset is None else manifest_folder(workspace, dataset)
    return sorted(folder.rglob(f"*{_SUFFIX}")) if folder.is_dir() else []


def write_manifest(path: Path, records: Iterable[ArtifactRecord]) -> Path:
    """Write records as YAML; the file is replaced as a whole.

    Raises
    ------
    StoreValueError
        A record holds a value that YAML cannot say.
    StoreError
        The folder cannot be written.
    """
    try:
        text = yaml.dump(to_manifest(records), Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        msg = f"The manifest {path} cannot be written: {error}"
        raise StoreValueError(msg, "Keep the parameters of artifacts to plain values.") from error
    with durable.disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / durable.temporary_name()
        durable.write_whole(temporary, (text.encode(),), mode=_MODE)
        durable.move_into_place(temporary, path)
    return path


def read_manifest(path: Path) -> list[ArtifactRecord]:
    """Records of a manifest file.

    Raises
    ------
    StoreValueError
        The file cannot be read, or is no manifest.
    """
    try:
        manifest = yaml.load(path.read_bytes(), Loader=_LOADER)
        return records_of(manifest)
    except (OSError, yaml.YAMLError, ValueError) as error:
        msg = f"The manifest {path} cannot be read: {error}"
        raise StoreValueError(msg, "Mend the file, or move it out of library/manifests.") from error


def scan_manifests(
    workspace: Path, *, dataset: str | None = None, except_dataset: str | None = None
) -> list[ArtifactRecord]:
    """Records of all manifests of a workspace, of one dataset, or of all datasets but one.

    Raises
    ------
    StoreValueError
        A manifest cannot be read. What it refers to is then not known, so nothing is returned.
    """
    spared = set() if except_dataset is None else set(manifest_paths(workspace, except_dataset))
    paths = [path for path in manifest_paths(workspace, dataset) if path not in spared]
    return [record for path in paths for record in read_manifest(path)]


def _file_name(name: str) -> str:
    """Name that is safe as a file or folder, different for different names."""
    if not name:
        msg = "A dataset or a manifest without a name cannot be written."
        raise StoreValueError(msg, "Give it a name.")
    return quote(name, safe=" ").replace(".", "%2E")
