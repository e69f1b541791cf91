"""Which objects of a chain predict, in which order: what a script without this package needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mosaic_dagster.errors import ReplayError, StoreValueError
from mosaic_dagster.store.chains import SOURCE_MAP, CheckedChain, checked_chain
from mosaic_dagster.store.chains.descriptors import descriptor_ids, listed_ids

_BUNDLE = "Export it as 'n4a', which is read with this package."


@dataclass(frozen=True, slots=True)
class ScriptPlan:
    """Artifact ids in the order in which their objects are applied.

    Parameters
    ----------
    transforms
        Applied to X, one after the other.
    models
        All applied to what comes out.
    weights
        One number per model, or None for equal weights.
    targets
        Their inverse is applied to the combined prediction, one after the other.
    """

    transforms: list[str]
    models: list[str]
    weights: list[float] | None
    targets: list[str]

    @property
    def ids(self) -> list[str]:
        """Every id, once."""
        return list(dict.fromkeys((*self.transforms, *self.models, *self.targets)))


def script_plan(chain: Mapping[str, Any]) -> ScriptPlan:
    """Plan of a chain, as replaying it would go.

    Raises
    ------
    StoreValueError
        A step has no fitted object of its own, stands for several that ran side by side, or the
        chain has several sources.
    ReplayError
        The chain has no model, or its models were not kept.
    """
    checked = checked_chain(
        chain["steps"],
        chain["model_step_idx"],
        chain.get("fold_strategy") or "per_fold",
        chain.get("fold_artifacts"),
        chain.get("shared_artifacts"),
        chain.get("branch_path"),
        chain.get("source_index"),
        chain.get("fold_weights") or None,
    )
    transforms: list[str] = []
    targets: list[str] = []
    for step in checked.steps:
        if step["step_idx"] >= checked.model_step_idx:
            break
        match step.get("role") or "transform":
            case "transform":
                transforms += _fitted_ids(step, checked)
            case "y_transform":
                targets += _fitted_ids(step, checked)
    models = _models(checked)
    weights = None if checked.fold_weights is None or len(models) == 1 else checked.fold_weights
    used = [key for key in models if weights is None or weights[key]]
    return ScriptPlan(
        transforms=transforms,
        models=[models[key] for key in used],
        weights=None if weights is None else [weights[key] for key in used],
        targets=targets[::-1],
    )


def _fitted_ids(step: Mapping[str, Any], chain: CheckedChain) -> list[str]:
    label = f"Step {step['step_idx']} ({step.get('operator_class') or 'no class'})"
    if step.get("combined"):
        msg = f"{label} stands for operators that ran side by side."
        raise StoreValueError(msg, "Export the chains of the single branches.")
    ids = _source_ids(step, chain) or _shared_ids(step, chain)
    if not ids:
        msg = f"{label} has no fitted object, which a script cannot carry."
        raise StoreValueError(msg, _BUNDLE)
    return ids


def _source_ids(step: Mapping[str, Any], chain: CheckedChain) -> list[str]:
    """Ids that the source map has for a step; only one source can go through a script."""
    by_source = chain.shared_artifacts.get(SOURCE_MAP, {})
    sources = {source for own in by_source.values() for source in own}
    if chain.source_index is not None:
        sources &= {str(chain.source_index)}
    if len(sources) > 1:
        msg = f"The chain has the sources {', '.join(sorted(sources))}; a script takes one matrix."
        raise StoreValueError(msg, _BUNDLE)
    own = by_source.get(str(step["step_idx"]), {})
    return [found for source in sources for found in listed_ids(own.get(source))]


def _shared_ids(step: Mapping[str, Any], chain: CheckedChain) -> list[str]:
    shared = chain.shared_artifacts.get(str(step["step_idx"]))
    return listed_ids(shared) or descriptor_ids(step)


def _models(chain: CheckedChain) -> dict[str, str]:
    """Model ids by fold; those of a shared model step by their place."""
    folds = dict(chain.fold_artifacts)
    if chain.fold_strategy == "shared" and not folds:
        steps = [step for step in chain.steps if step["step_idx"] == chain.model_step_idx]
        ids = [found for step in steps for found in _shared_ids(step, chain)]
        folds = {str(place): found for place, found in enumerate(ids)}
    elif chain.fold_strategy == "shared" and "all" in folds:
        folds = {"all": folds["all"]}
    models = {key: found for key, found in folds.items() if found}
    if not models or len(models) < len(folds):
        msg = "The chain names no fitted model for its model step."
        raise ReplayError(msg, "Train again with save_artifacts=True.")
    return models
