"""Which way a metric points: whether the greater of two scores is the better one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mosaic_dagster.errors import StoreValueError

_HIGHER = (
    "r2 accuracy balanced_accuracy f1 f1_macro f1_micro f1_weighted precision recall specificity "
    "auc roc_auc kappa mcc rpd rpiq explained_variance"
)
_LOWER = "rmse mse mae mape nrmse medae max_error sep log_loss hinge_loss error_rate"

_directions: dict[str, bool] = {
    **dict.fromkeys(_HIGHER.split(), True),
    **dict.fromkeys(_LOWER.split(), False),
}

#: Name of a metric in lower case -> True when higher is better.
METRIC_DIRECTIONS: Mapping[str, bool] = MappingProxyType(_directions)


def register_metric(name: str, higher_is_better: bool) -> None:
    """Make a metric known in this process, so that scores of it can be ranked.

    Parameters
    ----------
    name
        Name of the metric; upper and lower case are the same.
    higher_is_better
        Whether the greater of two scores is the better one.

    Raises
    ------
    StoreValueError
        The name is empty, or the metric is known with the other direction.
    """
    key = name.lower()
    if not key.strip():
        msg = "A metric has an empty name."
        raise StoreValueError(msg, "Give the name that predictions are saved with.")
    if _directions.setdefault(key, bool(higher_is_better)) != bool(higher_is_better):
        better = "higher" if _directions[key] else "lower"
        msg = f"The metric {key!r} is known already, and of it {better} is better."
        raise StoreValueError(msg, "Choose another name.")


def higher_is_better(name: str) -> bool | None:
    """Whether the greater of two scores is the better one; None for an unknown metric."""
    return _directions.get(name.lower())


def ranking_ascending(metric_names: Iterable[str]) -> bool:
    """Whether scores of these metrics are ranked from the smallest up.

    Without any name there is nothing to rank, and the answer is True.

    Raises
    ------
    StoreValueError
        A metric is unknown, or the metrics point in different directions.
    """
    names = sorted({str(name) for name in metric_names})
    remedy = "Pass ascending=True (lower is better) or ascending=False (higher is better)."
    if unknown := [name for name in names if higher_is_better(name) is None]:
        msg = f"The direction of these metrics is unknown: {', '.join(unknown)}."
        raise StoreValueError(msg, f"{remedy} Or call register_metric once for each.")
    higher = [name for name in names if higher_is_better(name)]
    if higher and len(higher) < len(names):
        lower = [name for name in names if name not in higher]
        msg = (
            f"Higher is better for {', '.join(higher)}, lower is better for {', '.join(lower)}: "
            "these scores have no common ranking."
        )
        raise StoreValueError(msg, remedy)
    return not higher
