"""Which models a meta-model may stand on, and what it calls their predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.artifact_registry.artifact_record import (
    ArtifactRecord,
    MetaModelConfig,
)
from mosaic_dagster.store.artifact_registry.indexes import RecordIndex
from mosaic_dagster.store.artifact_registry.operator_node import branch_reaches


def check_sources(
    index: RecordIndex, meta_id: str, source_ids: Sequence[str], branch_path: Sequence[int]
) -> list[ArtifactRecord]:
    """Records of the models below a meta-model, in the order given.

    Parameters
    ----------
    index
        Where the models are registered.
    meta_id
        Id of the meta-model, for messages.
    source_ids
        Ids of the models below it.
    branch_path
        Branch of the meta-model; empty after a merge, which takes models of all branches.

    Raises
    ------
    StoreValueError
        No model is given, one is the meta-model itself or is not registered, or one is on a
        branch that is neither the meta-model's nor around it.
    """
    if not source_ids:
        msg = f"The meta-model {meta_id!r} has no models below it."
        raise StoreValueError(msg, "Name at least one source model.")
    missing = [source for source in source_ids if source not in index or source == meta_id]
    if missing:
        msg = f"The meta-model {meta_id!r} stands on {', '.join(missing)}, not registered before."
        raise StoreValueError(msg, "Register the source models before the meta-model.")
    sources = [index.require(source) for source in source_ids]
    check_branches(meta_id, sources, branch_path)
    return sources


def check_branches(
    meta_id: str, sources: Iterable[ArtifactRecord], branch_path: Sequence[int]
) -> None:
    """Refuse models of foreign branches below a meta-model.

    Raises
    ------
    StoreValueError
        A model is on a branch that is neither the meta-model's nor around it.
    """
    foreign = [
        source.artifact_id
        for source in sources
        if branch_path and not branch_reaches(source.branch_path, branch_path)
    ]
    if foreign:
        place = ".".join(map(str, branch_path))
        msg = f"The meta-model {meta_id!r} of branch {place} stands on {', '.join(foreign)}."
        raise StoreValueError(msg, "Take models of its own branch, or merge the branches first.")


def stacked(
    sources: Sequence[ArtifactRecord], feature_columns: Sequence[str] | None = None
) -> MetaModelConfig:
    """Configuration of a meta-model on these models, in this order.

    Columns that are not given are called ``<Class>_pred``, then ``<Class>_pred_2`` and so on.
    """
    models = [
        {"artifact_id": source.artifact_id, "feature_index": position}
        for position, source in enumerate(sources)
    ]
    if feature_columns is None:
        feature_columns = _distinct(f"{source.class_name}_pred" for source in sources)
    return MetaModelConfig(models, list(feature_columns))


def _distinct(names: Iterable[str]) -> list[str]:
    taken: dict[str, None] = {}
    for name in names:
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name}_{count}"
        taken[candidate] = None
    return list(taken)
