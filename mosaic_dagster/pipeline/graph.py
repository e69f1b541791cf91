"""The steps of a pipeline as a graph: every input and every reference is an edge."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from graphlib import CycleError as _Cycle
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from mosaic_dagster.errors import CycleError, PipelineDefinitionError, UnknownStepError
from mosaic_dagster.pipeline.steps import TRACKS, CallbackStep, FeatureStep, Step


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

    def above(self, names: Iterable[str]) -> set[str]:
        """The steps given and everything they need, tracks left out."""
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
            if name not in found and name != TRACKS:
                found.add(name)
            elif name != TRACKS:
                continue
            waiting.extend(n for n in edges.get(name, ()) if n not in found and n != TRACKS)
        return found

    def _check_names(self) -> None:
        for name, ups in self.upstream.items():
            for up in ups:
                if up != TRACKS and up not in self.steps:
                    msg = f"Step {name!r} of pipeline {self.pipeline!r} needs {up!r}"
                    raise self._unknown(f"{msg}, which is not a step.", up)

    def _unknown(self, what: str, name: str) -> UnknownStepError:
        near = difflib.get_close_matches(name, [*self.steps, TRACKS], n=1)
        names = ", ".join(self.steps) or "none"
        hint = f"Did you mean {near[0]!r}? " if near else ""
        return UnknownStepError(what, f"{hint}Its steps are: {names}.")

    def _sorted(self) -> tuple[str, ...]:
        sorter = TopologicalSorter(
            {n: [u for u in us if u != TRACKS] for n, us in self.upstream.items()}
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
                    if isinstance(self.steps.get(up), CallbackStep):
                        msg = f"Step {name!r} reads {up!r}, which is a callback and has no tables."
                        raise PipelineDefinitionError(msg, "Read a feature step instead.")
                for parameter, reference in step.references().items():
                    self._check_reference(step, parameter, reference.step, reference.artifact)

    def _check_reference(
        self, step: FeatureStep, parameter: str, target: str, artifact: str | None
    ) -> None:
        made_by = self.steps.get(target)
        fitted = isinstance(made_by, FeatureStep) and made_by.feature_cls.fits != "never"
        if artifact is not None and not fitted:
            msg = (
                f"{parameter} of step {step.name!r} asks for {artifact!r} of {target!r}, "
                "which is not fitted and keeps no files."
            )
            raise PipelineDefinitionError(msg, "Refer to a fitted step.")
