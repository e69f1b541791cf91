"""What a sensor remembers: a lab loses a night when work is begun twice, or never again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration import Automation
from mosaic_dagster.orchestration.automation.launches import Launches

SLOW = Automation(attempts=3, first_wait_seconds=30.0)


def test_new_work_is_begun_at_once() -> None:
    launches, reason = Launches().next("a" * 64, 100.0, SLOW)
    assert reason is None
    assert launches == Launches("a" * 64, 1, 1)


def test_work_whose_run_ended_too_early_waits_longer_each_time_and_is_reported_in_the_end() -> None:
    """30 s before the second attempt, 4 × 30 s before the third, then somebody has to look."""
    launches, _ = Launches().next("a", 100.0, SLOW)
    launches, reason = launches.next("a", 200.0, SLOW)
    assert reason is not None
    assert "30 s" in reason
    launches, reason = launches.next("a", 229.0, SLOW)
    assert reason is not None
    launches, reason = launches.next("a", 230.0, SLOW)
    assert reason is None
    assert launches.attempts == 2
    launches, reason = launches.next("a", 300.0, SLOW)
    assert reason is not None
    assert "120 s" in reason
    launches, reason = launches.next("a", 420.0, SLOW)
    assert (reason, launches.attempts) == (None, 3)
    later, reason = launches.next("a", 10_000.0, SLOW)
    assert reason is not None
    assert "mosaic run" in reason
    assert later == launches


def test_the_same_work_that_comes_back_is_new_work() -> None:
    """A parameter that is changed, changed back and changed again must be run three times."""
    first, _ = Launches().next("a", 0.0, SLOW)
    back, _ = first.next("b", 1.0, SLOW)
    again, _ = back.next("a", 2.0, SLOW)
    done = again.nothing_to_do()
    once_more, reason = done.next("a", 3.0, SLOW)
    assert reason is None
    keys = [launches.run_key for launches in (first, back, again, once_more)]
    assert len(set(keys)) == len(keys)


def test_a_clock_that_was_set_back_does_not_make_a_sensor_wait_for_ever() -> None:
    launches, _ = Launches().next("a", 10_000.0, SLOW)
    launches, _ = launches.next("a", 10_001.0, SLOW)
    launches, reason = launches.next("a", 50.0, SLOW)
    assert reason is not None
    _, reason = launches.next("a", 81.0, SLOW)
    assert reason is None


def test_a_cursor_that_was_not_saved_asks_for_the_same_key() -> None:
    """The sensor was killed after it asked: Dagster knows the key and starts nothing."""
    before = Launches("z", 4, 1)
    asked, _ = before.next("a", 0.0, SLOW)
    asked_again, _ = Launches.parse(str(before)).next("a", 60.0, SLOW)
    assert asked.run_key == asked_again.run_key


@given(
    work=st.text(max_size=70),
    changes=st.integers(0, 10**6),
    attempts=st.integers(0, 9),
    ended=st.floats(0, 2e9),
)
def test_a_cursor_is_read_as_it_was_written(
    work: str, changes: int, attempts: int, ended: float
) -> None:
    launches = Launches(work, changes, attempts, ended)
    assert Launches.parse(str(launches)) == launches


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"every_seconds": 0}, {"first_wait_seconds": -1}]
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ProjectError, match=next(iter(wrong))):
        Automation(**wrong)
