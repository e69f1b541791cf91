"""Numbers and states as people read them, and the report's summary in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.reporting.behaviour import Tally
from mosaic_dagster.reporting.facts import ReportFacts
from mosaic_dagster.reporting.step_facts import StepFacts
from mosaic_dagster.reporting.subject import Trace
from mosaic_dagster.reporting.trained import Training

Sentence = tuple[str, tuple[Trace, ...]]
"""What is said, and what stands behind it."""

_WHERE = {"test": "on test rows", "val": "on held-out rows", "train": "on its training rows"}
_MOST_GROUPS = 6
_MOST_STEPS = 4


def counted(number: int, what: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "recording"), counted(1200, "entry"), counted(3, "class")
    ('1 recording', '1,200 entries', '3 classes')
    """
    if number != 1:
        ends = {"y": f"{what[:-1]}ies", "s": f"{what}es"}
        what = ends.get(what[-1], f"{what}s")
    return f"{number:,} {what}"


def size_text(count: float) -> str:
    """Bytes.

    Examples
    --------
    >>> size_text(999), size_text(2_340_000)
    ('999 B', '2.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def seconds_text(seconds: float) -> str:
    """A duration.

    Examples
    --------
    >>> seconds_text(0.44), seconds_text(75), seconds_text(7260)
    ('0.4 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def time_text(time: datetime | None) -> str:
    """A moment to the minute; all times are UTC."""
    return "–" if time is None else f"{time:%Y-%m-%d %H:%M}"


def number_text(value: float | None) -> str:
    """A score."""
    return "–" if value is None else f"{value:.4g}"


def share_text(value: float) -> str:
    """A share of all.

    Examples
    --------
    >>> share_text(0.316), share_text(0.004)
    ('32 %', '0.4 %')
    """
    return f"{value * 100:.0f} %" if value >= 0.0995 or value == 0 else f"{value * 100:.1f} %"


def state_sentence(facts: ReportFacts) -> str:
    """How the whole stands, in one sentence."""
    counts = facts.counts
    total = sum(counts.values())
    good = counts["fresh"] + counts["empty"]
    if not facts.recordings:
        return "There is no recording yet."
    if good == total:
        return f"All {total:,} results are up to date."
    late = ", ".join(
        f"{counts[state]:,} {state}"
        for state in ("failed", "blocked", "stale", "missing")
        if counts[state]
    )
    if not good:
        return f"Nothing has been made yet that is up to date: {late}."
    return f"{good:,} of {total:,} results are up to date; {late}."


def checks_sentence(facts: ReportFacts) -> str:
    """How the rules of the steps were kept, in one sentence."""
    broken = sum(not check.passed for check in facts.checks)
    silent = sum(check.passed and not check.judged for check in facts.checks)
    held = len(facts.checks) - broken - silent
    parts = [f"{held:,} hold", f"{broken:,} found something" if broken else ""]
    parts.append(f"{silent:,} had nothing measured to judge" if silent else "")
    told = f"Of {counted(len(facts.checks), 'rule')} about the results of steps "
    return told + ", ".join(filter(None, parts)) + "; Steps and parameters lists them."


def summary(
    facts: ReportFacts, tallies: Sequence[Tally], trained: Sequence[Training]
) -> list[Sentence]:
    """The report in a few sentences."""
    return [
        _about(facts),
        *_tracked(facts),
        *_made(facts),
        *(_classes(told) for told in tallies[:_MOST_STEPS]),
        *_models(trained),
    ]


def _about(facts: ReportFacts) -> Sentence:
    groups = [f"{name or 'without a group'}: {n:,}" for name, n in facts.groups.items()]
    shown = ", ".join(groups[:_MOST_GROUPS])
    more = len(groups) - _MOST_GROUPS
    shown += f" and {more} more" if more > 0 else ""
    in_groups = f" in {counted(len(groups), 'group')} ({shown})" if len(groups) > 1 else ""
    rate = f", filmed at {facts.fps:g} frames per second" if facts.fps else ""
    unit = f", with coordinates in {facts.unit}" if facts.unit else ""
    return (
        f"The pipeline “{facts.pipeline}” was applied to the dataset “{facts.dataset}”: "
        f"{counted(facts.recordings, 'recording')}{in_groups}{rate}{unit}.",
        (),
    )


def _tracked(facts: ReportFacts) -> Iterator[Sentence]:
    tracks = facts.step(TRACKS)
    if tracks.good:
        told = f"Their tracks have {tracks.rows:,} rows, one for each animal in each frame."
        yield told, _behind(tracks)


def _made(facts: ReportFacts) -> Iterator[Sentence]:
    steps = [step for step in facts.steps if step.kind not in ("recordings", "labels")]
    seconds = sum(step.seconds for step in steps)
    yield (
        f"The pipeline has {counted(len(steps), 'step')}. {state_sentence(facts)}"
        + (f" Computing them took {seconds_text(seconds)} in all." if seconds else "")
        + (f" The newest is of {time_text(facts.newest)} UTC." if facts.newest else ""),
        (),
    )


def _classes(told: Tally) -> Sentence:
    if not told.sizes:
        return f"No row has a class in step {told.classes.step}.", (told.trace,)
    name, count = told.sizes[0]
    verb = "predicts" if told.classes.predicts else "sorts behaviour into"
    what = counted(len(told.sizes), "class" if told.classes.predicts else "cluster")
    return (
        f"Step {told.classes.step} {verb} {what}; the largest, {name}, takes "
        f"{share_text(count / told.rows)} of {told.rows:,} rows.",
        (told.trace,),
    )


def _models(trained: Sequence[Training]) -> Iterator[Sentence]:
    for training in trained[:_MOST_STEPS]:
        best = training.best()
        if best is not None:
            among = {score.model for score in training.scores}
            what = "the model" if len(among) == 1 else f"the best of {len(among)} models,"
            comma = "" if len(among) == 1 else ","
            yield (
                f"In step {training.step} {what} {best.model}{comma} reached {best.metric} "
                f"{number_text(best.mean)} {_WHERE[best.partition]}, the mean of "
                f"{counted(best.folds, 'fold')}.",
                (training.trace,),
            )


def _behind(step: StepFacts) -> tuple[Trace, ...]:
    return () if step.trace is None else (step.trace,)
