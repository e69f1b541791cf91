"""Which pictures a report shows of which steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from mosaic_dagster.charts import (
    agreement,
    cluster_sizes,
    confusion,
    ethogram,
    ethogram_pairs,
    trajectories,
)
from mosaic_dagster.dataset import align_labels
from mosaic_dagster.features.output import IDENTITY_COLUMNS
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.reporting.behaviour import ClassStep, Tally, behaviour_labels
from mosaic_dagster.reporting.subject import Subject, Trace, entry_name, one_line, spread
from mosaic_dagster.reporting.trained import Training

MOST_PANELS = 6
MOST_ROWS = 20
_PER_RECORDING = 3
_MOST_FRAMES = 20_000
_MOST_COLOURS = 20

PNG = "image/png"


@dataclass(frozen=True)
class Figure:
    """A picture with everything that is said about it.

    Attributes
    ----------
    title, caption, alt
        In words.
    traces
        What it was made from.
    data, mime
        The picture; empty when there is none to show.
    missing
        Why there is none.
    """

    title: str
    caption: str
    alt: str
    traces: tuple[Trace, ...]
    data: bytes = b""
    mime: str = PNG
    missing: str = ""

    def without(self, why: str) -> Figure:
        """The same with a sentence in place of the picture."""
        return replace(self, data=b"", missing=why)


def drawn(figure: Figure, draw: Callable[[], bytes]) -> Figure:
    """The figure with its picture; one that cannot be drawn says so and spoils no other."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # names in any script
            return replace(figure, data=draw())
    except Exception as error:  # noqa: BLE001 - told in the picture's place
        return figure.without(f"It could not be drawn: {type(error).__name__}: {error}")


def recordings_figure(subject: Subject, tallies: Sequence[Tally]) -> Iterator[Figure]:
    """Where the animals were, in a few recordings."""
    done = subject.done(TRACKS)
    keys = spread(done, MOST_PANELS)
    if not keys or not {"X", "Y", "frame"} <= set(subject.schema(TRACKS)):
        return
    colour = _colouring(tallies)
    column = "id" if colour is None else colour.column
    panels = {_plot_name(key): _positions(subject, key, colour) for key in keys}
    if column == "id" and not all("id" in table.columns for table in panels.values()):
        panels = {name: table.with_columns(id=pl.lit(0)) for name, table in panels.items()}
    by = "the animal" if colour is None else f"the class of step {colour.step}"
    traces = [subject.trace(TRACKS, keys)]
    traces += [] if colour is None else [subject.trace(colour.step, _having(subject, colour, keys))]
    unit = subject.dataset.manifest.unit or ""
    yield drawn(
        Figure(
            "Paths of the animals",
            f"{_some(len(keys), len(done), 'recording')}; the colour is {by}. Coordinates are in "
            f"{unit or 'the unit of the files'}, y points down as in the video.",
            f"Paths of the animals in {len(keys)} recordings, coloured by {by}.",
            tuple(traces),
        ),
        lambda: trajectories(panels, unit, column),
    )


def size_figures(tallies: Sequence[Tally]) -> Iterator[Figure]:
    """How often each class occurs, by group."""
    for told in tallies:
        step = told.classes.step
        yield drawn(
            Figure(
                f"Size of the classes of {step}",
                "Share of rows in each class, by group of recordings. Counted: "
                f"{_some(told.recordings, told.known, 'recording').lower()}.",
                f"Bars with the share of each class of step {step}.",
                (told.trace,),
            ),
            lambda told=told: cluster_sizes(told.counts, names=told.classes.names or None),  # type: ignore[misc]
        )


def time_figures(subject: Subject, tallies: Sequence[Tally]) -> Iterator[Figure]:
    """Who did what when, with the labels above predictions where there are any."""
    for told in tallies:
        classes = told.classes
        done = subject.done(classes.step)
        rows, keys = _rows(subject, classes, done)
        truth = _truth(subject, rows) if classes.predicts else {}
        labelled = behaviour_labels(subject) if truth else []
        traces = [subject.trace(classes.step, keys)]
        traces += [subject.trace(name, _with_table(subject, name, keys)) for name in labelled]
        told_truth = (
            " Above each row the labels, below it what was predicted; a model may have learned "
            "from some of these recordings, so this is no test of it."
        )
        yield drawn(
            Figure(
                f"{classes.step} over time",
                f"{_some(len(keys), len(done), 'recording')}, a row for each animal or pair."
                + (told_truth if truth else ""),
                f"A row of colours for each animal: its class in step {classes.step} over time.",
                tuple(traces),
            ),
            _ethogram_of(classes, {name: table for name, (_, table) in rows.items()}, truth),
        )


def model_figures(training: Training) -> Iterator[Figure]:
    """What each class was taken for; measured against predicted values."""
    told = f"Rows of the partition “{training.partition}”, all folds together."
    for table in training.confusions:
        yield drawn(
            Figure(
                f"{training.step}: confusions of {table.model}", told,
                f"Table of true against predicted classes of the model {table.model}.",
                (training.trace,),
            ),
            lambda table=table: confusion(table.counts, list(map(_plain, table.names))),  # type: ignore[misc]
        )  # fmt: skip
    if training.measured:
        models = {_plain(name): values for name, values in training.measured.items()}
        yield drawn(
            Figure(
                f"{training.step}: measured and predicted values", told,
                "A point for each sample; on the line both are equal.", (training.trace,),
            ),
            lambda: agreement(models),
        )  # fmt: skip


def graph_figure(subject: Subject) -> Figure:
    """The steps and what each needs."""
    count = len(subject.steps)
    figure = Figure(
        "Steps of the pipeline",
        "From left to right, each step behind what it needs; the colour is its kind.",
        f"Graph of {count} steps; the table of steps names what each needs.",
        (),
    )
    return drawn(figure, subject.pipeline.show)


def _ethogram_of(
    classes: ClassStep, rows: Mapping[str, pl.DataFrame], truth: Mapping[str, pl.DataFrame]
) -> Callable[[], bytes]:
    names = classes.names or None
    if not truth:
        return lambda: ethogram(rows, column=classes.column, names=names)
    return lambda: ethogram_pairs(
        truth, rows, truth_column="label", prediction_column=classes.column, names=names
    )


def _rows(
    subject: Subject, classes: ClassStep, done: Sequence[str]
) -> tuple[dict[str, tuple[str, pl.DataFrame]], list[str]]:
    """A table for each row of an ethogram by its name, with its recording; and the recordings."""
    columns = ["frame", "time", *IDENTITY_COLUMNS, classes.column]
    rows: dict[str, tuple[str, pl.DataFrame]] = {}
    keys: list[str] = []
    for key in spread(done, MOST_ROWS):
        parts = _by_animal(thinned(subject.table(classes.step, key, columns)))
        if len(rows) + min(len(parts), _PER_RECORDING) > MOST_ROWS:
            break
        keys.append(key)
        for who, part in list(parts.items())[:_PER_RECORDING]:
            name = _plot_name(key)
            rows[name if len(parts) == 1 else f"{name} {who}"] = (key, part)
    return rows, keys


def _by_animal(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Rows of each animal, or of each pair in one order."""
    if "perspective" in table.columns:
        table = table.filter(pl.col("perspective") == table["perspective"].min())
    who = [name for name in ("id", "id1", "id2") if name in table.columns]
    if not who:
        return {"": table}
    parts = table.partition_by(who, maintain_order=False, as_dict=True)
    ordered = sorted(parts.items(), key=lambda item: [(v is None, v or 0) for v in item[0]])
    return {one_line("–".join(map(str, ids))): part for ids, part in ordered}


def _truth(
    subject: Subject, rows: Mapping[str, tuple[str, pl.DataFrame]]
) -> dict[str, pl.DataFrame]:
    """Labels of the rows of an ethogram, where there are any."""
    found: dict[str, pl.DataFrame] = {}
    for step in behaviour_labels(subject):
        for name, (key, table) in rows.items():
            labels = subject.labels(step, key)
            if labels is not None and name not in found:
                aligned = align_labels(table, labels).labels.alias("label")
                found[name] = table.select("frame", *_time(table), aligned)
    return found


def _time(table: pl.DataFrame) -> list[str]:
    return ["time"] if "time" in table.columns else []


def _with_table(subject: Subject, step: str, keys: Sequence[str]) -> list[str]:
    units = subject.units(step)
    return [key for key in keys if key in units]


def _colouring(tallies: Sequence[Tally]) -> ClassStep | None:
    """The first step with a class for each animal that a key of colours can show."""
    fitting = (t.classes for t in tallies if len(t.sizes) <= _MOST_COLOURS)
    return next((c for c in fitting if c.identity == ("id",) and not c.names), None)


def _having(subject: Subject, classes: ClassStep, keys: Sequence[str]) -> list[str]:
    done = set(subject.done(classes.step))
    return [key for key in keys if key in done]


def _positions(subject: Subject, key: str, colour: ClassStep | None) -> pl.DataFrame:
    columns = ["frame", "id", "X", "Y", "group", "sequence"]
    table = thinned(subject.table(TRACKS, key, columns))
    if colour is None:
        return table
    if not _having(subject, colour, [key]):
        return table.with_columns(pl.lit(None, dtype=pl.Int64).alias(colour.column))
    classes = subject.table(colour.step, key, ["frame", "id", colour.column])
    return table.join(classes, on=["frame", "id"], how="left")


def thinned(table: pl.DataFrame, most: int = _MOST_FRAMES) -> pl.DataFrame:
    """Every n-th frame of a long table."""
    every = -(-table.height // most)
    return table.filter(pl.col("frame") % every == 0) if every > 1 else table


def _plot_name(key: str) -> str:
    return _plain(entry_name(key))


def _plain(name: str) -> str:
    """A name in which matplotlib sees no formula."""
    return name.replace("$", r"\$")


def _some(shown: int, known: int, what: str) -> str:
    if shown == known:
        return f"All {known} {what}s" if known != 1 else f"The one {what}"
    return f"{shown} of {known:,} {what}s, evenly spaced"
