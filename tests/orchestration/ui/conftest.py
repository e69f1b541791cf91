"""What is shown by Dagster and by the command line, of the lab of the folder above."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._time import get_current_datetime

from mosaic_dagster.cli.status import told_status

Unit = tuple[str, str]


@pytest.fixture
def yellow(lab: Any, instance: dg.DagsterInstance) -> Callable[[], set[Unit]]:
    """What Dagster shows as stale: (asset, partition), the partition empty where there is none."""

    def look() -> set[Unit]:
        graph = lab.definitions().resolve_asset_graph()
        now = TemporalContext(effective_dt=get_current_datetime(), last_event_id=None)
        view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
        resolver = CachingStaleStatusResolver(instance, graph, view)
        keys = instance.get_dynamic_partitions(f"{lab.name}_entries")
        return {
            ("/".join(key.path[1:]), part or "")
            for key in graph.get_all_asset_keys()
            for part in (keys if graph.get(key).is_partitioned else [None])
            if resolver.get_status(key, part) is StaleStatus.STALE
        }

    return look


@pytest.fixture
def status(lab: Any) -> Callable[[], Mapping[str, Any]]:
    """What ``mosaic status --json`` prints for the lab."""

    def look() -> Mapping[str, Any]:
        project: Any = SimpleNamespace(open=lambda _: lab.dataset)
        return told_status(project, [lab.study()])

    return look


@pytest.fixture
def late(status: Any) -> Callable[[], dict[Unit, str]]:
    """Reason of each unit that ``mosaic status`` calls neither fresh nor empty."""

    def look() -> dict[Unit, str]:
        found = {}
        for row in status()["entries"]:
            if row["state"] != "empty":
                whole = "/model" if row["entry"] == "(fit)" else ""
                asset = "/".join(filter(None, [row["pipeline"], row["step"]])) + whole
                found[asset, "" if whole else row["entry"]] = row["reason"]
        return found

    return look


@pytest.fixture
def standing(lab: Any, instance: dg.DagsterInstance, launch: Any) -> Callable[..., Any]:
    """The check ``up_to_date`` as it was last recorded, after its report was made again."""

    def look(*, again: bool = True) -> Any:
        if again:
            launch(assets=[f"{lab.pipeline().name}/report"], job=None)
        key = dg.AssetCheckKey(lab.key(lab.pipeline().name, "report"), "up_to_date")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return record.event.dagster_event.asset_check_evaluation_data

    return look
