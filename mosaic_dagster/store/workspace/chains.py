"""Chains: the ordered steps from raw features to one model."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from mosaic_dagster.errors import StoreTypeError, UnknownIdError
from mosaic_dagster.store.chains import CheckedChain, artifact_ids, checked_chain
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.workspace import pipelines, references
from mosaic_dagster.store.workspace.frames import frame, record
from mosaic_dagster.store.workspace.json_columns import (
    known_id,
    required_id,
    text,
    text_or_none,
    to_json,
    told,
    whole,
)
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_JSON = ("steps", "fold_artifacts", "shared_artifacts", "branch_path", "fold_weights")


def save(
    workspace: OpenWorkspace,
    pipeline_id: str,
    chain: CheckedChain,
    model_class: str,
    preprocessings: str,
) -> str:
    """Insert a chain, count its references and return its identifier.

    Raises
    ------
    UnknownIdError
        The pipeline or an artifact is not there.
    StateError
        The pipeline failed.
    StoreValueError
        An index of a step or of the source is too large.
    StoreTypeError
        The class is no text, or a parameter is not JSON.
    """
    workspace.check_writable()
    pipeline_id = required_id(pipeline_id, "pipeline")
    named = artifact_ids(chain.fold_artifacts, chain.shared_artifacts, chain.steps)
    ids = [required_id(name, "artifact") for name in named]
    for step in chain.steps:
        whole(step["step_idx"], "step_idx", 32)
    chain_id = str(uuid.uuid4())
    values = [
        chain_id,
        pipeline_id,
        to_json(chain.steps, "steps"),
        whole(chain.model_step_idx, "model_step_idx", 32),
        text(model_class, "model_class"),
        text_or_none(preprocessings, "preprocessings"),
        chain.fold_strategy,
        to_json(chain.fold_artifacts, "fold_artifacts"),
        to_json(chain.shared_artifacts, "shared_artifacts"),
        to_json(chain.branch_path, "branch_path"),
        whole(chain.source_index, "source_index", 32),
        to_json(chain.fold_weights, "fold_weights"),
        utc_now(),
    ]
    with workspace.writing() as con:
        pipelines.check_open(con, pipeline_id)
        references.take(con, ids)
        con.execute(f"INSERT INTO main.chains VALUES ({', '.join('?' * len(values))})", values)
        # Inside the lease: who deletes the chain comes later, and makes us forget it.
        workspace.alive.put(("chain", chain_id), True)
    return chain_id


def checked(
    steps: Sequence[Mapping[str, Any]],
    model_step_idx: int,
    fold_strategy: str,
    fold_artifacts: Mapping[str, str] | None,
    shared_artifacts: Mapping[str, Any] | None,
    branch_path: Sequence[int] | None,
    source_index: int | None,
    fold_weights: Mapping[str, float] | None,
) -> CheckedChain:
    """Normalise what a caller gave.

    Raises
    ------
    StoreValueError
        It contradicts itself, or a part has the wrong type.
    StoreTypeError
        The steps are no list.
    """
    if not isinstance(steps, Iterable):
        msg = f"The steps of the chain are {told(steps)}, which is no list."
        raise StoreTypeError(msg, "Give a list of mappings, each with a step_idx.")
    return checked_chain(
        steps, model_step_idx, fold_strategy, fold_artifacts or {}, shared_artifacts or {},
        branch_path, source_index, fold_weights,
    )  # fmt: skip


def get(workspace: OpenWorkspace, chain_id: str) -> dict[str, Any] | None:
    """Every column of a chain, JSON decoded, or None."""
    query = "SELECT * FROM main.chains WHERE chain_id = ?"
    with workspace.reading() as con:
        return record(con, query, [known_id(chain_id)], _JSON)


def require(workspace: OpenWorkspace, chain_id: str) -> dict[str, Any]:
    """As :func:`get`; UnknownIdError when there is no such chain."""
    chain = get(workspace, chain_id)
    if chain is None:
        msg = f"There is no chain {told(chain_id)}."
        raise UnknownIdError(msg, "`mosaic models top` names chains.")
    return chain


def of_pipeline(workspace: OpenWorkspace, pipeline_id: str) -> pl.DataFrame:
    """Chains of a pipeline, the oldest first."""
    query = "SELECT * FROM main.chains WHERE pipeline_id = ? ORDER BY created_at, rowid"
    with workspace.reading() as con:
        return frame(con, query, [known_id(pipeline_id)])


def ensure_known(workspace: OpenWorkspace, chain_id: str) -> None:
    """Check that a chain is there, from memory when this process has seen it.

    Raises
    ------
    UnknownIdError
        There is no such chain.
    """
    if workspace.alive.get(("chain", chain_id)):
        return
    with workspace.reading():
        require(workspace, chain_id)
        workspace.alive.put(("chain", chain_id), True)
