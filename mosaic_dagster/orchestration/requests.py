"""What a refresh is asked for, and what that means for each study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.errors import ProjectError, UnknownStepError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline import DatasetRun, Engine, Pipeline, Study


@dataclass(frozen=True)
class RefreshRequest:
    """What a refresh is asked for; empty means everything.

    Attributes
    ----------
    datasets, pipelines
        Names of datasets and pipelines.
    steps
        Steps (``step`` or ``pipeline/step``) that are made, with everything they need.
    groups, entries
        Groups, and entry keys, to which partitioned steps are limited; of one dataset.
    force_from
        A step that is made anew with everything below it.
    engine
        Where entries are computed, if not as configured.
    """

    datasets: Sequence[str] = ()
    pipelines: Sequence[str] = ()
    steps: Sequence[str] = ()
    groups: Sequence[str] = ()
    entries: Sequence[str] = ()
    force_from: str | None = None
    engine: str | None = None


def split_request(
    studies: Sequence[Study], request: RefreshRequest
) -> list[tuple[Study, RefreshRequest]]:
    """The studies that a request is about, each with its part of the request.

    Raises
    ------
    ProjectError
        No study has a dataset or pipeline of this name, or groups and entries are named without
        saying of which dataset.
    UnknownStepError
        No pipeline that is asked for has a step.
    PipelineError
        There is no such engine.
    """
    _check_known("dataset", request.datasets, [study.dataset.name for study in studies])
    everything = [pipeline.name for study in studies for pipeline in study.pipelines]
    _check_known("pipeline", request.pipelines, everything)
    if request.engine is not None:
        Engine(request.engine)  # type: ignore[arg-type]
    asked = [study for study in studies if is_asked(study, request)]
    if (request.groups or request.entries) and len(asked) > 1:
        names = ", ".join(study.dataset.name for study in asked)
        msg = f"Groups and entries are asked for without saying of which dataset: {names}."
        raise ProjectError(msg, "Name one dataset.")
    pipelines = [p for study in asked for p in chosen_pipelines(study, request)]
    forced = [] if request.force_from is None else [request.force_from]
    for name in (*request.steps, *forced):
        if not owners_of(pipelines, name):
            raise unknown_step(pipelines, name)
    parts = [(study, _part(study, request)) for study in asked]
    return [(study, part) for study, part in parts if part.steps or not request.steps]


def is_asked(study: Study, request: RefreshRequest) -> bool:
    """Whether a request is about a study."""
    named = not request.datasets or study.dataset.name in request.datasets
    return named and (not request.pipelines or bool(chosen_pipelines(study, request)))


def chosen_pipelines(study: Study, request: RefreshRequest) -> list[Pipeline]:
    """The study's pipelines that are asked for."""
    if not request.pipelines:
        return list(study.pipelines)
    return [pipeline for pipeline in study.pipelines if pipeline.name in request.pipelines]


def asked_steps(pipelines: Sequence[Pipeline], steps: Sequence[str]) -> dict[str, set[str]] | None:
    """The steps asked for with everything they need, by pipeline; None when all are."""
    if not steps:
        return None
    asked: dict[str, set[str]] = {pipeline.name: set() for pipeline in pipelines}
    for name in steps:
        for pipeline in owners_of(pipelines, name):
            asked[pipeline.name] |= pipeline.graph().above([name.rpartition("/")[2]])
    return asked


def chosen_keys(dataset: Dataset, request: RefreshRequest) -> frozenset[str] | None:
    """Keys of the entries asked for; None when all are.

    Raises
    ------
    ScopeError
        A group or an entry is not known; the nearest are named.
    """
    if not request.groups and not request.entries:
        return None
    known = {EntryKey.parse(key) for key in DatasetRun(dataset, []).tracks.keys}
    scope = Scope(groups=request.groups or None, entries=request.entries or None)
    return frozenset(str(key) for key in scope.select(known))


def owners_of(pipelines: Iterable[Pipeline], name: str) -> list[Pipeline]:
    """The pipelines that have a step called ``step`` or ``pipeline/step``."""
    wanted, _, step = name.rpartition("/")
    return [p for p in pipelines if wanted in ("", p.name) and step in p.dag()]


def forced_steps(pipelines: Sequence[Pipeline], force_from: str | None) -> dict[str, set[str]]:
    """The step to force and everything below it, by pipeline.

    Parameters
    ----------
    pipelines
        The pipelines that are run.
    force_from
        ``step``, or ``pipeline/step`` where the name alone is not unique.

    Raises
    ------
    UnknownStepError
        No pipeline, or more than one, has the step.
    """
    if force_from is None:
        return {}
    found = owners_of(pipelines, force_from)
    if len(found) != 1:
        raise unknown_step(pipelines, force_from, several=bool(found))
    return {found[0].name: found[0].graph().below([force_from.rpartition("/")[2]])}


def unknown_step(
    pipelines: Iterable[Pipeline], name: str, *, several: bool = False
) -> UnknownStepError:
    """The error for a step that no pipeline has, or more than one."""
    known = dict.fromkeys(f"{p.name}/{step}" for p in pipelines for step in p.dag())
    count = "More than one pipeline has" if several else "No pipeline has"
    return UnknownStepError(f"{count} a step {name!r}.", f"The steps are: {', '.join(known)}.")


def _part(study: Study, request: RefreshRequest) -> RefreshRequest:
    """What a request means for one study; a step to force gets the name of its pipeline."""
    pipelines = chosen_pipelines(study, request)
    forced = None
    if request.force_from is not None and owners_of(pipelines, request.force_from):
        (pipeline,) = forced_steps(pipelines, request.force_from)
        forced = f"{pipeline}/{request.force_from.rpartition('/')[2]}"
    steps = [name for name in request.steps if owners_of(pipelines, name)]
    return replace(request, steps=steps, force_from=forced)


def _check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = sorted(set(known))
    for name in names:
        if name not in there:
            msg = f"There is no {what} {name!r}."
            raise ProjectError(msg, f"The {what}s are: {', '.join(there) or 'none'}.")
