"""What the registry knows about one artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry.operator_chain import hash_path
from mosaic_dagster.store.artifact_registry.operator_node import placed_at

HASH_PREFIX = "sha256:"
_SHORT = 12
_REQUIRED = ("artifact_id", "content_hash", "path")


class ArtifactType(StrEnum):
    """What an artifact is for."""

    MODEL = "model"
    TRANSFORMER = "transformer"
    SPLITTER = "splitter"
    ENCODER = "encoder"
    META_MODEL = "meta_model"

    @classmethod
    def of(cls, value: ArtifactType | str) -> ArtifactType:
        """Type of a name.

        Raises
        ------
        StoreValueError
            There is no such type.
        """
        try:
            return cls(value)
        except ValueError as error:
            names = ", ".join(item.value for item in cls)
            msg = f"{value!r} is not a type of artifact."
            raise StoreValueError(msg, f"Use one of {names}.") from error


@dataclass(frozen=True, slots=True)
class MetaModelConfig:
    """What a meta-model reads.

    Parameters
    ----------
    source_models
        One mapping ``{"artifact_id": ..., "feature_index": ...}`` per model below it.
    feature_columns
        Names of the columns that their predictions become.
    """

    source_models: list[dict[str, Any]] = field(default_factory=list)
    feature_columns: list[str] = field(default_factory=list)

    def source_ids(self) -> list[str]:
        """Ids of the models below, by their feature index."""
        ordered = sorted(self.source_models, key=lambda source: source["feature_index"])
        return [source["artifact_id"] for source in ordered]

    def to_dict(self) -> dict[str, Any]:
        """Both fields, as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MetaModelConfig:
        """Inverse of :meth:`to_dict`; unknown keys are ignored."""
        sources = [dict(source) for source in data.get("source_models", ())]
        return cls(sources, list(data.get("feature_columns", ())))


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """Where an object came from, and where its bytes are.

    Parameters
    ----------
    artifact_id
        ``{pipeline_id}${chain hash}:{fold, or all}``.
    content_hash
        ``sha256:`` and 64 hex digits of the bytes.
    path
        File below ``artifacts/``, with forward slashes.
    chain_path
        Path of the operators that made it.
    source_index, branch_path, step_index, substep_index, fold_id
        Its place in the pipeline; a fold of None means that all folds share it.
    pipeline_id
        Pipeline that made it.
    artifact_type, class_name, custom_name
        What it is for, its class, and the user's name for it.
    depends_on
        Ids of the artifacts that it needs.
    format, format_version
        Codec of the bytes, and the library that wrote them, such as ``sklearn==1.9.1``.
    producer_version
        Version of this package.
    size_bytes
        Length of the file.
    created_at
        ISO 8601, UTC.
    params
        Parameters of the operator, as plain values.
    meta_config
        What a meta-model reads; None for everything else.
    version
        Version of this layout.
    """

    artifact_id: str
    content_hash: str
    path: str
    chain_path: str = ""
    source_index: int | None = None
    pipeline_id: str = ""
    branch_path: list[int] = field(default_factory=list)
    step_index: int = 0
    substep_index: int | None = None
    fold_id: int | None = None
    artifact_type: ArtifactType = ArtifactType.MODEL
    class_name: str = ""
    custom_name: str = ""
    depends_on: list[str] = field(default_factory=list)
    format: str = "joblib"
    format_version: str = ""
    producer_version: str = ""
    size_bytes: int = 0
    created_at: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    meta_config: MetaModelConfig | None = None
    version: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "artifact_type", ArtifactType.of(self.artifact_type))
        object.__setattr__(self, "branch_path", list(self.branch_path or ()))
        object.__setattr__(self, "depends_on", list(self.depends_on or ()))

    @property
    def digest(self) -> str:
        """The content hash without its prefix."""
        return self.content_hash.removeprefix(HASH_PREFIX)

    @property
    def short_hash(self) -> str:
        """First 12 hex digits of the content hash."""
        return self.digest[:_SHORT]

    @property
    def chain_hash(self) -> str:
        """Hash of the chain as it stands in the id; of the path when the id has none."""
        _, dollar, rest = self.artifact_id.partition("$")
        return rest.rpartition(":")[0] if dollar else hash_path(self.chain_path)

    @property
    def is_branch_specific(self) -> bool:
        """Whether it was made inside a branch."""
        return bool(self.branch_path)

    @property
    def is_fold_specific(self) -> bool:
        """Whether it was fitted on one fold."""
        return self.fold_id is not None

    @property
    def is_source_specific(self) -> bool:
        """Whether it belongs to one data source."""
        return self.source_index is not None

    @property
    def is_meta_model(self) -> bool:
        """Whether it reads the predictions of other models."""
        return self.artifact_type is ArtifactType.META_MODEL

    def get_branch_path_str(self) -> str:
        """Branch indices joined by colons, such as ``0:1``; empty outside branches."""
        return ":".join(map(str, self.branch_path))

    def get_fold_str(self) -> str:
        """Number of the fold, or ``all``."""
        return "all" if self.fold_id is None else str(self.fold_id)

    def matches_context(
        self,
        step_index: int | None = None,
        branch_path: Sequence[int] | None = None,
        source_index: int | None = None,
        fold_id: int | None = None,
    ) -> bool:
        """Whether it was made at exactly this place; None matches anything."""
        return placed_at(self, step_index, branch_path, source_index, fold_id)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values; ``meta_config`` only where there is one."""
        data = {**asdict(self), "artifact_type": self.artifact_type.value}
        if self.meta_config is None:
            del data["meta_config"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArtifactRecord:
        """Inverse of :meth:`to_dict`; unknown keys are ignored.

        Raises
        ------
        StoreValueError
            Id, content hash or path is missing, or the type is unknown.
        """
        missing = [name for name in _REQUIRED if not isinstance(data.get(name), str)]
        if missing:
            msg = f"The record of artifact {data.get('artifact_id')!r} lacks {', '.join(missing)}."
            raise StoreValueError(msg, "Pass what ArtifactRecord.to_dict gave.")
        known = {item.name for item in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        if values.get("meta_config") is not None:
            values["meta_config"] = MetaModelConfig.from_dict(values["meta_config"])
        values["params"] = dict(values.get("params") or {})
        return cls(**values)
