"""One dataset in its workspace: the manifest, the entries and their tracks."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from mosaic_dagster.dataset import label_store
from mosaic_dagster.dataset.label_reading import BEHAVIOR
from mosaic_dagster.dataset.labels.files import AnyLabels
from mosaic_dagster.dataset.manifest import (
    MANIFEST_FILE,
    DatasetDeclaration,
    Manifest,
    SourceRule,
)
from mosaic_dagster.dataset.paths import base_of
from mosaic_dagster.dataset.scan import SourceScan, scan_sources
from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import EntryExistsError, EntryNotFoundError, ManifestError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, read_table
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.database.connection import open_database
from mosaic_dagster.store.feature_registry.records import EntryRow
from mosaic_dagster.store.feature_registry.registry import FeatureRegistry

DATABASE_FILE = "store.duckdb"
"""Name of the database inside a workspace."""

TRACKS = "tracks"
"""Name of the asset that every dataset begins with."""

TRACKS_EXTENSION = "parquet"
"""Kind of object that tracks are stored as."""


class Dataset:
    """A dataset: open one with :meth:`open`, make one with :meth:`create`.

    Attributes
    ----------
    path
        The workspace folder.
    manifest
        What ``dataset.yaml`` says; :meth:`save` changes it.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def create(
        cls,
        path: str | Path,
        name: str,
        *,
        meta: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Self:
        """Make a workspace with a new dataset in it.

        Parameters
        ----------
        path
            The workspace folder; made when it is not there.
        name
            Name of the dataset.
        meta
            Anything worth keeping; ``fps_default`` in it is ``fps``.
        **fields
            Fields of :class:`~mosaic_dagster.dataset.manifest.Manifest`: fps, unit, keypoints,
            sources, …

        Raises
        ------
        ManifestError
            A dataset is there already, or a field is unknown or impossible.
        """
        workspace = Path(path).absolute()
        if (workspace / MANIFEST_FILE).exists():
            msg = f"There is a dataset at {workspace} already."
            raise ManifestError(msg, "Open it with Dataset.open.")
        facts = dict(meta or {})
        rate = facts.pop("fps_default", None)
        if rate is not None and fields.setdefault("fps", rate) != rate:
            msg = f"fps is {fields['fps']} and meta['fps_default'] is {rate}."
            raise ManifestError(msg, "Give one of them.")
        dataset = cls(workspace, Manifest.new(name=name, meta=facts, **fields))
        dataset.save(dataset.manifest)
        return dataset

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the dataset of a workspace.

        Raises
        ------
        ManifestError
            No dataset is there, or its manifest is malformed.
        """
        workspace = Path(path).absolute()
        return cls(workspace, Manifest.load(workspace / MANIFEST_FILE))

    @classmethod
    def ensure(cls, path: str | Path, declaration: DatasetDeclaration) -> Self:
        """Open the dataset that a lab declared, made or brought up to date as needed.

        Raises
        ------
        ManifestError
            The workspace holds another dataset, or the declaration is impossible.
        """
        there = (Path(path) / MANIFEST_FILE).exists()
        dataset = cls.open(path) if there else cls.create(path, declaration.name)
        updated = dataset.manifest.updated_by(declaration)
        if updated != dataset.manifest:
            dataset.save(updated)
        return dataset

    def __repr__(self) -> str:
        return f"Dataset({self.manifest.name!r}, {str(self.path)!r})"

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.manifest.name

    @property
    def exports(self) -> Path:
        """The folder for files that people look at; it may not exist yet."""
        return self.path / "exports"

    @property
    def base(self) -> Path:
        """The folder where relative paths of the manifest start."""
        return base_of(self.path)

    @cached_property
    def objects(self) -> ContentStore:
        """The stored objects."""
        return ContentStore(self.path / "artifacts")

    @cached_property
    def registry(self) -> FeatureRegistry:
        """What is known about entries, sources and results."""
        return FeatureRegistry(open_database(self.path / DATABASE_FILE), self.objects)

    def save(self, manifest: Manifest) -> None:
        """Write another manifest and use it from now on."""
        manifest.save(self.path / MANIFEST_FILE)
        self.manifest = manifest

    def add_source(self, rule: SourceRule) -> None:
        """Add a source rule, in the place of one for the same path; nothing is read yet."""
        self.save(self.manifest.with_source(rule))

    def scan(
        self,
        asset: str = TRACKS,
        *,
        unsettled: AbstractSet[Path] = frozenset(),
        rehash: bool = False,
    ) -> SourceScan:
        """Look for new, changed and vanished source files of an asset; nothing is written.

        Parameters
        ----------
        asset
            ``tracks`` or ``labels/<kind>``.
        unsettled, rehash
            As for :func:`~mosaic_dagster.dataset.scan.scan_sources`.

        Raises
        ------
        ReaderError
            A rule names an unknown format or parameter.
        """
        rules = [rule for rule in self.manifest.sources if rule.asset == asset]
        recorded = [row for row in self.registry.sources() if row.asset == asset]
        return scan_sources(rules, recorded, self.base, unsettled=unsettled, rehash=rehash)

    def entries(self) -> list[EntryKey]:
        """All entries that were ever ingested or added, sorted."""
        return sorted(EntryKey(row.group, row.sequence) for row in self.registry.entries())

    def add_tracks(self, key: EntryKey, table: pl.DataFrame, overwrite: bool = False) -> Repairs:
        """Store a table as the tracks of an entry.

        Parameters
        ----------
        key
            The entry; made when it is new.
        table
            Tracks as :func:`~mosaic_dagster.dataset.tracks.normalize_tracks` takes them; fps
            comes from its column ``fps``, else from the manifest.
        overwrite
            Replace tracks that were added before.

        Returns
        -------
        Repairs
            What was repaired.

        Raises
        ------
        EntryExistsError
            The entry has tracks and ``overwrite`` is False, or they come from a source file,
            which would bring its own tracks back.
        TracksError
            The table does not make tracks.
        """
        with self.registry.session():
            self._check_free(key, overwrite)
            normal, repairs = normalize_tracks(table, key, self.manifest.fps)
            stored = self.objects.put(encode_table(normal), TRACKS_EXTENSION)
            row = EntryRow(
                group=key.group,
                sequence=key.sequence,
                key=str(key),
                tracks_sha256=stored.digest,
                source_sha256=None,
                state="fresh" if normal.height else "empty",
                added_at=datetime.now(UTC).replace(tzinfo=None),
            )
            self.registry.put_entries([row])
        return repairs

    def tracks(self, key: EntryKey) -> pl.DataFrame:
        """Return the tracks of an entry, as last ingested or added.

        Raises
        ------
        EntryNotFoundError
            There is no such entry (the nearest are named), or its tracks were never made.
        ObjectMissingError, ObjectDamagedError
            The stored table was deleted or altered.
        """
        row = self._row(key)
        if row is None:
            known = [entry.key for entry in self.registry.entries()]
            msg = f"The dataset {self.name!r} has no entry {key}."
            raise EntryNotFoundError(msg, nearest(str(key), known) or "See entries().")
        if not row.tracks_sha256:
            msg = f"The entry {key} of {self.name!r} has no tracks yet."
            raise EntryNotFoundError(msg, "Run `mosaic ingest`, or see `mosaic status` for why.")
        return read_table(self.objects.path(row.tracks_sha256, TRACKS_EXTENSION))

    def add_labels(
        self,
        key: EntryKey,
        labels: AnyLabels,
        kind: str = BEHAVIOR,
        overwrite: bool = False,
    ) -> None:
        """Store labels of an entry.

        Parameters
        ----------
        key
            The entry; it must be there.
        labels
            :class:`~mosaic_dagster.dataset.labels.Labels` of behaviour, or
            :class:`~mosaic_dagster.dataset.labels.IdTags`.
        kind
            What kind of labels they are; an entry has one set of each kind.
        overwrite
            Replace labels that were added before.

        Raises
        ------
        EntryNotFoundError
            There is no such entry.
        EntryExistsError
            The entry has labels of this kind and ``overwrite`` is False, or they come from a
            source file.
        """
        label_store.add_labels(self, key, labels, kind, overwrite)

    def labels(self, key: EntryKey, kind: str = BEHAVIOR) -> AnyLabels:
        """Return the labels of an entry, as last ingested or added.

        Raises
        ------
        EntryNotFoundError
            The entry has none of this kind; the kinds it has are named.
        """
        return label_store.load_labels(self, key, kind)

    def remove_labels(self, key: EntryKey, kind: str = BEHAVIOR) -> None:
        """Take the labels of an entry away; what was made with them is out of date then.

        Raises
        ------
        EntryNotFoundError
            The entry has none of this kind.
        EntryExistsError
            They come from a file that is there, and would come back.
        """
        label_store.remove_labels(self, key, kind)

    def label_kinds(self) -> list[str]:
        """Kinds of labels that the dataset has, or has a source of, sorted."""
        return label_store.label_kinds(self)

    def _row(self, key: EntryKey) -> EntryRow | None:
        text = str(key)
        return next((row for row in self.registry.entries() if row.key == text), None)

    def _check_free(self, key: EntryKey, overwrite: bool) -> None:
        for source in self.registry.sources():
            if source.key == str(key) and source.asset == TRACKS:
                msg = f"The tracks of {key} come from {source.path}."
                raise EntryExistsError(msg, "Change that file, or give the table another name.")
        row = self._row(key)
        if row is not None and row.tracks_sha256 and not overwrite:
            msg = f"The entry {key} of {self.name!r} has tracks already."
            raise EntryExistsError(msg, "Use overwrite=True to replace them.")
