"""What a person names on the command line, checked before anything runs: steps and entries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import typer

from mosaic_dagster.dataset import EntryKey, Scope
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import EntryNotFoundError
from mosaic_dagster.pipeline import DatasetRun, Pipeline, Selection, Study
from mosaic_dagster.pipeline.status import EntryStatus
from mosaic_dagster.pipeline.steps import NO_PIPELINE, TRACKS, is_ingested, labels_step

RANGE = "..."
"""Between the first and the last entry of a range; Dagster writes ranges so, too."""

_SHOWN = 5


def find_step(pipelines: Sequence[Pipeline], name: str) -> tuple[str, str]:
    """Pipeline and step of ``step`` or ``pipeline/step``; the pipeline of tracks is empty.

    Raises
    ------
    typer.BadParameter
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
        raise typer.BadParameter(f"{msg} Write {owners[0]}/{step}.")
    steps = list(dict.fromkeys([TRACKS, *(f"{p.name}/{s}" for p in pipelines for s in p.dag())]))
    hint = nearest(name, [*steps, *(s.rpartition("/")[2] for s in steps)])
    told = [f"There is no step {name!r}.", hint, f"The steps are: {', '.join(steps)}."]
    raise typer.BadParameter(" ".join(filter(None, told)))


def has_step(study: Study, name: str) -> bool:
    """Whether a pipeline of the study has ``step`` or ``pipeline/step``."""
    wanted, _, step = name.rpartition("/")
    return any(wanted in ("", p.name) and step in p.dag() for p in study.pipelines)


def find_steps(studies: Sequence[Study], name: str) -> dict[str, str]:
    """What ``step`` or ``pipeline/step`` is in full on each dataset that has it, by dataset.

    Datasets may share a pipeline, and pipelines of one name may differ between datasets.

    Raises
    ------
    typer.BadParameter
        No dataset has the step, or several pipelines of one dataset have it.
    """
    having = [study for study in studies if has_step(study, name)]
    if not having:
        find_step([member for study in studies for member in study.pipelines], name)
    return {s.dataset.name: "/".join(find_step(s.pipelines, name)) for s in having}


@dataclass(frozen=True)
class Part:
    """What a run is asked for on one dataset.

    Attributes
    ----------
    study
        The dataset, with the pipelines that are asked for.
    steps
        Steps to make, as ``pipeline/step``; empty means all.
    force_from
        Step to make anew with all below it, as ``pipeline/step``.
    """

    study: Study
    steps: Sequence[str]
    force_from: str | None


def find_parts(
    studies: Sequence[Study], steps: Sequence[str], force_from: str | None
) -> list[Part]:
    """What named steps mean on each dataset that has any of them; all datasets without a name.

    Raises
    ------
    typer.BadParameter
        As for :func:`find_steps`.
    """
    found = [find_steps(studies, name) for name in steps]
    wanted = [s for s in studies if not steps or any(s.dataset.name in own for own in found)]
    forced = {} if force_from is None else find_steps(wanted, force_from)
    return [
        Part(
            study,
            list(dict.fromkeys(own[name] for own in found if name in own)),
            forced.get(name),
        )
        for study, name in ((s, s.dataset.name) for s in wanted)
        if steps or force_from is None or name in forced
    ]


def refuse_ingested(name: str, option: str, kinds: Iterable[str]) -> None:
    """Refuse to make or force what is read from files.

    Parameters
    ----------
    name
        What was named as a step.
    option
        ``--step`` or ``--force-from``.
    kinds
        Kinds of labels that there are.

    Raises
    ------
    typer.BadParameter
        The name stands for tracks or labels, or for labels of a kind that there is not.
    """
    if not is_ingested(name):
        return
    if name != TRACKS:
        check_kind(name, kinds)
    what = name if name == TRACKS else name.replace("/", " of kind ")
    if option == "--step":
        msg = f"Every run reads the {what} that are new or changed; name a step of a pipeline."
    else:
        msg = (
            f"The {what} cannot be forced: they are read again when their files change. "
            "Name a step of a pipeline."
        )
    raise typer.BadParameter(msg, param_hint=option)


def check_kind(name: str, kinds: Iterable[str]) -> None:
    """Refuse ``labels/<kind>`` of a kind that there is not.

    Raises
    ------
    typer.BadParameter
        The kinds that there are, and the nearest, are named.
    """
    known = sorted(set(kinds))
    kind = name.removeprefix(labels_step(""))
    if kind not in known:
        listed = f"The kinds are: {', '.join(known)}." if known else "There are no labels at all."
        told = [f"There are no labels of kind {kind!r}.", nearest(kind, known), listed]
        raise typer.BadParameter(" ".join(filter(None, told)))


def units_of(run: DatasetRun, pipeline: str, step: str) -> Mapping[str, EntryStatus]:
    """States of everything that a step makes, or that is read from files under its name.

    Raises
    ------
    typer.BadParameter
        The dataset has no labels of this kind.
    """
    if pipeline != NO_PIPELINE:
        return run.evaluations[pipeline].units(step)
    if step not in run.ingested:
        check_kind(step, known_kinds(run))
    return run.ingested[step].statuses


def known_kinds(run: DatasetRun) -> list[str]:
    """Kinds of labels that the dataset has, or that a pipeline of the run reads."""
    return [asset.removeprefix(labels_step("")) for asset in run.ingested if asset != TRACKS]


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


def find_entries(texts: Iterable[str], known: Sequence[str]) -> list[str]:
    """Keys of the entries that are meant, each once; a ``FIRST...LAST`` is a range.

    Ranges follow the order in which entries are listed: by group, then by sequence.

    Raises
    ------
    EntryNotFoundError
        No entry is called so, or a range ends before it begins.
    """
    found: dict[str, None] = {}
    for text in texts:
        try:
            found[find_entry(text, known)] = None
        except EntryNotFoundError:
            first, is_range, last = text.partition(RANGE)
            if not is_range:
                raise
            ends = [known.index(find_entry(end, known)) for end in (first, last)]
            if ends[0] > ends[1]:
                msg = f"The range {text!r} ends before it begins."
                raise EntryNotFoundError(msg, f"Write {last}{RANGE}{first}.") from None
            found |= dict.fromkeys(known[ends[0] : ends[1] + 1])
    return list(found)


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
    keys = find_entries(entries, known)
    scope = Scope(groups=list(groups) or None, entries=keys or None)
    return [str(key) for key in scope.select(EntryKey.parse(key) for key in known)]


def find_selection(part: Part, keys: Sequence[str] | None) -> Selection:
    """What a run would make on a dataset: the steps asked for with everything that they need."""
    graphs = {p.name: p.graph() for p in part.study.pipelines}
    asked: dict[str, set[str]] | None = {name: set() for name in graphs} if part.steps else None
    for pipeline, _, step in (name.rpartition("/") for name in part.steps):
        if asked is not None:
            asked[pipeline] |= graphs[pipeline].above([step])
    forced: dict[str, set[str]] = {}
    if part.force_from is not None:
        pipeline, _, step = part.force_from.rpartition("/")
        forced[pipeline] = graphs[pipeline].below([step])
    return Selection(steps=asked, keys=None if keys is None else frozenset(keys), forced=forced)
