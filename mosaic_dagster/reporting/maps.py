"""Maps that embeddings make of all frames, coloured by what is known about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mosaic_dagster.charts import map_2d
from mosaic_dagster.dataset import align_labels
from mosaic_dagster.features.output import IDENTITY_COLUMNS, feature_columns
from mosaic_dagster.reporting.behaviour import ClassStep, Tally, behaviour_labels, class_names
from mosaic_dagster.reporting.pictures import Figure, drawn
from mosaic_dagster.reporting.subject import Subject, Trace, spread

MOST_POINTS = 15_000
_MOST_MAPS = 3
_MOST_COLOURS = 3
_MOST_RECORDINGS = 40
_LABEL = "label"


@dataclass(frozen=True)
class _Map:
    """A step that gives each row a place."""

    step: str
    x: str
    y: str
    identity: tuple[str, ...]


def map_figures(subject: Subject, tallies: Sequence[Tally]) -> Iterator[Figure]:
    """One figure for each map, of at most three."""
    for place in _maps(subject)[:_MOST_MAPS]:
        fitting = [t.classes for t in tallies if t.classes.identity == place.identity]
        yield _figure(subject, place, fitting)


def _maps(subject: Subject) -> list[_Map]:
    """Embeddings; without any, the first two principal components."""
    found, components = [], []
    for name, bound in subject.steps.items():
        schema = subject.schema(name) if bound.is_fitted and bound.has_entries else pl.Schema()
        if "frame" not in schema or bound.passes_through:
            continue
        identity = tuple(c for c in IDENTITY_COLUMNS if c in schema)
        values = feature_columns(schema)
        for x in values:
            y = f"{x[:-2]}_y"
            if x.endswith("_x") and y in values and len(values) == 2:
                found.append(_Map(name, x, y, identity))
        if bound.feature_name == "global-pca" and len(values) > 1:
            components.append(_Map(name, values[0], values[1], identity))
    return found or components


def _figure(subject: Subject, place: _Map, steps: Sequence[ClassStep]) -> Figure:
    done = subject.done(place.step)
    keys = spread(done, _MOST_RECORDINGS)
    labels = [step for step in behaviour_labels(subject) if class_names(subject)]
    chosen = list(steps[: _MOST_COLOURS - (1 if labels else 0)])
    each = max(1, MOST_POINTS // max(len(keys), 1))
    table = pl.concat(
        [_places(subject, place, chosen, labels, key, each) for key in keys],
        how="diagonal_relaxed",
    )
    columns = [_LABEL] if labels and table[_LABEL].null_count() < table.height else []
    columns += [classes.step for classes in chosen]
    told = ", ".join(columns) or "the recording"
    few = "" if len(keys) == len(done) else f" of {len(done):,}, evenly spaced"
    figure = Figure(
        f"Map of {place.step}",
        f"Each point is a row of one of {len(keys)} recordings{few}; at most "
        f"{MOST_POINTS:,} points in all. Coloured by {told}.",
        f"Points at {place.x} and {place.y}, coloured by {told}.",
        tuple(_traces(subject, place, chosen, labels if columns[:1] == [_LABEL] else [], keys)),
    )
    names = _names(subject, chosen, columns)
    return drawn(
        figure, lambda: map_2d(table, place.x, place.y, columns or ["sequence"], names=names)
    )


def _names(
    subject: Subject, steps: Sequence[ClassStep], columns: Sequence[str]
) -> dict[str, Mapping[int, str]]:
    names: dict[str, Mapping[int, str]] = {c.step: c.names for c in steps if c.names}
    return names | ({_LABEL: class_names(subject)} if _LABEL in columns else {})


def _traces(
    subject: Subject, place: _Map, steps: Sequence[ClassStep], labels: list[str], keys: list[str]
) -> Iterator[Trace]:
    for step in (place.step, *(classes.step for classes in steps), *labels):
        units = subject.units(step)
        yield subject.trace(step, [key for key in keys if key in units])


def _places(
    subject: Subject,
    place: _Map,
    steps: Sequence[ClassStep],
    labels: Sequence[str],
    key: str,
    most: int,
) -> pl.DataFrame:
    """Evenly spaced rows of one recording, with their classes."""
    by = ["frame", *place.identity]
    table = subject.table(place.step, key, [*by, place.x, place.y, "sequence"])
    table = table.gather_every(-(-table.height // most) or 1)
    for classes in steps:
        if key in set(subject.done(classes.step)):
            other = subject.table(classes.step, key, [*by, classes.column])
            table = table.join(other.rename({classes.column: classes.step}), on=by, how="left")
        else:
            table = table.with_columns(pl.lit(None, dtype=pl.Int64).alias(classes.step))
    for step in labels[:1]:
        aligned = align_labels(table, subject.labels(step, key)).labels
        table = table.with_columns(aligned.alias(_LABEL))
    return table
