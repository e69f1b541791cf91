"""Write the report of a pipeline to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline import Pipeline
from mosaic_dagster.pipeline.callbacks import export_folder
from mosaic_dagster.reporting.checks import CheckFinding
from mosaic_dagster.reporting.content import collect
from mosaic_dagster.reporting.facts import ReportFacts, gather
from mosaic_dagster.reporting.page import STAMP, page
from mosaic_dagster.reporting.subject import Subject
from mosaic_dagster.store.outputs import write_files

REPORT_FILE = "report.html"
"""Name of the page among the exports of a pipeline."""

_HEAD = 2000


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes
    ----------
    path
        The file.
    facts
        What it says.
    """

    path: Path
    facts: ReportFacts


def write_report(
    dataset: Dataset,
    pipeline: Pipeline,
    path: Path | None = None,
    *,
    findings: Sequence[CheckFinding] = (),
    redraw: bool = True,
) -> WrittenReport:
    """Write one HTML page about what a pipeline made of a dataset; nothing is computed.

    Parameters
    ----------
    dataset, pipeline
        What it is about.
    path
        The file; by default ``report.html`` among the exports of the pipeline, or
        ``<pipeline>_report.html`` when a step exports a file of that name.
    findings
        What other checks than the rules of the steps found.
    redraw
        Whether the page is made anew even if the file says the same facts already.

    Returns
    -------
    WrittenReport
        The same state gives the same bytes.

    Raises
    ------
    StoreError
        The registry, or an object that is recorded in it, cannot be read.
    OSError
        The file cannot be written.
    """
    subject = Subject(dataset, pipeline)
    facts = gather(subject, findings)
    target = default_path(subject) if path is None else path
    if redraw or not _says(target, facts.digest):
        data = page(collect(subject, facts)).encode()
        write_files(target.parent, {target.name: data})
    return WrittenReport(target, facts)


def default_path(subject: Subject) -> Path:
    """Where the report of a pipeline lies, without overwriting what a step exports."""
    folder = export_folder(subject.dataset, subject.pipeline.name)
    callbacks = (n for n, bound in subject.steps.items() if bound.is_callback)
    taken = {name for step in callbacks for name in subject.members(step)}
    name = f"{subject.pipeline.name}_{REPORT_FILE}" if REPORT_FILE in taken else REPORT_FILE
    return folder / name


def _says(path: Path, digest: str) -> bool:
    """Whether a page with these facts is there."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return f'name="{STAMP}" content="{digest}"' in file.read(_HEAD)
    except FileNotFoundError:
        return False
