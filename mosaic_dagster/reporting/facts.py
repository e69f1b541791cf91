"""What a report tells, as plain data: what was run on what, how it stands, and what failed."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from importlib import metadata
from typing import Any

import mosaic_dagster
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.status import DONE, MODEL, PENDING, STOPPED, EntryStatus
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.pipeline.work import error_message
from mosaic_dagster.reporting.checks import CheckFacts, CheckFinding, checks
from mosaic_dagster.reporting.step_facts import STATES, StepFacts, plain, step_facts
from mosaic_dagster.reporting.subject import Subject, one_line

MOST_PROBLEMS = 200
"""Problems that are listed one by one; of more, the number of the rest is told."""

_LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "polars", "pyarrow", "duckdb", "joblib", "matplotlib",
    "dagster", "openTSNE", "umap-learn", "h5py", "opencv-python-headless", "movement",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A result that is not there, or is out of date."""

    step: str
    entry: str
    state: str
    message: str

    @property
    def waits(self) -> bool:
        """Whether there is nothing the matter but something above that has to be made first."""
        return self.state in PENDING and self.message.startswith("upstream")


@dataclass(frozen=True)
class ReaderRule:
    """How source files are read."""

    asset: str
    path: str
    format: str
    params: dict[str, Any]


@dataclass(frozen=True)
class ReportFacts:
    """Everything that a report says in words and numbers.

    Attributes
    ----------
    dataset, pipeline, description
        What it is about.
    fps, unit, keypoints
        As the manifest has them.
    scope
        The declared scope in words; empty when it is everything.
    groups
        Number of recordings by group.
    rules
        How files are read.
    steps
        Tracks and labels first, then the steps in an order in which they can run.
    problems, n_problems, n_waiting
        The first of what is failed, blocked, stale or missing, the number of all, and how many
        results beside these only wait for them.
    remarks
        Sentences about files that are gone or cannot be used.
    newest
        When the newest result was recorded (UTC); None before there is one.
    versions
        Versions of this package, Python and libraries where the report was written.
    checks, findings, n_findings
        What came of the rules of the steps; the first of what does not keep one, errors first,
        and the number of all.
    """

    dataset: str
    pipeline: str
    description: str
    fps: float | None
    unit: str | None
    keypoints: tuple[str, ...]
    scope: str
    groups: dict[str, int]
    rules: tuple[ReaderRule, ...]
    steps: tuple[StepFacts, ...]
    problems: tuple[Problem, ...]
    n_problems: int
    n_waiting: int
    remarks: tuple[str, ...]
    newest: datetime | None
    versions: dict[str, str]
    checks: tuple[CheckFacts, ...]
    findings: tuple[CheckFinding, ...]
    n_findings: int

    @property
    def recordings(self) -> int:
        """Number of recordings in scope."""
        return sum(self.groups.values())

    def step(self, name: str) -> StepFacts:
        """Facts of one step."""
        return next(step for step in self.steps if step.name == name)

    @property
    def counts(self) -> dict[str, int]:
        """Results of all steps by state, fits included."""
        counted: Counter[str] = Counter()
        for step in self.steps:
            counted.update(step.counts)
            counted.update([step.model] if step.model else [])
        return {state: counted[state] for state in STATES}

    @cached_property
    def digest(self) -> str:
        """sha256 of all facts: two pages with the same one say the same."""
        return digest_bytes(json.dumps(asdict(self), sort_keys=True, default=str).encode())

    def to_dict(self) -> dict[str, Any]:
        """Plain types and times, for JSON."""
        return asdict(self) | {"recordings": self.recordings, "counts": self.counts}


def gather(subject: Subject, findings: Sequence[CheckFinding] = ()) -> ReportFacts:
    """Gather what a report tells; nothing is computed and no table is read.

    Parameters
    ----------
    subject
        What the report is about.
    findings
        What other checks than the rules of the steps found.
    """
    told, own = checks(subject)
    findings = [*findings, *own]
    manifest = subject.dataset.manifest
    steps = tuple(step_facts(subject))
    found = sorted(_problems(subject), key=lambda p: _ORDER.index(p.state))
    problems = [problem for problem in found if not problem.waits]
    groups = Counter(EntryKey.parse(key).group for key in subject.entries)
    times = [step.modified for step in steps if step.modified is not None]
    scope = subject.pipeline.scope
    return ReportFacts(
        dataset=subject.dataset.name,
        pipeline=subject.pipeline.name,
        description=subject.pipeline.description,
        fps=manifest.fps,
        unit=manifest.unit,
        keypoints=tuple(manifest.keypoints or ()),
        scope="" if scope is None or scope.is_everything else scope.describe(),
        groups=dict(sorted(groups.items())),
        rules=tuple(_rules(subject)),
        steps=steps,
        problems=tuple(problems[:MOST_PROBLEMS]),
        n_problems=len(problems),
        n_waiting=len(found) - len(problems),
        remarks=tuple(_remarks(subject)),
        newest=max(times, default=None),
        versions=versions(),
        checks=tuple(told),
        findings=tuple(findings[:MOST_PROBLEMS]),
        n_findings=len(findings),
    )


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that results depend on."""
    found = {"mosaic_dagster": mosaic_dagster.__version__, "Python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


_ORDER = ("failed", "blocked", "stale", "missing")


def _rules(subject: Subject) -> Iterator[ReaderRule]:
    for rule in subject.dataset.manifest.sources:
        if rule.asset in subject.ingested:
            yield ReaderRule(rule.asset, rule.path, rule.format, plain(rule.params))


def _problems(subject: Subject) -> Iterator[Problem]:
    for name in (*subject.ingested, *subject.steps):
        bound = subject.steps.get(name)
        whole = "(fit)" if bound is not None and bound.is_fitted else ""
        for key, status in subject.units(name).items():
            if status.state not in DONE:
                entry = whole if key == MODEL else key
                yield Problem(name, entry, status.state, _message(status))


def _message(status: EntryStatus) -> str:
    head = status.head
    if status.error:
        return status.error
    if status.state in STOPPED and head is not None and head.state == "failed" and head.error:
        return error_message(head.error)
    return status.reason


def _remarks(subject: Subject) -> Iterator[str]:
    for name in subject.ingested:
        state = subject.run.ingested[name]
        what = "Recordings" if name == TRACKS else f"Files of {name}"
        if state.vanished:
            yield _named(f"{what} whose file is gone (what was made of it stays)", state.vanished)
        if state.refused:
            reasons = list(dict.fromkeys(state.refused.values()))
            yield _named("Files that cannot be used", reasons)
        if state.notes:
            yield _named("Files that are not used", list(dict.fromkeys(state.notes)))


def _named(what: str, items: Sequence[str]) -> str:
    shown = "; ".join(one_line(item) for item in items[:5])
    more = f"; and {len(items) - 5} more" if len(items) > 5 else ""
    return f"{what}: {shown}{more}."
