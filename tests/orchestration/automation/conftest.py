"""A sensor evaluated alone, and its requests run as the daemon would run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster.orchestration import Automation

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Daemon:
    """Evaluates one sensor again and again, with the cursor of the look before."""

    lab: Any
    instance: dg.DagsterInstance
    sensor: str
    automation: Automation = field(default_factory=lambda: Automation(first_wait_seconds=0.0))
    cursor: str | None = None
    keys: set[str] = field(default_factory=set)
    told: str = ""

    def look(self) -> list[dg.RunRequest]:
        """One look: the requests that Dagster would launch."""
        definitions = self.lab.definitions(automation=self.automation)
        repository = definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=repository,
            resources={f"{self.lab.name}_workspace": self.lab.resources()[self.lab.name]},
        ) as context:
            tick = repository.get_sensor_def(self.sensor).evaluate_tick(context)
        self.cursor = tick.cursor
        self.told = tick.skip_message or ""
        new = [r for r in tick.run_requests or [] if r.run_key not in self.keys]
        self.keys |= {request.run_key for request in new if request.run_key}
        return new

    def run(self, request: dg.RunRequest) -> Any:
        """Run what was asked for, in this process."""
        job = self.lab.definitions().resolve_job_def(request.job_name)
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=request.asset_selection,
            tags=request.tags,
            raise_on_error=False,
            run_config={**request.run_config, **QUIET},
        )

    def settle(self, looks: int = 6) -> list[str]:
        """Look and run until nothing is asked for; what was computed meanwhile."""
        for _ in range(looks):
            for request in self.look():
                self.run(request)
        return list(self.lab.log.take())

    def selected(self, request: dg.RunRequest) -> list[str]:
        """Entries that a request names."""
        return list(self.lab.dataset.registry.selection(request.tags["mosaic/selection"]))


@pytest.fixture
def daemon(lab: Any, instance: dg.DagsterInstance) -> Callable[..., Daemon]:
    def make(sensor: str, **automation: Any) -> Daemon:
        given = Automation(**{"first_wait_seconds": 0.0, **automation})
        return Daemon(lab, instance, sensor, given)

    return make
