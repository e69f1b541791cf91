"""Labels of individuals that the tracks do not have.

Labels refer to animals by the ids of the stored tracks, 0, 1, 2, …. A file that was labelled with
a tracker's own numbers, which had gaps, names others: its labels then fit nobody, without an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.status import DONE

_LOOKED_AT = 100
_SHOWN = 5


def unknown_individuals(run: DatasetRun, most: int = _LOOKED_AT) -> list[str]:
    """Tell which labels name individuals that the tracks do not have.

    Parameters
    ----------
    run
        The dataset as it is.
    most
        How many labelled recordings of each kind are looked at: reading all would hold up a
        status.

    Returns
    -------
    list of str
        A line for each kind and recording, at most five of a kind and then their number.
    """
    told: list[str] = []
    for asset, labels in run.ingested.items():
        if labels is not run.tracks:
            found = [line for line in _of_kind(run, asset, most) if line]
            more = len(found) - _SHOWN
            rest = [f"{asset} of {more} more recordings name unknown individuals."]
            told += found[:_SHOWN] + (rest if more > 0 else [])
    return told


def _of_kind(run: DatasetRun, asset: str, most: int) -> Iterator[str]:
    labels = run.ingested[asset]
    both = (
        (key, of_labels, of_tracks)
        for key in labels.keys
        if (of_labels := _object(labels, key)) and (of_tracks := _object(run.tracks, key))
    )
    for key, of_labels, of_tracks in islice(both, most):
        yield _compared(f"{asset} of {key}", _named(of_labels), of_tracks)


def _object(state: Ingested, key: str) -> Path | None:
    """The stored table of an entry that is up to date."""
    status = state.statuses.get(key)
    if status is None or status.state not in DONE or status.result is None:
        return None
    result = status.result
    assert result.output_sha256 is not None
    return state.dataset.objects.path(result.output_sha256, result.ext)


def _named(path: Path) -> set[str]:
    """Ids that labels name, as text; the whole scene is none."""
    columns = pl.read_parquet_schema(path)
    names: list[str] = [name for name in ("id1", "id2", "id") if name in columns]
    table = pl.read_parquet(path, columns=names)
    ids = {str(value) for name in names for value in table[name].unique().to_list()}
    return ids - {"-1", "None"}


def _compared(where: str, named: set[str], tracks: Path) -> str:
    """A line about those of the named ids that the tracks do not have; empty if there is none."""
    if not named:
        return ""
    animals = pl.read_parquet(tracks, columns=["id"])["id"].unique().sort().to_list()
    unknown = sorted(named - {str(animal) for animal in animals}, key=lambda i: (len(i), i))
    if not unknown:
        return ""
    there = f"{animals[0]} to {animals[-1]}" if len(animals) > 1 else ", ".join(map(str, animals))
    return (
        f"{where} name the individuals {', '.join(unknown[:_SHOWN])}; the tracks have "
        f"{there or 'none'} (a tracker's own numbers are in their column source_track_id)."
    )
