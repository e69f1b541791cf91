"""The sensor that notices new and changed source files.

A file counts once it was the same in two looks in a row: its size, its time and its place on the
disk. No clock takes part, so one that jumps delays nothing and hurries nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.source_stats import SourceStats, read_cursor, stat_sources
from mosaic_dagster.orchestration.automation.asking import busy_with, next_request
from mosaic_dagster.orchestration.automation.launches import Launches
from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, Study
from mosaic_dagster.pipeline.status import PENDING


def sensor_name(dataset: str) -> str:
    """Name of the sensor of a dataset."""
    return f"{dataset}_new_recordings"


@dataclass(frozen=True)
class Seen:
    """What the sensor remembers.

    Attributes
    ----------
    files
        What the new and changed files looked like, as :func:`read_cursor` reads it.
    useless
        Digest of changes of which no run could make anything: files that no reader takes.
    launches
        What was asked for.
    """

    files: str = ""
    useless: str = ""
    launches: str = ""

    @classmethod
    def parse(cls, cursor: str | None) -> Seen:
        """What a cursor holds."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def __str__(self) -> str:
        return json.dumps(vars(self))


def look(
    context: dg.SensorEvaluationContext, study: Study, dataset: Dataset, automation: Automation
) -> dg.SensorResult | dg.SkipReason:
    """Stat the source files, register what is new, and ask for a run over what changed."""
    seen = Seen.parse(context.cursor)
    stats = stat_sources(dataset)
    unsettled = stats.unsettled(read_cursor(seen.files))
    files, useless, launches = stats.to_cursor(), "", Launches.parse(seen.launches)
    answer: dg.RunRequest | dg.SkipReason | None
    if not stats.changes or (stats.digest == seen.useless and not unsettled):
        answer, useless = dg.SkipReason(_told("no file is new or changed", stats)), seen.useless
        launches = launches.nothing_to_do()
    else:
        answer = busy_with(context.instance, study)
        if answer is None:
            run = _changed(study, dataset, unsettled)
            if run is not None:
                launches, answer = next_request(
                    sensor_name(study.dataset.name), study, run, context.instance, launches,
                    automation,
                )  # fmt: skip
            elif unsettled:
                told = f"{len(unsettled)} files may still be written to"
                answer = dg.SkipReason(_told(told, stats))
            else:
                answer, useless = dg.SkipReason(_told("no run is needed", stats)), stats.digest
    cursor = str(Seen(files, useless, str(launches)))
    if isinstance(answer, dg.SkipReason):
        context.update_cursor(cursor)
        return answer
    return dg.SensorResult(run_requests=[answer], cursor=cursor)


def _changed(study: Study, dataset: Dataset, unsettled: frozenset[Path]) -> DatasetRun | None:
    """A run limited to the entries whose files are new or changed; None when there are none."""
    selection = Selection(retries=False, unsettled=unsettled)
    run = DatasetRun(dataset, study.pipelines, Engine("sequential"), selection)
    keys = {
        key
        for state in run.ingested.values()
        for key, status in state.statuses.items()
        if status.state in PENDING
    }
    if keys:
        run.limit_to(keys)
        return run
    for state in run.ingested.values():
        # A file that was only touched need not be hashed at every look.
        state.register()
    return None


def _told(what: str, stats: SourceStats) -> str:
    return " ".join([f"{what[0].upper()}{what[1:]}.", *(root.describe() for root in stats.absent)])
