"""Everything that a report shows, gathered before the first word of it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mosaic_dagster.reporting.behaviour import BoutTable, Tally, bout_tables, class_steps, tally
from mosaic_dagster.reporting.exports import ExportedFile, exported
from mosaic_dagster.reporting.facts import ReportFacts
from mosaic_dagster.reporting.maps import map_figures
from mosaic_dagster.reporting.pictures import (
    Figure,
    graph_figure,
    model_figures,
    recordings_figure,
    size_figures,
    time_figures,
)
from mosaic_dagster.reporting.subject import Subject
from mosaic_dagster.reporting.trained import Training, trainings

MOST_BYTES = 3_300_000
"""Bytes of all pictures together; inside a page they grow by a third."""

LARGEST = 800_000
"""Bytes of one picture."""

_MOST_CLUSTERINGS = 2
_MOST_PREDICTIONS = 2


@dataclass(frozen=True)
class Content:
    """What the page is made of.

    Attributes
    ----------
    facts
        Numbers and words.
    tallies
        Every step with a class in each frame; those in ``drawn`` also have pictures.
    drawn
        Names of these steps.
    bouts, trained
        Cluster summaries and trained models.
    paths, times, sizes, maps, models, graph
        Pictures by section.
    own
        Pictures that the pipeline's own steps exported.
    files
        All files that they exported.
    """

    facts: ReportFacts
    tallies: tuple[Tally, ...]
    drawn: tuple[str, ...]
    bouts: tuple[BoutTable, ...]
    trained: tuple[Training, ...]
    paths: tuple[Figure, ...]
    times: tuple[Figure, ...]
    sizes: tuple[Figure, ...]
    maps: tuple[Figure, ...]
    models: tuple[Figure, ...]
    graph: tuple[Figure, ...]
    own: tuple[Figure, ...]
    files: tuple[ExportedFile, ...]


class _Budget:
    """Bytes that are left for pictures."""

    def __init__(self) -> None:
        self.left = MOST_BYTES

    def keep(self, figures: Iterable[Figure]) -> tuple[Figure, ...]:
        return tuple(map(self._kept, figures))

    def _kept(self, figure: Figure) -> Figure:
        if len(figure.data) > min(self.left, LARGEST):
            return figure.without(
                f"This picture of {len(figure.data) / 1e6:.1f} MB is left out, so that the page "
                "stays small."
            )
        self.left -= len(figure.data)
        return figure


def collect(subject: Subject, facts: ReportFacts) -> Content:
    """Read what the report shows, and draw it; tables are read one at a time."""
    tallies = [told for c in class_steps(subject) if (told := tally(subject, c)) is not None]
    chosen = _chosen(tallies)
    trained = tuple(trainings(subject))
    files = tuple(exported(subject))
    budget = _Budget()
    return Content(
        facts=facts,
        tallies=tuple(tallies),
        drawn=tuple(told.classes.step for told in chosen),
        bouts=tuple(bout_tables(subject)),
        trained=trained,
        graph=budget.keep([graph_figure(subject)]),
        paths=budget.keep(recordings_figure(subject, chosen)),
        times=budget.keep(time_figures(subject, chosen)),
        sizes=budget.keep(size_figures(chosen)),
        maps=budget.keep(map_figures(subject, chosen)),
        models=budget.keep(f for training in trained for f in model_figures(training)),
        own=budget.keep(file.figure() for file in files if file.mime),
        files=files,
    )


def _chosen(tallies: Sequence[Tally]) -> list[Tally]:
    """What is drawn: the clusterings with the fewest clusters, and the first predictions."""
    clusterings = [told for told in tallies if not told.classes.predicts]
    fewest = sorted(clusterings, key=lambda told: len(told.sizes))[:_MOST_CLUSTERINGS]
    predictions = [told for told in tallies if told.classes.predicts][:_MOST_PREDICTIONS]
    return [*predictions, *fewest]
