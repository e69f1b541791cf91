"""What a person names on the command line, checked before anything runs: steps and entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mosaic_dagster.dataset import EntryKey, Scope
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import EntryNotFoundError, UnknownStepError
from mosaic_dagster.pipeline import DatasetRun, Pipeline, Selection
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.steps import NO_PIPELINE, TRACKS, is_ingested

_SHOWN = 5


def find_step(pipelines: Sequence[Pipeline], name: str) -> tuple[str, str]:
    """Pipeline and step of ``step`` or ``pipeline/step``; the pipeline of tracks is empty.

    Raises
    ------
    UnknownStepError
        No pipeline has the step, or several have it.
    """
    wanted, _, step = name.rpartition("/")
    if is_ingested(name):
        return NO_PIPELINE, name
    owners = [p.name for p in pipelines if wanted in ("", p.name) and step in p.dag()]
    if len(owners) == 1:
        return owners[0], step
    if owners:
        msg = f"Several pipelines have a step {step!r}: {', '.join(owners)}."
        raise UnknownStepError(msg, f"Write {owners[0]}/{step}.")
    steps = [TRACKS, *(f"{p.name}/{s}" for p in pipelines for s in p.dag())]
    hint = nearest(name, [*steps, *(s.rpartition("/")[2] for s in steps)])
    msg = f"There is no step {name!r}."
    raise UnknownStepError(msg, f"{hint} The steps are: {', '.join(steps)}.".strip())


def units_of(run: DatasetRun, pipeline: str, step: str) -> Mapping[str, EntryStatus]:
    """States of everything that a step makes, or that is read from files under its name.

    Raises
    ------
    UnknownStepError
        The dataset has no labels of this kind.
    """
    if pipeline != NO_PIPELINE:
        return run.evaluations[pipeline].units(step)
    if step not in run.ingested:
        msg = f"The dataset has no {step!r}."
        raise UnknownStepError(msg, f"Read from files are: {', '.join(run.ingested)}.")
    return run.ingested[step].statuses


def find_entry(text: str, known: Sequence[str]) -> str:
    """Key of the entry that is meant: its key, or its group and sequence as they are called.

    Raises
    ------
    EntryNotFoundError
        No entry, or more than one, is called so; the nearest are given.
    """
    if text in known:
        return text
    names: dict[str, list[str]] = {}
    for key in known:
        entry = EntryKey.parse(key)
        names.setdefault(f"{entry.group}/{entry.sequence}", []).append(key)
        if not entry.group:
            names.setdefault(entry.sequence, []).append(key)
    found = names.get(text, [])
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{text!r} could be {' or '.join(found)}."
        raise EntryNotFoundError(msg, "Give the key as it is written here.")
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    listed = (
        f"There are {len(known)}: {shown}." if known else "There are none; see `mosaic ingest`."
    )
    msg = f"There is no entry {text!r}."
    raise EntryNotFoundError(
        msg, f"{nearest(text, list(dict.fromkeys([*known, *names])))} {listed}".strip()
    )


def find_keys(
    groups: Collection[str], entries: Collection[str], known: Sequence[str]
) -> list[str] | None:
    """Keys of the entries that a run is limited to; None when it is not.

    Raises
    ------
    EntryNotFoundError, ScopeError
        An entry or a group is not known, or no entry is both.
    """
    if not groups and not entries:
        return None
    keys = [find_entry(text, known) for text in entries]
    scope = Scope(groups=list(groups) or None, entries=keys or None)
    return [str(key) for key in scope.select(EntryKey.parse(key) for key in known)]


def find_selection(
    pipelines: Sequence[Pipeline],
    steps: Sequence[str],
    keys: Sequence[str] | None,
    force_from: str | None,
) -> Selection:
    """What a run would make: the steps asked for with everything that they need.

    Raises
    ------
    UnknownStepError
        A step is not known or not unique.
    """
    asked: dict[str, set[str]] | None = {p.name: set() for p in pipelines} if steps else None
    graphs = {p.name: p.graph() for p in pipelines}
    for name in steps:
        pipeline, step = find_step(pipelines, name)
        if asked is not None and pipeline:
            asked[pipeline] |= graphs[pipeline].above([step])
    forced: dict[str, set[str]] = {}
    if force_from is not None:
        pipeline, step = find_step(pipelines, force_from)
        if not pipeline:
            msg = "Tracks cannot be forced: they are read again when their files change."
            raise UnknownStepError(msg, "Name a step of a pipeline.")
        forced[pipeline] = graphs[pipeline].below([step])
    return Selection(steps=asked, keys=None if keys is None else frozenset(keys), forced=forced)
