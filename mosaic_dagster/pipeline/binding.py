"""A pipeline bound to a dataset: parameters resolved, scope listed, identities computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.dataset.identity import source_run_id
from mosaic_dagster.errors import PipelineDefinitionError
from mosaic_dagster.features import DatasetFacts, Feature, Inputs, Params, Result, StepRef
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.graph import StepGraph
from mosaic_dagster.pipeline.identity import declaration_digest, run_id
from mosaic_dagster.pipeline.overlap import FrameWindow, order_neighbours
from mosaic_dagster.pipeline.steps import (
    TRACKS,
    CallbackStep,
    FeatureStep,
    RunOptions,
    TrainingStep,
    is_ingested,
)

_FRAME_TOLERANCE = 1e-6
"""Seconds times fps may miss a whole frame by rounding; 0.1 s at 30 fps is frame 3."""


@dataclass(frozen=True)
class BoundStep:
    """A step of a bound pipeline.

    Attributes
    ----------
    name, kind
        Name and ``"feature"`` or ``"callback"``.
    inputs
        Names of the steps whose tables it reads.
    references
        Parameters that refer to other steps.
    labels
        Step name of the labels that each parameter refers to.
    params
        Resolved parameters; None for a callback.
    frames
        Which frames it uses.
    run_id
        Names the declaration, for people.
    declaration, fit_declaration
        Digests that enter the action keys of entries and of the fitted state.
    """

    name: str
    step: FeatureStep | CallbackStep
    inputs: tuple[str, ...]
    references: Mapping[str, StepRef]
    params: Params | None
    options: RunOptions
    frames: FrameWindow
    run_id: str
    declaration: str
    fit_declaration: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_callback(self) -> bool:
        """Whether it is own code rather than a feature."""
        return isinstance(self.step, CallbackStep)

    @property
    def trains(self) -> bool:
        """Whether it trains models."""
        return isinstance(self.step, TrainingStep)

    @property
    def has_entries(self) -> bool:
        """Whether it makes something of each entry."""
        return not isinstance(self.step, CallbackStep) or self.step.per_entry

    @property
    def has_whole(self) -> bool:
        """Whether it makes something of its whole scope: a fitted state, a callback's files."""
        return self.is_fitted or not self.has_entries

    @property
    def reads_whole_scope(self) -> bool:
        """Whether what it makes of its whole scope needs the tables of all entries."""
        return self.fits_on_entries or not self.has_entries

    @property
    def runs_always(self) -> bool:
        """Whether it runs even when nothing changed."""
        return isinstance(self.step, CallbackStep) and self.step.always

    @property
    def is_fitted(self) -> bool:
        """Whether it has a fitted state."""
        return isinstance(self.step, FeatureStep) and self.step.feature_cls.fits != "never"

    @property
    def fits_on_entries(self) -> bool:
        """Whether its state depends on the tables of its scope."""
        return isinstance(self.step, FeatureStep) and self.step.feature_cls.fits == "stream"

    @property
    def passes_through(self) -> bool:
        """Whether its tables are its one input's own objects, whatever its state is."""
        whole = isinstance(self.step, FeatureStep) and self.step.passes_through
        return whole and self.frames.limits == (None, None)

    @property
    def feature_name(self) -> str:
        """Name of the feature, or how callbacks are called in the registry."""
        if self.trains:
            return "training"
        return "callback" if self.is_callback else self.feature_cls.name

    @property
    def version(self) -> str:
        """Version of the feature or of the callback's source."""
        return (
            self.step.version if isinstance(self.step, CallbackStep) else self.feature_cls.version
        )

    @property
    def feature_cls(self) -> type[Feature[Any]]:
        """The feature's class; only for feature steps."""
        assert isinstance(self.step, FeatureStep)
        return self.step.feature_cls

    @property
    def checked_inputs(self) -> Inputs:
        """The inputs in the form the feature checks: tracks, or a result by name.

        Raises
        ------
        ParamsError
            The feature does not take them.
        """
        items = [n if n == TRACKS else Result(feature=n) for n in self.inputs]
        return self.feature_cls.Inputs(items)

    def upstream(self) -> tuple[str, ...]:
        """Every step it needs."""
        return self.step.upstream()


class BoundPipeline:
    """A pipeline on a dataset.

    Parameters
    ----------
    name
        Name of the pipeline.
    graph
        Its steps.
    dataset
        The dataset.
    entries
        Keys of all entries of the dataset, sorted by group and sequence.
    scope
        Which of them the pipeline is about; None means all.
    default_options
        ``run_kwargs`` for every step.
    """

    def __init__(
        self,
        name: str,
        graph: StepGraph,
        dataset: Dataset,
        entries: Sequence[str],
        scope: Scope | None,
        default_options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.graph = graph
        self.dataset = dataset
        self.scope = scope
        self.entries = scope_keys(scope, entries)
        manifest = dataset.manifest
        self.facts = DatasetFacts(
            manifest.fps, manifest.unit, tuple(manifest.keypoints or ()), manifest.cm_per_pixel
        )
        self._default_options = with_scope_frames(default_options, scope)
        self.steps: dict[str, BoundStep] = {}
        for step_name in graph.order:
            self.steps[step_name] = self._bind(graph.steps[step_name])

    def _bind(self, step: FeatureStep | CallbackStep) -> BoundStep:
        upstream = [self._run_id(name) for name in step.upstream()]
        if isinstance(step, CallbackStep):
            declaration = declaration_digest("callback", step.version, {"name": step.name})
            return BoundStep(
                step.name, step, step.input_names, {}, None, RunOptions(), FrameWindow(),
                run_id(step.version[:6], declaration, upstream), declaration, declaration,
            )  # fmt: skip
        options = RunOptions.build(step.name, self._default_options, step.run_kwargs)
        params = step.checked_params.resolve(self.facts)
        cls = step.feature_cls
        frames = self._frame_window(step.name, options)
        identity = params.identity() | {
            name: [ref.artifact, ref.column] for name, ref in step.references().items()
        }
        if options.join_on is not None:
            identity |= {"run_kwargs.join_on": options.join_on}
        fit = {"threads": options.fit_threads, "require_complete": options.require_complete}
        asked = (cls.name, cls.version, identity, frames.limits)
        declaration = declaration_digest(*asked, overlap=frames.overlap)
        fit_declaration = declaration_digest(*asked, fit)  # a fit never sees an overlap
        scope = (self.scope or Scope()).identity() if cls.fits == "stream" else None
        named = None if cls.fits == "never" else fit
        bound = BoundStep(
            step.name, step, step.input_names, step.references(), params, options, frames,
            run_id(cls.version, declaration_digest(*asked, named, frames.overlap), upstream, scope),
            declaration, fit_declaration, step.labels(),
        )  # fmt: skip
        cls(bound.checked_inputs, params)  # refuses inputs that the feature does not take
        return bound

    def neighbours(self, step: BoundStep, key: str) -> Mapping[str, str]:
        """Entries that an entry's overlap reads: the one ``before`` it, the one ``after`` it."""
        if not step.frames.overlap or step.passes_through:
            return {}
        return self._neighbours.get(key, {})

    @cached_property
    def _neighbours(self) -> Mapping[str, Mapping[str, str]]:
        return order_neighbours(self.entries)

    def _frame_window(self, step: str, options: RunOptions) -> FrameWindow:
        """What a step's options say about frames.

        Raises
        ------
        PipelineDefinitionError
            The range is impossible, or an overlap is asked for where there can be none.
        """
        start, end = frame_range(step, options, self.facts.fps)
        if options.overlap_frames and (start, end) != (None, None):
            msg = f"Step {step!r} asks for overlap_frames and for a range of frames."
            raise PipelineDefinitionError(
                msg, "Give one of them; a scope with frames is a range, too."
            )
        if options.overlap_frames and not self.dataset.manifest.continuous:
            name = self.dataset.manifest.name
            msg = f"Step {step!r} asks for overlap_frames, but dataset {name!r} is not continuous."
            raise PipelineDefinitionError(
                msg,
                "Write `continuous: true` into its dataset.yaml if the recordings of each group "
                "follow each other without a gap; else leave overlap_frames out.",
            )
        return FrameWindow(start, end, options.overlap_frames)

    def _run_id(self, name: str) -> str:
        return source_run_id(name) if is_ingested(name) else self.steps[name].run_id


def with_scope_frames(options: Mapping[str, Any], scope: Scope | None) -> dict[str, Any]:
    """Options of every step of a pipeline, the frames of its scope among them."""
    if scope is None or scope.frames is None:
        return dict(options)
    start, end = scope.frames
    return {"filter_start_frame": start, "filter_end_frame": end, **options}


def scope_keys(scope: Scope | None, entries: Sequence[str]) -> tuple[str, ...]:
    """Keys of the entries in a scope, in the order given."""
    if scope is None:
        return tuple(entries)
    chosen = set(scope.select([EntryKey.parse(entry) for entry in entries]))
    return tuple(entry for entry in entries if EntryKey.parse(entry) in chosen)


def frame_range(step: str, options: RunOptions, fps: float | None) -> tuple[int | None, int | None]:
    """Frames ``[start, end)`` that a step's options ask for.

    A time becomes the first frame at or after it: ``ceil(t * fps - 1e-6)``.

    Raises
    ------
    PipelineDefinitionError
        A time is given and the dataset has no fps, or no frame can be in the range.
    """

    def frame(given: int | None, time: float | None) -> int | None:
        if time is None:
            return given
        if fps is None:
            msg = f"Step {step!r} filters by time, but the dataset has no fps."
            raise PipelineDefinitionError(msg, "Give fps in the dataset, or filter by frame.")
        return math.ceil(time * fps - _FRAME_TOLERANCE)

    start = frame(options.filter_start_frame, options.filter_start_time)
    end = frame(options.filter_end_frame, options.filter_end_time)
    if start is not None and end is not None and end <= start:
        msg = f"Step {step!r} asks for frames from {start} up to {end}, which are none."
        raise PipelineDefinitionError(msg, "The end is the frame after the last one.")
    return start, end


def match_artifact(asked_by: str, step: str, pattern: str, members: Mapping[str, str]) -> str:
    """The one file of a state that a pattern names; ``asked_by`` is for the message.

    Raises
    ------
    PipelineDefinitionError
        None or several match; the state's files are listed.
    """
    names = [name for name in members if fnmatchcase(name, pattern)]
    if len(names) != 1:
        found = f"{len(names)} files" if names else "no file"
        msg = f"{asked_by} asks for {pattern!r}, which matches {found} of step {step!r}."
        files = ", ".join(sorted(members)) or "none"
        raise PipelineDefinitionError(msg, f"Its files are: {files}.")
    return names[0]
