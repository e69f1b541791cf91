"""The sensor of new and changed files, evaluated alone and its requests run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]


@pytest.fixture
def sensor(daemon: Callable[..., Any], refresh: Any) -> Any:
    assert refresh().success
    return daemon("toy_new_recordings")


def test_a_new_file_is_registered_and_made_once_it_was_the_same_twice(
    lab: Any, sensor: Any, instance: dg.DagsterInstance
) -> None:
    lab.record("s9", 90.0)
    assert sensor.look() == []
    assert "may still be written" in sensor.told
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s9"]
    assert "g/s9" in instance.get_dynamic_partitions("toy_entries")
    assert sensor.run(request).success
    # What is fitted, and the pictures of all, see every recording; the rest only the new one.
    single = [line for line in lab.log.take() if line.startswith(("toy-shift", "toy-whole"))]
    assert single == ["toy-shift:s9", "toy-whole:s9"]
    assert sensor.look() == []
    assert "No file is new or changed" in sensor.told


def test_a_file_that_is_still_written_to_waits(lab: Any, sensor: Any) -> None:
    for frames in (2, 3, 4, 5):
        lab.record("s9", 90.0, n_frames=frames)
        assert sensor.look() == []
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s9"]


def test_a_changed_file_that_is_still_written_to_keeps_its_result(
    lab: Any, sensor: Any, digests: Any
) -> None:
    before = digests("tracks")
    lab.record("s1", 500.0)
    assert sensor.look() == []
    assert digests("tracks") == before
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s1"]
    sensor.run(request)
    changed = {key for key, digest in digests("tracks").items() if digest != before[key]}
    assert changed == {"g/s1"}


def test_the_files_beside_one_that_is_written_to_do_not_wait(lab: Any, sensor: Any) -> None:
    lab.record("s8", 80.0)
    sensor.look()
    lab.record("s9", 90.0)
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s8"]
    sensor.run(request)
    registered = {row.key for row in lab.dataset.registry.entries()}
    assert "g/s9" not in registered


def test_a_touched_file_asks_for_no_run(lab: Any, sensor: Any) -> None:
    os.utime(lab.folder / "s1.csv", (10**9, 10**9))
    assert [sensor.look() for _ in range(3)] == [[], [], []]


def test_a_file_from_the_future_is_a_file(lab: Any, sensor: Any) -> None:
    """A clock that jumped while the camera ran must not hide a recording."""
    path = lab.record("s9", 90.0)
    os.utime(path, (4 * 10**9, 4 * 10**9))
    sensor.look()
    (request,) = sensor.look()
    assert sensor.selected(request) == ["g/s9"]


def test_a_sensor_killed_between_registering_and_launching_asks_again(
    lab: Any, sensor: Any
) -> None:
    lab.record("s9", 90.0)
    sensor.look()
    cursor = sensor.cursor
    (lost,) = sensor.look()
    sensor.cursor = cursor
    sensor.keys.clear()
    (request,) = sensor.look()
    assert request.run_key == lost.run_key
    assert sensor.selected(request) == ["g/s9"]


def test_a_broken_file_stops_only_itself_and_is_not_tried_for_ever(
    lab: Any, sensor: Any, digests: Any
) -> None:
    (lab.folder / "s8.csv").write_text("this is,no\ntable of tracks,at all\n")
    lab.record("s9", 90.0)
    sensor.settle()
    assert "g/s9" in digests("tracks")
    assert [sensor.look() for _ in range(3)] == [[], [], []]


def test_a_folder_that_went_away_loses_nothing(lab: Any, sensor: Any, digests: Any) -> None:
    before = digests("tracks")
    lab.folder.parent.rename(lab.folder.parent.with_name("unplugged"))
    assert [sensor.look() for _ in range(3)] == [[], [], []]
    assert "not there" in sensor.told
    assert digests("tracks") == before
    lab.folder.parent.with_name("unplugged").rename(lab.folder.parent)
    assert [sensor.look() for _ in range(3)] == [[], [], []]
