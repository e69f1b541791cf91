"""Names of the run tags that select what a run computes and who announces it.

The first three are Dagster's, spelled out because it does not export them; the others are ours.
"""

from __future__ import annotations

from typing import Final

DEFER_TAG: Final = "dagster/defer_asset_events"
"""``"true"``: Dagster writes no asset events of its own in this run, planned ones included."""

RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
"""First partition key of a range run, in the order of registration."""

RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
"""Last partition key of a range run, included."""

SELECTION_TAG: Final = "mosaic/selection"
"""Digest of the list of entry keys that the run computes out of its range."""

FORCE_TAG: Final = "mosaic/force_from"
"""Step from which on everything is computed again, fresh or not."""

ENGINE_TAG: Final = "mosaic/engine"
"""Where entries are computed in this run: ``sequential``, ``loky`` or ``dask``."""

PARENT_TAG: Final = "mosaic/started_by"
"""Run id of the ``refresh`` that started this run."""
