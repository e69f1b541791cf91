"""Apply a stored chain to new rows.

``predict_chain`` -> transforms in step order (``sources``) -> every fold model on the same rows ->
one prediction (``averaging``) -> back through the transforms of y, the last one first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mosaic_dagster.errors import ReplayError
from mosaic_dagster.store.chains.averaging import (
    average_folds,
    combine_probabilities,
    combine_votes,
)
from mosaic_dagster.store.chains.descriptors import ROLES, SOURCE_MAP, descriptor_ids, listed_ids
from mosaic_dagster.store.chains.operators import build_operator
from mosaic_dagster.store.chains.sources import Sources

Array: TypeAlias = npt.NDArray[Any]
Load: TypeAlias = Callable[[str], Any]
Step: TypeAlias = Mapping[str, Any]

_NOT_KEPT = "Its artifacts were not kept: train again with save_artifacts=True."


@dataclass(frozen=True, slots=True)
class _Chain:
    """A stored chain, as far as replay needs it."""

    before: list[Step]
    model: Step
    shared: Mapping[str, Any]
    by_source: Mapping[str, Mapping[str, Any]]
    source_index: int | None


def predict_chain(chain: Mapping[str, Any], load: Load, X: Any, wavelengths: Any = None) -> Array:
    """Predict with a stored chain.

    Parameters
    ----------
    chain
        What ``get_chain`` returns: ``steps``, ``model_step_idx``, ``fold_strategy``,
        ``fold_artifacts``, ``shared_artifacts``, ``source_index`` and ``fold_weights`` are used.
    load
        Artifact id -> fitted object; its errors pass through.
    X
        Shape ``(n, p)``, or a dict {source index: matrix} for a chain over several sources. Never
        changed in place. NaN goes to the operators as it is.
    wavelengths
        Given to every operator whose ``transform`` has a parameter of this name; a mapping is
        looked up by source.

    Returns
    -------
    ndarray
        Shape ``(n,)``, or ``(n, k)`` for several outputs. Regressors: the mean over folds, or
        ``sum(w_i y_i) / sum(w_i)`` with fold weights. Classifiers: the label with the greatest
        mean probability over the union of the folds' classes, or most votes where a fold has no
        probabilities; ties go to the smallest label. A single model's own prediction is returned.

    Raises
    ------
    StoreValueError
        X is not two-dimensional or lacks a source, or an operator needs wavelengths.
    ReplayError
        The chain has no model, a step can neither be loaded nor built, or its artifacts were not
        kept.

    Notes
    -----
    Each source passes through its own operators. Sources are joined before the first fitted step
    that the source map does not name, at the latest before the model; steps without fitted state
    until then apply to every source. A fold of weight 0 does not take part. No rows come back in
    the shape and type of what the models predict; the transforms of X are not applied to them.
    """
    parts = _parts(chain)
    named = sorted({int(source) for step in parts.by_source.values() for source in step})
    sources = Sources(X, named, parts.source_index, wavelengths)
    models, weights = _models(chain, parts, load)
    targets: list[Any] = []
    for step in parts.before:
        match step.get("role") or "transform":
            case "transform":
                if sources.rows:
                    _transform(step, parts, load, sources)
            case "y_transform":
                targets += _shared_operators(step, parts, load)
            case role if role not in ROLES:
                msg = f"Step {step['step_idx']} of the chain has the unknown role {role!r}."
                raise ReplayError(msg, f"Roles are {', '.join(ROLES)}.")
    table = sources.join()
    if sources.rows:
        return _turned_back(_combined(models, weights, table), targets)
    with np.errstate(all="ignore"):  # of numbers that nobody sees
        return _turned_back(_one(models, weights, table), targets)[:0]


def _parts(chain: Mapping[str, Any]) -> _Chain:
    steps = sorted(chain.get("steps") or [], key=lambda step: step["step_idx"])
    wanted = chain.get("model_step_idx")
    model = next((step for step in steps if step["step_idx"] == wanted), None)
    if model is None:
        msg = f"The chain has no step with the index {wanted} of its model."
        raise ReplayError(msg, "Replay a chain that ends in a model.")
    shared = {str(key): ids for key, ids in (chain.get("shared_artifacts") or {}).items()}
    by_source = shared.pop(SOURCE_MAP, None) or {}
    described = {str(step["step_idx"]) for step in steps}
    if loose := sorted({*shared, *by_source} - described):
        msg = f"The chain has shared artifacts for steps that it does not describe: {loose}."
        raise ReplayError(msg, "Save the chain with a descriptor for each of them.")
    return _Chain(
        before=[step for step in steps if step["step_idx"] < model["step_idx"]],
        model=model,
        shared=shared,
        by_source={str(step): sources for step, sources in by_source.items()},
        source_index=chain.get("source_index"),
    )


def _models(chain: Mapping[str, Any], parts: _Chain, load: Load) -> tuple[list[Any], Any]:
    """Models that take part, and their weights or None."""
    folds: Mapping[str, Any] = chain.get("fold_artifacts") or {}
    if chain.get("fold_strategy") == "shared":
        if not folds:
            return [_shared_model(parts, load)], None
        folds = {"all": folds["all"]} if "all" in folds else folds
    if not folds or not all(folds.values()):
        msg = f"The chain names no fitted model for {_label(parts.model)}."
        raise ReplayError(msg, _NOT_KEPT)
    given = chain.get("fold_weights")
    if not given or len(folds) == 1:
        return [_model(load(found), parts.model) for found in folds.values()], None
    if unknown := [key for key in folds if key not in given]:
        msg = f"The chain has fold weights, but none for {', '.join(map(str, unknown))}."
        raise ReplayError(msg, "Save the chain with one weight for each fold.")
    used = {key: float(given[key]) for key in folds if given[key]}
    if not used:
        msg = "All fold weights of the chain are zero."
        raise ReplayError(msg, "Save the chain with a positive weight.")
    return [_model(load(folds[key]), parts.model) for key in used], list(used.values())


def _shared_model(parts: _Chain, load: Load) -> Any:
    """Return the one model among the shared artifacts of the model step."""
    found = [load(artifact) for artifact in _ids(parts.model, parts)]
    if not found:
        msg = f"The chain names no fitted model for {_label(parts.model)}."
        raise ReplayError(msg, _NOT_KEPT)
    models = [model for model in found if hasattr(model, "predict")]
    if len(found) > 1 and len(models) != 1:
        msg = f"{len(models)} of {len(found)} artifacts of {_label(parts.model)} can predict."
        raise ReplayError(msg, "Save the one model under the fold key 'all'.")
    return _model((models or found)[0], parts.model)


def _model(model: Any, step: Step) -> Any:
    if not hasattr(model, "predict"):
        msg = f"The artifact of {_label(step)} is a {type(model).__name__}, which has no predict."
        raise ReplayError(msg, "Replay a chain that ends in a model.")
    return model


def _transform(step: Step, parts: _Chain, load: Load, sources: Sources) -> None:
    own = parts.by_source.get(str(step["step_idx"]))
    if own:
        if sources.joined:
            msg = f"The chain's {_label(step)} is for single sources, which are joined by now."
            raise ReplayError(msg, "Name every fitted step before it in the source map, too.")
        _refuse_combined(step)
        for text, ids in own.items():
            if (source := int(text)) in sources.tables:
                operators = [load(artifact) for artifact in listed_ids(ids)]
                sources.transform(operators, source, step["step_idx"])
        return
    if _ids(step, parts):
        sources.join()
    operators = _shared_operators(step, parts, load)
    try:
        for source in sources.tables:
            sources.transform(operators, source, step["step_idx"])
    except ValueError as error:
        if not _is_unfitted(error):
            raise
        msg = f"The chain's {_label(step)} needs an operator that was fitted: {error}"
        raise ReplayError(msg, _NOT_KEPT) from error


def _shared_operators(step: Step, parts: _Chain, load: Load) -> list[Any]:
    """Operators of a step, in order: its artifacts, or one built from its parameters."""
    _refuse_combined(step)
    if ids := _ids(step, parts):
        return [load(artifact) for artifact in ids]
    if step.get("stateless") is False:
        msg = f"The chain names no fitted object for {_label(step)}."
        raise ReplayError(msg, _NOT_KEPT)
    try:
        return [build_operator(str(step.get("operator_class") or ""), step.get("params"))]
    except ReplayError as error:
        msg = f"The chain's {_label(step)} has no artifact and cannot be rebuilt: {error.what}"
        raise ReplayError(msg, error.remedy) from error


def _ids(step: Step, parts: _Chain) -> list[str]:
    return listed_ids(parts.shared.get(str(step["step_idx"]))) or descriptor_ids(step)


def _label(step: Step) -> str:
    return f"step {step['step_idx']} ({step.get('operator_class') or 'no class'})"


def _refuse_combined(step: Step) -> None:
    if combined := step.get("combined"):
        names = ", ".join(f"{p['operator_class']} on branch {p['branch_path']}" for p in combined)
        msg = f"The chain's {_label(step)} stands for operators that ran side by side: {names}."
        raise ReplayError(msg, "Replay the chains of the single branches.")


def _combined(models: Sequence[Any], weights: Sequence[float] | None, table: Any) -> Array:
    if len(models) == 1:
        return _flat(models[0].predict(table))
    if _classifies(models[0]):
        if all(hasattr(m, "predict_proba") and hasattr(m, "classes_") for m in models):
            probabilities = [model.predict_proba(table) for model in models]
            if not isinstance(probabilities[0], list):  # a list has one array per output
                classes = [model.classes_ for model in models]
                mean, union = combine_probabilities(probabilities, classes, weights)
                return np.asarray(union[mean.argmax(axis=1)])
        return combine_votes([_flat(model.predict(table)) for model in models], weights)
    values = [_flat(model.predict(table)) for model in models]
    if values[0].dtype.kind not in "biuf":
        return combine_votes(values, weights)
    return average_folds(values, weights)


def _classifies(model: Any) -> bool:
    if hasattr(model, "__sklearn_tags__"):
        # Whoever only asks the store what it holds does not wait for scikit-learn.
        from sklearn.base import is_classifier

        return bool(is_classifier(model))
    return getattr(model, "_estimator_type", None) == "classifier"


def _is_unfitted(error: ValueError) -> bool:
    from sklearn.exceptions import NotFittedError

    return isinstance(error, NotFittedError)


def _turned_back(values: Array, targets: Sequence[Any]) -> Array:
    """Undo the transforms of y, the last one first."""
    for operator in reversed(targets):
        values = _inverted(operator, values)
    return values


def _inverted(operator: Any, values: Array) -> Array:
    if not hasattr(operator, "inverse_transform"):
        msg = f"{type(operator).__name__}, applied to y, has no inverse_transform."
        raise ReplayError(msg, "Save its step with the role that it has.")
    from sklearn.preprocessing import LabelEncoder

    # It alone among the transforms of y takes one dimension; the others take columns.
    flat = values.ndim > 1 or isinstance(operator, LabelEncoder)
    return _flat(operator.inverse_transform(values if flat else values.reshape(-1, 1)))


def _flat(values: Any) -> Array:
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _one(models: Sequence[Any], weights: Sequence[float] | None, table: Any) -> Array:
    """Prediction for one row, which has the shape and type of none: estimators refuse no rows."""
    width = getattr(models[0], "n_features_in_", table.shape[1])
    # Whoever scales each row by itself would divide by zero in a row of equal numbers.
    row = np.linspace(0.0, 1.0, width + 1)[1:].reshape(1, -1)
    try:
        return _combined(models, weights, row)
    except Exception:  # noqa: BLE001 - a model that takes no such numbers may raise anything
        return _declared(models[0])


def _declared(model: Any) -> Array:
    """One value as the fitted attributes of a model tell what it predicts."""
    classes = getattr(model, "classes_", None)
    if isinstance(classes, np.ndarray):
        return classes[:1]
    coefficients = np.asarray(getattr(model, "coef_", 0.0))
    outputs = getattr(model, "n_outputs_", 1)
    if coefficients.ndim == 2 and not _classifies(model):
        outputs = len(coefficients)
    return np.zeros((1, outputs) if outputs > 1 else (1,))
