"""The steps of a pipeline as a graph: every input and every reference is an edge."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from graphlib import CycleError as _Cycle
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from mosaic_dagster.errors import CycleError, PipelineDefinitionError, UnknownStepError
from mosaic_dagster.pipeline.steps import (
    TRACKS,
    CallbackStep,
    FeatureStep,
    Step,
    has_model,
    is_ingested,
    labels_step,
)


class StepGraph:
    """Checked graph of steps.

    Parameters
    ----------
    pipeline
        Name of the pipeline, for messages.
    steps
        The steps, in the order they were declared.

    Raises
    ------
    PipelineDefinitionError
        A name is used twice, or a reference asks for what a step does not have.
    UnknownStepError
        A step names one that is not there; the nearest name is given.
    CycleError
        Steps need each other in a circle, which is spelled out.
    """

    def __init__(self, pipeline: str, steps: Iterable[Step]) -> None:
        self.pipeline = pipeline
        self.steps: dict[str, Step] = {}
        for step in steps:
            if step.name in self.steps:
                msg = f"Pipeline {pipeline!r} has two steps called {step.name!r}."
                raise PipelineDefinitionError(msg, "Rename one of them.")
            self.steps[step.name] = step
        self.upstream: dict[str, tuple[str, ...]] = {
            name: step.upstream() for name, step in self.steps.items()
        }
        self._check_names()
        self.order = self._sorted()
        self._check_references()

    @property
    def label_kinds(self) -> set[str]:
        """Kinds of labels that any step reads."""
        names = {name for ups in self.upstream.values() for name in ups}
        labels = {name for name in names if name != TRACKS and is_ingested(name)}
        return {name.removeprefix(labels_step("")) for name in labels}

    def above(self, names: Iterable[str]) -> set[str]:
        """The steps given and everything they need, tracks and labels left out."""
        return self._closure(names, self.upstream)

    def below(self, names: Iterable[str]) -> set[str]:
        """The steps given and everything that needs them."""
        down: dict[str, list[str]] = {name: [] for name in self.steps}
        for name, ups in self.upstream.items():
            for up in ups:
                down.setdefault(up, []).append(name)
        return self._closure(names, down)

    def require(self, name: str) -> Step:
        """The step of this name.

        Raises
        ------
        UnknownStepError
            There is none; the nearest name is given.
        """
        if name not in self.steps:
            raise self._unknown(f"Pipeline {self.pipeline!r} has no step {name!r}.", name)
        return self.steps[name]

    def _closure(self, names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found and not is_ingested(name):
                found.add(name)
            elif not is_ingested(name):
                continue
            waiting.extend(n for n in edges.get(name, ()) if n not in found and not is_ingested(n))
        return found

    def _check_names(self) -> None:
        for name, ups in self.upstream.items():
            for up in ups:
                if not is_ingested(up) and up not in self.steps:
                    msg = f"Step {name!r} of pipeline {self.pipeline!r} needs {up!r}"
                    raise self._unknown(f"{msg}, which is not a step.", up)

    def _unknown(self, what: str, name: str) -> UnknownStepError:
        near = difflib.get_close_matches(name, [*self.steps, TRACKS], n=1)
        names = ", ".join(self.steps) or "none"
        hint = f"Did you mean {near[0]!r}? " if near else ""
        return UnknownStepError(what, f"{hint}Its steps are: {names}.")

    def _sorted(self) -> tuple[str, ...]:
        sorter = TopologicalSorter(
            {n: [u for u in us if not is_ingested(u)] for n, us in self.upstream.items()}
        )
        try:
            sorter.prepare()
        except _Cycle as error:
            circle = " -> ".join(reversed(error.args[1]))
            msg = f"Steps of pipeline {self.pipeline!r} need each other in a circle: {circle}."
            raise CycleError(msg, "Remove one of these inputs or references.") from error
        # Of the steps that can run, the one declared first: people find their own order again.
        place = {name: i for i, name in enumerate(self.steps)}
        names, waiting, order = list(self.steps), list[int](), list[str]()
        while sorter.is_active():
            for ready in sorter.get_ready():
                heappush(waiting, place[ready])
            order.append(names[heappop(waiting)])
            sorter.done(order[-1])
        return tuple(order)

    def _check_references(self) -> None:
        for name, step in self.steps.items():
            if isinstance(step, FeatureStep):
                for up in step.reads_tables_of():
                    if up != TRACKS and is_ingested(up):
                        msg = f"Step {name!r} reads {up!r} as a table."
                        raise PipelineDefinitionError(
                            msg, "Name labels in a parameter of the feature: LabelsSource(kind)."
                        )
                    if isinstance(self.steps.get(up), CallbackStep):
                        msg = f"Step {name!r} reads {up!r}, which is a callback and has no tables."
                        raise PipelineDefinitionError(msg, "Read a feature step instead.")
                for parameter, reference in step.references().items():
                    self._check_reference(step, parameter, reference.step, reference.artifact)

    def _check_reference(
        self, step: FeatureStep, parameter: str, target: str, artifact: str | None
    ) -> None:
        made_by = self.steps.get(target)
        if artifact is not None and (made_by is None or not has_model(made_by)):
            msg = (
                f"{parameter} of step {step.name!r} asks for {artifact!r} of {target!r}, "
                "which is not fitted and keeps no files."
            )
            raise PipelineDefinitionError(msg, "Refer to a fitted step, or one that trains.")
