"""What a lab decides about its sensors and schedules."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from mosaic_dagster.errors import ProjectError


@dataclass(frozen=True)
class Automation:
    """How a dataset is kept up to date; given among the resources as ``automation``.

    Parameters
    ----------
    sensors, schedules
        Whether they run as soon as the daemon does; else somebody switches them on in the UI,
        where each can be switched in any case.
    every_seconds
        Shortest time between two looks of a sensor.
    attempts
        How often the same work is begun before it is reported instead.
    first_wait_seconds
        Time between a run that died and the next attempt; each further one waits four times as
        long.
    nightly, weekly
        When everything is brought up to date, and when the stores are checked, as in crontab.
    timezone
        Name of the time zone of these times; that of the machine by default.
    collect_garbage
        Whether the weekly check removes what nothing names; else it only counts.

    Raises
    ------
    ProjectError
        A number is not positive.
    """

    sensors: bool = False
    schedules: bool = False
    every_seconds: int = 30
    attempts: int = 3
    first_wait_seconds: float = 30.0
    nightly: str = "0 2 * * *"
    weekly: str = "0 3 * * 0"
    timezone: str | None = None
    collect_garbage: bool = False

    def __post_init__(self) -> None:
        for name in ("every_seconds", "attempts"):
            if getattr(self, name) < 1:
                msg = f"Automation: {name} is {getattr(self, name)}."
                raise ProjectError(msg, "Give a positive number.")
        if self.first_wait_seconds < 0:
            msg = f"Automation: first_wait_seconds is {self.first_wait_seconds}."
            raise ProjectError(msg, "Give a time that is not negative.")

    @property
    def sensor_status(self) -> dg.DefaultSensorStatus:
        """Whether a sensor runs that nobody has switched on or off."""
        kinds = dg.DefaultSensorStatus
        return kinds.RUNNING if self.sensors else kinds.STOPPED

    @property
    def schedule_status(self) -> dg.DefaultScheduleStatus:
        """Whether a schedule runs that nobody has switched on or off."""
        kinds = dg.DefaultScheduleStatus
        return kinds.RUNNING if self.schedules else kinds.STOPPED

    def wait_before(self, attempt: int) -> float:
        """Seconds between the end of an attempt and the begin of this one (2 is the second)."""
        return self.first_wait_seconds * 4.0 ** (attempt - 2)
