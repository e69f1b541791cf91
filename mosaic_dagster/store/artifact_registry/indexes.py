"""Records in memory, found by id, content, chain, step or name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mosaic_dagster.errors import StoreValueError, UnknownIdError
from mosaic_dagster.store.artifact_registry.artifact_record import (
    HASH_PREFIX,
    ArtifactRecord,
    ArtifactType,
)
from mosaic_dagster.store.artifact_registry.dependency_graph import MAX_DEPTH, DependencyGraph
from mosaic_dagster.store.artifact_registry.operator_chain import OperatorChain
from mosaic_dagster.store.artifact_registry.operator_node import branch_reaches

_MODELS = (ArtifactType.MODEL, ArtifactType.META_MODEL)


class _Index:
    """Record ids by some property of the record, in order of insertion."""

    def __init__(self) -> None:
        self._ids: dict[object, dict[str, None]] = {}

    def add(self, key: object, artifact_id: str) -> None:
        self._ids.setdefault(key, {})[artifact_id] = None

    def remove(self, key: object, artifact_id: str) -> None:
        ids = self._ids[key]
        del ids[artifact_id]
        if not ids:
            del self._ids[key]

    def get(self, key: object) -> list[str]:
        return list(self._ids.get(key, ()))


class RecordIndex:
    """Records and the needs between them; adding and removing keep every lookup true."""

    def __init__(self) -> None:
        self._records: dict[str, ArtifactRecord] = {}
        self._by: dict[str, _Index] = {}
        self.graph = DependencyGraph()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[ArtifactRecord]:
        return iter(list(self._records.values()))

    def __contains__(self, artifact_id: str) -> bool:
        return artifact_id in self._records

    def check(self, record: ArtifactRecord) -> None:
        """Refuse a record whose id belongs to another chain.

        Raises
        ------
        StoreValueError
            The id is taken; chain hashes are short enough to collide.
        """
        known = self._records.get(record.artifact_id)
        if known is not None and known.chain_path != record.chain_path:
            msg = (
                f"The artifact id {record.artifact_id!r} belongs to the chain "
                f"{known.chain_path!r}, not to {record.chain_path!r}."
            )
            raise StoreValueError(msg, "Register the object under another pipeline id.")

    def add(self, record: ArtifactRecord) -> None:
        """Add a record; one with the same id and chain is replaced.

        Raises
        ------
        StoreValueError
            As for :meth:`check`.
        """
        self.check(record)
        self.remove(record.artifact_id)
        self._records[record.artifact_id] = record
        for name, key in _keys(record).items():
            self._by.setdefault(name, _Index()).add(key, record.artifact_id)
        self.graph.add_dependencies(record.artifact_id, record.depends_on)

    def add_all(self, records: Iterable[ArtifactRecord]) -> int:
        """Add all records or, when one is refused, none; says how many.

        Raises
        ------
        StoreValueError
            As for :meth:`check`; also when two of the records contradict each other.
        """
        batch = RecordIndex()
        count = 0
        for record in records:
            self.check(record)
            batch.add(record)
            count += 1
        for record in batch:
            self.add(record)
        return count

    def remove(self, artifact_id: str) -> ArtifactRecord | None:
        """Remove a record; those that need it keep saying so."""
        record = self._records.pop(artifact_id, None)
        if record is not None:
            for name, key in _keys(record).items():
                self._by[name].remove(key, artifact_id)
            self.graph.remove_dependencies(artifact_id)
        return record

    def get(self, artifact_id: str) -> ArtifactRecord | None:
        """Record of an id."""
        return self._records.get(artifact_id)

    def require(self, artifact_id: str) -> ArtifactRecord:
        """Record of an id.

        Raises
        ------
        UnknownIdError
            There is no such record.
        """
        record = self._records.get(artifact_id)
        if record is None:
            msg = f"No artifact {artifact_id!r} is registered."
            raise UnknownIdError(msg, "Register it, or import the manifest that has it.")
        return record

    def of_hash(self, content_hash: str) -> list[ArtifactRecord]:
        """Records with these bytes; the hash may lack its ``sha256:``."""
        return self._found("hash", content_hash.removeprefix(HASH_PREFIX))

    def of_pipeline(self, pipeline_id: str) -> list[ArtifactRecord]:
        """Records of a pipeline."""
        return self._found("pipeline", pipeline_id)

    def of_name(self, custom_name: str) -> list[ArtifactRecord]:
        """Records to which the user gave this name."""
        return self._found("name", custom_name)

    def of_chain(
        self, chain: OperatorChain | str, fold_id: int | None = None, pipeline_id: str = ""
    ) -> ArtifactRecord | None:
        """Record made by exactly this chain.

        Parameters
        ----------
        chain
            Chain or path. A chain's own pipeline id chooses between pipelines that share it.
        fold_id
            Fold; with None what all folds share, else the first fold.
        pipeline_id
            Pipeline preferred where the chain names none.
        """
        found = self._found("chain", _path(chain))
        if fold_id is not None:
            found = [record for record in found if record.fold_id == fold_id]
        named = chain.pipeline_id if isinstance(chain, OperatorChain) else ""
        if named:
            found = [record for record in found if record.pipeline_id == named]
        else:
            own = [record for record in found if record.pipeline_id == pipeline_id]
            found = own or found
        # Of several pipelines with the same chain the one registered last is meant.
        return min(reversed(found), key=_fold_order, default=None)

    def below_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
    ) -> list[ArtifactRecord]:
        """Records whose chain begins with these whole nodes.

        A branch or a source leaves in what lies before all branches or serves all sources.
        """
        path = _path(prefix)
        start = f"{path}>" if path else ""
        return [
            record
            for record in self
            if (record.chain_path == path or record.chain_path.startswith(start))
            and (branch_path is None or branch_reaches(record.branch_path, branch_path))
            and (source_index is None or record.source_index in (None, source_index))
        ]

    def at_step(
        self,
        pipeline_id: str,
        step_index: int,
        branch_path: Sequence[int] | None = None,
        fold_id: int | None = None,
    ) -> list[ArtifactRecord]:
        """Records of one step of a pipeline, on exactly this branch and fold where given."""
        found = self._found("step", (pipeline_id, step_index))
        return [
            record
            for record in found
            if record.matches_context(branch_path=branch_path, fold_id=fold_id)
        ]

    def fold_models(
        self, pipeline_id: str, step_index: int, branch_path: Sequence[int] | None = None
    ) -> list[ArtifactRecord]:
        """Models and meta-models of one step that were fitted on a fold, by fold."""
        found = self.at_step(pipeline_id, step_index, branch_path)
        models = [r for r in found if r.is_fold_specific and r.artifact_type in _MODELS]
        return sorted(models, key=_fold_order)

    def needed_by(self, artifact_id: str, max_depth: int = MAX_DEPTH) -> list[ArtifactRecord]:
        """Records of everything that an artifact needs, what is needed first.

        Raises
        ------
        UnknownIdError
            The artifact, or one that it needs, is not registered.
        StoreValueError
            The needs form a circle or are nested too deeply.
        """
        self.require(artifact_id)
        needed = self.graph.resolve_dependencies(artifact_id, max_depth)
        missing = [item for item in needed if item not in self]
        if missing:
            msg = f"The artifact {artifact_id!r} needs {', '.join(missing)}, not registered here."
            raise UnknownIdError(msg, "Import the manifest that has them, or register them.")
        return [self._records[item] for item in needed]

    def _found(self, name: str, key: object) -> list[ArtifactRecord]:
        ids = self._by[name].get(key) if name in self._by else []
        return [self._records[artifact_id] for artifact_id in ids]


def _keys(record: ArtifactRecord) -> Mapping[str, object]:
    return {
        "hash": record.digest,
        "chain": record.chain_path,
        "pipeline": record.pipeline_id,
        "step": (record.pipeline_id, record.step_index),
        "name": record.custom_name,
    }


def _path(chain: OperatorChain | str) -> str:
    return chain.to_path() if isinstance(chain, OperatorChain) else chain


def _fold_order(record: ArtifactRecord) -> int:
    return -1 if record.fold_id is None else record.fold_id
