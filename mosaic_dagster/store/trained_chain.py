"""A trained model as a step returns it, before anything of it has an identifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import checked_chain
from mosaic_dagster.store.workspace.predictions import checked_row


@dataclass(frozen=True)
class TrainedChain:
    """The steps from raw features to one model, and what it predicted.

    Wherever the store wants the identifier of an artifact, this holds its name among the
    artifacts that the step returned.

    Attributes
    ----------
    steps, model_step_idx, model_class, fold_artifacts, shared_artifacts
        As for :meth:`WorkspaceStore.save_chain`, with names instead of identifiers.
    preprocessings, fold_strategy, branch_path, source_index, fold_weights
        As for :meth:`WorkspaceStore.save_chain`.
    name
        What people call the model; its class by default.
    config
        The configuration that it was trained with. Chains of one configuration share a pipeline
        row of the store.
    predictions
        Rows as for :meth:`WorkspaceStore.save_prediction`, with their arrays, without pipeline
        and chain. Names of the dataset and the model may be left out.
    """

    steps: Sequence[Mapping[str, Any]]
    model_step_idx: int
    model_class: str
    fold_artifacts: Mapping[str, str] = field(default_factory=dict)
    shared_artifacts: Mapping[str, Any] = field(default_factory=dict)
    preprocessings: str = ""
    fold_strategy: str = "per_fold"
    branch_path: Sequence[int] | None = None
    source_index: int | None = None
    fold_weights: Mapping[str, float] | None = None
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    predictions: Sequence[Mapping[str, Any]] = ()


class ChainKeeper(Protocol):
    """What saving a trained chain needs of the workspace's store."""

    def session(self) -> AbstractContextManager[Any]:
        """Hold the database for several calls."""

    def save_chain(self, *args: Any, **kwargs: Any) -> str:
        """Save a chain and return its identifier."""

    def save_predictions(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Save predictions and return their identifiers."""


def check_trained_chain(chain: TrainedChain, names: Iterable[str]) -> None:
    """Refuse what :func:`save_trained_chain` would refuse later.

    Parameters
    ----------
    chain
        The chain.
    names
        Names of the artifacts that the step returned.

    Raises
    ------
    StoreValueError, StoreTypeError
        It contradicts itself, names an artifact that is not there, or a prediction has a value
        that its column does not take.
    """
    same = {name: name for name in names}
    checked_chain(
        [_named_step(step, same) for step in chain.steps],
        chain.model_step_idx,
        chain.fold_strategy,
        _renamed(chain.fold_artifacts, same),
        _renamed(chain.shared_artifacts, same),
        chain.branch_path,
        chain.source_index,
        chain.fold_weights,
    )
    for row in chain.predictions:
        checked_row(_row(chain, "", row) | {"pipeline_id": "", "chain_id": None})


def save_trained_chain(
    store: ChainKeeper,
    pipeline_id: str,
    dataset_name: str,
    chain: TrainedChain,
    artifact_ids: Mapping[str, str] | None,
) -> str:
    """Save a chain and its predictions under a pipeline and return the chain's identifier.

    Parameters
    ----------
    store
        The workspace's store.
    pipeline_id
        The pipeline that trained it.
    dataset_name
        For predictions that name no dataset.
    chain
        The chain.
    artifact_ids
        Identifier of each artifact by name; None when artifacts are not kept. Such a chain
        cannot be replayed.

    Raises
    ------
    StoreValueError
        The chain names an artifact that the step did not return.
    """
    with store.session():
        chain_id = store.save_chain(
            pipeline_id,
            [_named_step(step, artifact_ids) for step in chain.steps],
            chain.model_step_idx,
            chain.model_class,
            chain.preprocessings,
            chain.fold_strategy,
            _renamed(chain.fold_artifacts, artifact_ids) or {},
            _renamed(chain.shared_artifacts, artifact_ids) or {},
            chain.branch_path,
            chain.source_index,
            fold_weights=chain.fold_weights if artifact_ids is not None else None,
        )
        own = {"pipeline_id": pipeline_id, "chain_id": chain_id}
        store.save_predictions([_row(chain, dataset_name, r) | own for r in chain.predictions])
    return chain_id


def _row(chain: TrainedChain, dataset_name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset_name": dataset_name,
        "model_name": chain.name or chain.model_class,
        "model_class": chain.model_class,
        "preprocessings": chain.preprocessings,
        **row,
    }


def _named_step(step: Mapping[str, Any], ids: Mapping[str, str] | None) -> dict[str, Any]:
    fields = ("artifact_id", "artifact_ids")
    return {**step, **{name: _renamed(step[name], ids) for name in fields if name in step}}


def _renamed(names: Any, ids: Mapping[str, str] | None) -> Any:
    """Identifiers in the place of names, in texts, lists and mappings; None without any."""
    if names is None or ids is None:
        return None
    if isinstance(names, str):
        if names not in ids:
            msg = f"A chain names the artifact {names!r}, which its step did not return."
            raise StoreValueError(msg, f"It returned {', '.join(sorted(ids)) or 'none'}.")
        return ids[names]
    if isinstance(names, Mapping):
        return {key: _renamed(value, ids) for key, value in names.items()}
    return [_renamed(value, ids) for value in names]
