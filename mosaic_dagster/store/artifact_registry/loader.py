"""Objects of a dataset, loaded by id, chain or step, the ones used last kept in memory."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import StoreValueError, UnknownIdError
from mosaic_dagster.store.artifact_registry import manifests, stacking
from mosaic_dagster.store.artifact_registry.artifact_record import (
    ArtifactRecord,
    ArtifactType,
    MetaModelConfig,
)
from mosaic_dagster.store.artifact_registry.lookups import RecordLookups
from mosaic_dagster.store.artifact_registry.object_files import load_object
from mosaic_dagster.store.artifact_registry.operator_chain import OperatorChain
from mosaic_dagster.store.artifact_registry.operator_node import branch_reaches
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.workspace.opened import ARTIFACTS

CACHE_SIZE = 100


class ObjectCache:
    """Objects by artifact id, the least recently used forgotten first; for several threads."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._objects: OrderedDict[str, tuple[ArtifactRecord, Any]] = OrderedDict()
        self._hits = self._misses = 0
        self._size = 0
        self.resize(size)

    def get(self, record: ArtifactRecord) -> tuple[bool, Any]:
        """Whether the object of a record is here, and the object."""
        with self._lock:
            held = self._objects.get(record.artifact_id)
            if held is None or held[0].content_hash != record.content_hash:
                self._misses += 1
                return False, None
            self._hits += 1
            self._objects.move_to_end(record.artifact_id)
            return True, held[1]

    def put(self, record: ArtifactRecord, obj: Any) -> Any:
        """Keep an object; returns the one that another thread put meanwhile, if any."""
        with self._lock:
            held = self._objects.get(record.artifact_id)
            if held is not None and held[0].content_hash == record.content_hash:
                return held[1]
            self._objects[record.artifact_id] = (record, obj)
            self._objects.move_to_end(record.artifact_id)
            self._shrink()
            return obj

    def clear(self) -> None:
        """Forget all objects and counts."""
        with self._lock:
            self._objects.clear()
            self._hits = self._misses = 0

    def resize(self, size: int) -> None:
        """Keep at most so many objects; 0 keeps none.

        Raises
        ------
        StoreValueError
            The size is negative.
        """
        if size < 0:
            msg = f"The cache of loaded artifacts cannot hold {size} objects."
            raise StoreValueError(msg, "Use 0 to turn it off.")
        with self._lock:
            self._size = size
            self._shrink()

    def info(self) -> dict[str, Any]:
        """Figures as :meth:`ArtifactLoader.get_cache_info` gives them."""
        with self._lock:
            asked = self._hits + self._misses
            types = Counter(record.artifact_type.value for record, _ in self._objects.values())
            return {
                "size": len(self._objects),
                "max_size": self._size,
                "hits": self._hits,
                "misses": self._misses,
                "hit_rate": self._hits / asked if asked else 0.0,
                "by_type": dict(sorted(types.items())),
            }

    def _shrink(self) -> None:
        while len(self._objects) > self._size:
            self._objects.popitem(last=False)


class ArtifactLoader(RecordLookups):
    """Objects of one dataset; needs the files of the workspace, not its database.

    It may be used from several threads, and a repeated load gives the same object.

    Parameters
    ----------
    workspace
        Folder of the workspace.
    dataset
        Name of the dataset.
    cache_size
        Objects kept in memory; 0 keeps none.
    allow_pickle
        Whether to load formats that can run code from their bytes.
    """

    def __init__(
        self,
        workspace: Path | str,
        dataset: str,
        cache_size: int = CACHE_SIZE,
        *,
        allow_pickle: bool = True,
    ) -> None:
        super().__init__(workspace, dataset)
        self.allow_pickle = allow_pickle
        self._objects = ContentStore(self.workspace / ARTIFACTS)
        self._cache = ObjectCache(cache_size)

    @classmethod
    def from_manifest(
        cls,
        manifest: manifests.Manifest,
        workspace: Path | str,
        dataset: str,
        cache_size: int = CACHE_SIZE,
        *,
        allow_pickle: bool = True,
    ) -> ArtifactLoader:
        """Loader of the records of a manifest.

        Raises
        ------
        StoreValueError
            It is no manifest of this version.
        """
        loader = cls(workspace, dataset, cache_size, allow_pickle=allow_pickle)
        loader.import_from_manifest(manifest)
        return loader

    def load_by_id(self, artifact_id: str) -> Any:
        """Object of an id.

        Raises
        ------
        UnknownIdError
            There is no such record.
        ObjectMissingError
            Its file has gone.
        ArtifactCorruptError
            Its bytes do not have the recorded hash; nothing was made of them.
        UntrustedArtifactError
            Its format runs code, and ``allow_pickle`` is false.
        """
        return self._load(self._index.require(artifact_id))

    def load_by_chain(self, chain: OperatorChain | str, fold_id: int | None = None) -> Any:
        """Object made by exactly this chain; without a fold what all share, else the first fold.

        Raises
        ------
        UnknownIdError
            No record has this chain and fold; else as :meth:`load_by_id`.
        """
        record = self.get_by_chain(chain, fold_id)
        if record is None:
            path = chain.to_path() if isinstance(chain, OperatorChain) else chain
            fold = "" if fold_id is None else f" for fold {fold_id}"
            msg = f"No artifact was made by the chain {path!r}{fold}."
            raise UnknownIdError(msg, "Register it, or import the manifest that has it.")
        return self._load(record)

    def load_by_chain_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
    ) -> list[tuple[str, Any]]:
        """Ids and objects whose chain begins so; see :meth:`get_chain_prefix`."""
        return self._load_all(self.get_chain_prefix(prefix, branch_path, source_index))

    def load_for_step(
        self,
        step_index: int,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
        fold_id: int | None = None,
        pipeline_id: str | None = None,
    ) -> list[tuple[str, Any]]:
        """Ids and objects that a step needs at one place of the pipeline.

        With a branch given, objects before all branches or on a branch around it count too; with
        a fold or a source given, those that all folds or sources share.
        """
        found = [
            record
            for record in self._index
            if record.step_index == step_index
            and (pipeline_id is None or record.pipeline_id == pipeline_id)
            and (branch_path is None or branch_reaches(record.branch_path, branch_path))
            and (source_index is None or record.source_index in (None, source_index))
            and (fold_id is None or record.fold_id in (None, fold_id))
        ]
        return self._load_all(found)

    def load_fold_models(
        self,
        step_index: int,
        branch_path: Sequence[int] | None = None,
        pipeline_id: str | None = None,
    ) -> list[tuple[int, Any]]:
        """Folds and models of one step, by fold, on exactly this branch where given.

        Without a pipeline, the models of all pipelines that have such a step.
        """
        pipelines = {record.pipeline_id: None for record in self._index}
        wanted = pipelines if pipeline_id is None else [pipeline_id]
        records = [
            r for name in wanted for r in self.get_fold_models(name, step_index, branch_path)
        ]
        folds = [(r.fold_id, r) for r in records if r.fold_id is not None]
        return [(fold, self._load(r)) for fold, r in sorted(folds, key=lambda pair: pair[0])]

    def load_with_dependencies(self, artifact_id: str) -> dict[str, Any]:
        """Object of an id and all that it needs, by id; what is needed comes first.

        Raises
        ------
        UnknownIdError, StoreValueError
            As for ``ArtifactRegistry.resolve_dependencies``; else as :meth:`load_by_id`.
        """
        needed = self.resolve_dependencies(artifact_id)
        return dict(self._load_all([*needed, self._index.require(artifact_id)]))

    def load_meta_model_with_sources(
        self, artifact_id: str, validate_branch: bool = True
    ) -> tuple[Any, list[tuple[str, Any]], list[str]]:
        """Meta-model, ids and objects of the models below it, and names of their columns.

        The models come in the order of their feature index.

        Raises
        ------
        StoreValueError
            The artifact is no meta-model, or, with ``validate_branch``, a model below it is on a
            foreign branch.
        UnknownIdError
            It or a model below it has no record; else as :meth:`load_by_id`.
        """
        record = self._index.require(artifact_id)
        if not record.is_meta_model:
            msg = f"The artifact {artifact_id!r} is a {record.artifact_type}, no meta-model."
            raise StoreValueError(msg, "Load it with load_by_id.")
        config = record.meta_config or MetaModelConfig()
        sources = [self._index.require(source) for source in config.source_ids()]
        if validate_branch:
            stacking.check_branches(artifact_id, sources, record.branch_path)
        return self._load(record), self._load_all(sources), list(config.feature_columns)

    def find_artifact_by_custom_name(self, custom_name: str) -> ArtifactRecord | None:
        """First record to which the user gave this name, or None."""
        return next(iter(self._index.of_name(custom_name)), None) if custom_name else None

    def preload_artifacts(
        self,
        ids: Iterable[str] | None = None,
        types: Iterable[ArtifactType | str] | None = None,
    ) -> int:
        """Load objects ahead of use; all of them unless ids or types are given.

        Returns
        -------
        int
            Objects loaded; the cache keeps the last of them if it is smaller.

        Raises
        ------
        UnknownIdError
            An id has no record; else as :meth:`load_by_id`.
        """
        chosen = list(self._index) if ids is None else [self._index.require(item) for item in ids]
        if types is not None:
            wanted = {ArtifactType.of(item) for item in types}
            chosen = [record for record in chosen if record.artifact_type in wanted]
        return len(self._load_all(chosen))

    def clear_cache(self) -> None:
        """Forget all loaded objects, and the counts of hits and misses."""
        self._cache.clear()

    def set_cache_size(self, cache_size: int) -> None:
        """Keep at most so many objects; 0 keeps none.

        Raises
        ------
        StoreValueError
            The size is negative.
        """
        self._cache.resize(cache_size)

    def get_cache_info(self) -> dict[str, Any]:
        """Figures of the cache.

        ``size``, ``max_size``, ``hits``, ``misses``, ``hit_rate`` (0 before the first load) and
        ``by_type``, the loaded objects by type.
        """
        return self._cache.info()

    def _load(self, record: ArtifactRecord) -> Any:
        found, obj = self._cache.get(record)
        if found:
            return obj
        obj = load_object(self._objects, record, trusted=self.allow_pickle)
        return self._cache.put(record, obj)

    def _load_all(self, records: Iterable[ArtifactRecord]) -> list[tuple[str, Any]]:
        return [(record.artifact_id, self._load(record)) for record in records]
