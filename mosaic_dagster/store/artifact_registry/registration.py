"""From an object and its place in a pipeline to a stored artifact and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry.artifact_record import (
    HASH_PREFIX,
    ArtifactRecord,
    ArtifactType,
    MetaModelConfig,
)
from mosaic_dagster.store.artifact_registry.operator_chain import (
    OperatorChain,
    as_chain,
    generate_id,
    parse_artifact_id,
)
from mosaic_dagster.store.formats import encode, format_version
from mosaic_dagster.store.formats.versions import library_version
from mosaic_dagster.store.workspace.json_columns import from_json, to_json
from mosaic_dagster.store.workspace.store import WorkspaceStore

_PACKAGE = "mosaic_dagster"


def draft_from_chain(
    chain: OperatorChain | str,
    step_index: int,
    *,
    branch_path: Sequence[int] | None,
    source_index: int | None,
    fold_id: int | None,
    substep_index: int | None,
    pipeline_id: str,
) -> ArtifactRecord:
    """Record without content; what is None comes from the last operator of the chain.

    Parameters
    ----------
    pipeline_id
        Pipeline that is meant where the chain names none.

    Raises
    ------
    StoreValueError
        The chain is empty or no chain, the step is below 1, or the pipeline id cannot be used.
    """
    chain = as_chain(chain)
    last = chain.get_last_node()
    if last is None:
        msg = f"The artifact of step {step_index} has an empty chain."
        raise StoreValueError(msg, "Name at least the operator that made it.")
    if step_index < 1:
        msg = f"The artifact of the chain {chain.to_path()!r} has the step {step_index}."
        raise StoreValueError(msg, "Steps count from 1.")
    return ArtifactRecord(
        artifact_id=generate_id(chain, fold_id, pipeline_id),
        content_hash="",
        path="",
        chain_path=chain.to_path(),
        pipeline_id=pipeline_id,
        step_index=step_index,
        branch_path=chain.get_branch_path() if branch_path is None else list(branch_path),
        source_index=last.source_index if source_index is None else source_index,
        substep_index=last.substep_index if substep_index is None else substep_index,
        fold_id=fold_id,
    )


def draft_from_id(
    artifact_id: str, chain: OperatorChain | str = "", source_index: int | None = None
) -> ArtifactRecord:
    """Record without content: pipeline and fold from the id, the place from the last operator.

    Raises
    ------
    StoreValueError
        The id is none of an artifact, or the path is none of a chain.
    """
    pipeline_id, _, fold_id = parse_artifact_id(artifact_id)
    chain = as_chain(chain)
    last = chain.get_last_node()
    draft = ArtifactRecord(
        artifact_id=artifact_id,
        content_hash="",
        path="",
        chain_path=chain.to_path(),
        pipeline_id=pipeline_id,
        fold_id=fold_id,
        source_index=source_index,
    )
    if last is None:
        return draft
    return replace(
        draft,
        step_index=last.step_index,
        branch_path=chain.get_branch_path(),
        substep_index=last.substep_index,
        source_index=last.source_index if source_index is None else source_index,
    )


def described(
    draft: ArtifactRecord,
    *,
    artifact_type: ArtifactType | str,
    depends_on: Sequence[str] | None,
    params: Mapping[str, Any] | None,
    meta_config: MetaModelConfig | None,
    custom_name: str | None,
) -> ArtifactRecord:
    """Record with what the caller says about the object.

    Raises
    ------
    StoreValueError
        There is no such type of artifact.
    StoreTypeError
        A parameter is neither a plain value nor one that can become one.
    """
    needs = (
        depends_on if depends_on is not None else (meta_config or MetaModelConfig()).source_ids()
    )
    return replace(
        draft,
        artifact_type=ArtifactType.of(artifact_type),
        depends_on=list(dict.fromkeys(needs)),
        params=from_json(to_json(dict(params or {}), f"params of {draft.artifact_id}")),
        meta_config=meta_config,
        custom_name=custom_name or "",
    )


def store_object(
    store: WorkspaceStore, obj: Any, draft: ArtifactRecord, format_hint: str | None
) -> ArtifactRecord:
    """Write an object, give it its row, and return the record with its content.

    Raises
    ------
    StoreValueError
        The object cannot be serialised; no file and no row is left.
    StateError
        The id has other content, which a chain still names.
    """
    encoded = encode(obj, format_hint or "auto")
    record = replace(
        draft,
        class_name=type(obj).__name__,
        format=encoded.format,
        format_version=format_version(obj),
        producer_version=library_version(_PACKAGE),
        created_at=datetime.now(UTC).isoformat(),
    )
    # One lease, so that nobody who releases equal bytes takes the file before it has its row.
    with store.session():
        stored = store.objects.put(encoded.data, encoded.ext)
        record = replace(
            record,
            content_hash=f"{HASH_PREFIX}{stored.digest}",
            path=stored.path,
            size_bytes=stored.size,
        )
        ensure_row(store, record)
    return record


def ensure_row(store: WorkspaceStore, record: ArtifactRecord) -> None:
    """Give a record its row in the store; one with the same content is left as it is.

    A row with other content is replaced.

    Raises
    ------
    StateError
        The row has other content, which a chain still names.
    """
    store.register_existing_artifact(
        record.artifact_id,
        record.path,
        record.digest,
        record.class_name,
        record.artifact_type.value,
        record.format,
        record.size_bytes,
        replace=True,
    )
