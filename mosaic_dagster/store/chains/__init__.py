"""Chains: the fitted line of steps and models behind a prediction, and how to apply it."""

from mosaic_dagster.store.chains.aggregation import aggregate_by_group
from mosaic_dagster.store.chains.averaging import (
    average_folds,
    combine_probabilities,
    combine_votes,
    fold_average_weights,
)
from mosaic_dagster.store.chains.descriptors import (
    ROLES,
    SOURCE_MAP,
    CheckedChain,
    artifact_ids,
    checked_chain,
)
from mosaic_dagster.store.chains.metrics import (
    METRIC_DIRECTIONS,
    higher_is_better,
    ranking_ascending,
    register_metric,
)
from mosaic_dagster.store.chains.operators import build_operator, register_operator
from mosaic_dagster.store.chains.replay import predict_chain
from mosaic_dagster.store.chains.traces import branch_compatible, chains_from_trace

__all__ = [
    "METRIC_DIRECTIONS",
    "ROLES",
    "SOURCE_MAP",
    "CheckedChain",
    "aggregate_by_group",
    "artifact_ids",
    "average_folds",
    "branch_compatible",
    "build_operator",
    "chains_from_trace",
    "checked_chain",
    "combine_probabilities",
    "combine_votes",
    "fold_average_weights",
    "higher_is_better",
    "predict_chain",
    "ranking_ascending",
    "register_metric",
    "register_operator",
]
