"""Keys of many recordings come and go in moments; one by one, 40,000 would take a minute."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from mosaic_dagster.keys import EntryKey
from mosaic_dagster.orchestration import partition_rows
from mosaic_dagster.orchestration.partitions import forget_entries, register_entries

STORAGE = """
telemetry: {{enabled: false}}
storage:
  custom:
    module: mosaic_dagster.orchestration.event_log
    class: MosaicSqliteStorage
    config: {{base_dir: {home}}}
"""
ODD = ("a/b", "50 %", "Männchen", "鼠", "x.y~z", "a b")


@pytest.fixture
def instance(tmp_path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(STORAGE.format(home=tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def odd_keys(count: int) -> list[str]:
    """Keys whose groups and sequences have names that labs use and databases dislike."""
    return [str(EntryKey(ODD[i % len(ODD)], f"{ODD[i % 5]}{i}")) for i in range(count)]


def registered(instance: dg.DagsterInstance) -> list[str]:
    return list(instance.get_dynamic_partitions("lab_entries"))


def test_dagster_still_has_the_names_that_are_used():
    """Else keys are deleted one by one, and forgetting many recordings becomes slow."""
    assert partition_rows.missing_internals() == []


def test_only_what_is_gone_goes_and_others_keep_their_order(instance):
    """A key too many would take a recording out of the user interface."""
    keys = odd_keys(60)
    register_entries(instance, "lab", keys)
    register_entries(instance, "other", keys)
    assert forget_entries(instance, "lab", keys[::2]) == keys[1::2]
    assert registered(instance) == keys[::2]
    assert list(instance.get_dynamic_partitions("other_entries")) == keys


@pytest.mark.parametrize("ephemeral", [False, True])
def test_without_the_names_it_is_done_through_the_public_interface(
    instance, monkeypatch, ephemeral
):
    """A new Dagster, or another storage, must not keep a lab from forgetting recordings."""
    used = dg.DagsterInstance.ephemeral() if ephemeral else instance
    if not ephemeral:
        monkeypatch.setattr(partition_rows, "_TABLE", None)
    keys = odd_keys(6)
    register_entries(used, "lab", keys)
    assert forget_entries(used, "lab", keys[:2]) == keys[2:]
    assert registered(used) == keys[:2]


@pytest.mark.slow
def test_forty_thousand_keys_are_no_statement_too_long(instance):
    """SQLite takes 32,766 variables in a statement; a lab with more could register nothing."""
    keys = odd_keys(40_000)
    assert register_entries(instance, "lab", keys) == keys
    assert register_entries(instance, "lab", keys) == []
    assert registered(instance) == keys
    assert forget_entries(instance, "lab", keys[:5]) == keys[5:]
    assert registered(instance) == keys[:5]
