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

RETRY_TAG: Final = "mosaic/retry_failed"
"""``"false"``: what failed before and would be made from the same inputs is left as it is."""

UNSETTLED_TAG: Final = "mosaic/unsettled"
"""Digest of a list of source files that the run does not see: they may still be written to."""

SENSOR_TAG: Final = "mosaic/sensor"
"""Name of the sensor that asked for the run."""

PROCESS_TAG: Final = "mosaic/process"
"""Machine, number and boot of the process that works at the run, as JSON."""

ATTEMPT_TAG: Final = "mosaic/attempt"
"""How often this work has been begun, this run included."""

RESTART_TAG: Final = "mosaic/restart_of"
"""Run id of the run that died and that this one takes the place of."""

PARENT_TAG: Final = "mosaic/started_by"
"""Run id of the ``refresh`` that started this run."""
