"""Recordings whose behaviour can be read off one value, as results of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.dataset import Labels
from mosaic_dagster.keys import EntryKey

NAMES = {1: "rest", 3: "walk", 8: "rear"}


class ToyResult:
    """Tables or labels in memory, read as the result of a step."""

    def __init__(self, values: Mapping[EntryKey, Any]) -> None:
        self.values = dict(values)
        self.reads: list[EntryKey] = []

    def keys(self) -> list[EntryKey]:
        return list(self.values)

    def table(self, key: EntryKey) -> pl.DataFrame:
        self.reads.append(key)
        table: pl.DataFrame = self.values[key]
        return table

    def tables(self) -> Iterator[tuple[EntryKey, pl.DataFrame]]:
        for key in self.keys():
            yield key, self.table(key)

    def labels(self, key: EntryKey) -> Any:
        return self.values.get(key)


def toy_recording(classes: list[int], key: EntryKey, n_ids: int = 2) -> pl.DataFrame:
    """Value 10 · class + id, one row per frame and individual, interleaved."""
    frame = np.repeat(np.arange(len(classes)), n_ids)
    who = np.tile(np.arange(n_ids), len(classes))
    value = 10.0 * np.repeat(classes, n_ids) + who
    return pl.DataFrame(
        {"frame": frame, "time": frame / 10.0, "id": who, "value": value, "flat": 0.0}
    ).with_columns(group=pl.lit(key.group), sequence=pl.lit(key.sequence))


def toy_classes(length: int = 60) -> list[int]:
    """Bouts of 10 frames of 1, 3, 8, 1, 3, 8, …"""
    return [(1, 3, 8)[(frame // 10) % 3] for frame in range(length)]


def toy_results(n: int = 4, length: int = 60) -> tuple[ToyResult, ToyResult]:
    """Tables of n recordings in two groups; animal 0 is labelled but for the last 5 frames."""
    keys = [EntryKey(f"g{number % 2}", f"s{number}") for number in range(n)]
    classes = toy_classes(length)
    labels = Labels.per_frame([*classes[:-5], *[None] * 5], NAMES, id1=0)
    return (
        ToyResult({key: toy_recording(classes, key) for key in keys}),
        ToyResult(dict.fromkeys(keys, labels)),
    )


@pytest.fixture
def toys() -> Any:
    return toy_results


@pytest.fixture
def toy_result() -> type[ToyResult]:
    return ToyResult
