"""The steps a pipeline is declared with: what is computed, from what, with which parameters."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic_dagster.errors import HashingError, ParamsError, PipelineDefinitionError
from mosaic_dagster.features import Feature, Params, StepRef, get_feature
from mosaic_dagster.features.inputs import JoinOn
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.quality import (
    DEFAULT_CHECKS,
    DEFAULT_SUMMARY_CHECKS,
    DEFAULT_TRAINING_CHECKS,
    Rule,
    check_rules,
)
from mosaic_dagster.store import StepOutput, version_of

TRACKS = "tracks"
"""Name of the step that every pipeline starts from."""

NO_PIPELINE = ""
"""Pipeline under which tracks and labels are recorded: they belong to all."""

_LABELS = "labels/"


def labels_step(kind: str) -> str:
    """Name under which steps read the labels of a kind."""
    return f"{_LABELS}{kind}"


def is_ingested(step: str) -> bool:
    """Whether a name stands for what is read from files: the tracks, or labels of a kind."""
    return step == TRACKS or step.startswith(_LABELS)


_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RESERVED = frozenset({"model", "report", TRACKS, "labels", "dagster"})


class RunOptions(BaseModel):
    """How a step is run; all but ``overwrite`` are part of its identity.

    Attributes
    ----------
    filter_start_frame, filter_end_frame
        Only frames in ``[start, end)`` of the step's input are used.
    filter_start_time, filter_end_time
        The same in seconds; become frames by the dataset's fps.
    overlap_frames
        Number of frames of the recordings before and after, in the same group, that each entry
        sees beside its own; what is made of them is cut off again. Only for datasets that are
        ``continuous``, not together with a filter; a fit never sees it, and look-ups stay those
        of the entry. See :mod:`mosaic_dagster.pipeline.overlap`.
    join_on
        ``id1`` or ``id2``: inputs of individuals are joined to inputs of pairs by this animal.
    fit_threads
        Number of threads that a fit may use.
    require_complete
        Whether a fitted step refuses to fit while an entry of its scope is missing.
    overwrite
        Whether entries are computed even when a result is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    filter_start_frame: int | None = None
    filter_end_frame: int | None = None
    filter_start_time: float | None = None
    filter_end_time: float | None = None
    overlap_frames: int = Field(default=0, ge=0)
    join_on: JoinOn | None = None
    fit_threads: int = Field(default=1, ge=1)
    require_complete: bool = False
    overwrite: bool = False

    @property
    def filters_frames(self) -> bool:
        """Whether only some frames of the input are used."""
        ends = (self.filter_start_frame, self.filter_end_frame)
        times = (self.filter_start_time, self.filter_end_time)
        return any(limit is not None for limit in (*ends, *times))

    @classmethod
    def build(cls, step: str, *layers: Mapping[str, Any]) -> RunOptions:
        """Merge options, later layers first; None removes a filter."""
        merged: dict[str, Any] = {}
        for layer in layers:
            merged |= layer
        try:
            options = cls(**merged)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, p['loc']))}: {p['msg']}"
                for p in error.errors(include_url=False)
            )
            msg = f"Step {step!r} has wrong run_kwargs: {problems}."
            raise PipelineDefinitionError(msg, f"Known: {', '.join(cls.model_fields)}.") from error
        for end in ("start", "end"):
            frame, time = f"filter_{end}_frame", f"filter_{end}_time"
            if getattr(options, frame) is not None and getattr(options, time) is not None:
                msg = f"Step {step!r} gives both {frame} and {time}."
                raise PipelineDefinitionError(msg, "Give one of them.")
        return options


@dataclass(frozen=True)
class FeatureStep:
    """A feature as a node of a pipeline.

    Parameters
    ----------
    name
        Name of the step in its pipeline.
    feature
        A feature class, or its name.
    params
        Parameters that differ from the defaults; a :class:`StepRef` refers to another step.
    inputs
        Names of the steps it reads, in order; empty means the tracks.
    run_kwargs
        See :class:`RunOptions`.
    description
        A sentence for people; by default the first line of the feature's docstring.
    checks
        Rules that its results should keep, see ``mosaic_dagster.quality``; None stands for
        ``DEFAULT_CHECKS``, or ``DEFAULT_SUMMARY_CHECKS`` where rows are not about frames. They
        are no part of any identity.
    """

    name: str
    feature: type[Feature[Any]] | str
    params: Mapping[str, Any] | Params | None = None
    inputs: Sequence[str] = ()
    run_kwargs: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    checks: Sequence[Rule] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "step")
        _check_inputs(self.name, self.inputs)
        check_rules(self.name, self.checks or ())

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What its results are checked by."""
        if self.checks is not None:
            return tuple(self.checks)
        by_frame = self.feature_cls.category != "summary"
        return DEFAULT_CHECKS if by_frame else DEFAULT_SUMMARY_CHECKS

    @property
    def feature_cls(self) -> type[Feature[Any]]:
        """The feature's class."""
        return get_feature(self.feature) if isinstance(self.feature, str) else self.feature

    @property
    def checked_params(self) -> Params:
        """The parameters as the feature's own class, checked.

        Raises
        ------
        ParamsError
            One is unknown or has a wrong value, or they belong to another feature.
        """
        wanted = self.feature_cls.Params
        if isinstance(self.params, Params):
            if isinstance(self.params, wanted):
                return self.params
            given = type(self.params).__qualname__
            msg = f"Step {self.name!r} was given {given}, which is not for {self.feature_cls.name}."
            raise ParamsError(msg, f"Give {wanted.__qualname__}, or a mapping.")
        try:
            return wanted.from_overrides(self.params)
        except ParamsError as error:
            msg = f"Step {self.name!r}: {error.what}"
            raise ParamsError(msg, error.remedy) from error

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the steps whose tables it reads."""
        return tuple(self.inputs) or (TRACKS,)

    def references(self) -> dict[str, StepRef]:
        """Parameters that refer to other steps.

        Raises
        ------
        PipelineDefinitionError
            One refers to a run by its id, which no step of the pipeline stands for.
        """
        found = {}
        for name, reference in self.checked_params.references().items():
            if not isinstance(reference, StepRef):
                msg = f"{name} of step {self.name!r} is a {type(reference).__name__}."
                raise PipelineDefinitionError(msg, "In a pipeline, refer to a step: StepRef(…).")
            found[name] = reference
        return found

    def labels(self) -> dict[str, str]:
        """Step name of the labels that each parameter refers to."""
        kinds = self.checked_params.label_kinds()
        return {name: labels_step(kind) for name, kind in kinds.items()}

    def reads_tables_of(self) -> list[str]:
        """Names of the steps whose tables it reads, as inputs or by reference."""
        looked_up = [ref.step for ref in self.references().values() if ref.artifact is None]
        return [*self.input_names, *looked_up]

    @property
    def passes_through(self) -> bool:
        """Whether the feature gives its one input back, unless what it looks up may change it."""
        looks_up = any(ref.artifact is None for ref in self.references().values())
        return self.feature_cls.passthrough and len(self.input_names) == 1 and not looks_up

    def upstream(self) -> tuple[str, ...]:
        """Every step it needs, inputs first."""
        referred = (ref.step for ref in self.references().values())
        names = [*self.input_names, *referred, *self.labels().values()]
        return tuple(dict.fromkeys(names))

    @property
    def summary(self) -> str:
        """What the step does, in a sentence."""
        return self.description or (inspect.getdoc(self.feature_cls) or "").partition("\n")[0]


Callback = Callable[..., StepOutput | None]
"""``fn(dataset, results, **params)``; ``results`` maps each input's name to its result."""


@dataclass(frozen=True)
class CallbackStep:
    """Own code between or after features: pictures, tables, reports.

    It runs when an input, a parameter or its own source text changed, else its earlier outputs
    stand.

    Parameters
    ----------
    name
        Name of the step in its pipeline.
    fn
        ``fn(dataset, results, **params) -> StepOutput``; reads tables by
        ``results["step"].table(key)``.
    inputs
        Names of the steps it reads; ``labels/<kind>`` are the labels of a kind.
    params
        Named arguments of the function: anything that can be written as JSON.
    per_entry
        Whether it is called once per entry, with results that hold this entry alone.
    always
        Whether it runs even when nothing changed.
    description
        A sentence for people; by default the first line of the function's docstring.
    checks
        Rules that what it makes should keep, its one table if it makes one; None stands for none,
        or for ``DEFAULT_TRAINING_CHECKS`` of a training step.
    """

    name: str
    fn: Callback
    inputs: Sequence[str] = ()
    per_entry: bool = False
    always: bool = False
    description: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Rule] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "step")
        _check_inputs(self.name, self.inputs)
        check_rules(self.name, self.rules)
        if not (inspect.isfunction(self.fn) or inspect.ismethod(self.fn)):
            msg = f"The code of step {self.name!r} is {self.fn!r}, not a function."
            raise PipelineDefinitionError(msg, "Give a function; its arguments go into params.")
        if self.always and is_gated(self):
            msg = f"Step {self.name!r} runs always and has a blocking check."
            raise PipelineDefinitionError(msg, "What is refused is not made again: drop one.")
        try:
            canonical_json(self.params)
        except HashingError as error:
            msg = f"The parameters of step {self.name!r} cannot be told apart: {error.what}"
            raise PipelineDefinitionError(msg, "Give values that JSON can hold.") from error

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What its results are checked by."""
        return tuple(self.checks or ())

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the steps whose tables it reads."""
        return tuple(self.inputs)

    def upstream(self) -> tuple[str, ...]:
        """Every step it needs."""
        return self.input_names

    @property
    def version(self) -> str:
        """Digest of the function's module and parameters: an edit of them is a new version.

        A function that is marked by :func:`~mosaic_dagster.store.versioned` counts by that mark.
        """
        marked = version_of(self.fn)
        source = marked if marked is not None else _source(self.fn)
        asked = f"{self.fn.__qualname__}\n{source}"
        if self.params:
            asked += f"\n{canonical_json(self.params)}"
        return hashlib.sha256(asked.encode()).hexdigest()[:12]

    @property
    def summary(self) -> str:
        """What the step does, in a sentence."""
        return self.description or (inspect.getdoc(self.fn) or "").partition("\n")[0]


def _source(fn: Callback) -> str:
    module = inspect.getmodule(fn)
    try:
        return inspect.getsource(module if module is not None else fn)
    except (OSError, TypeError):  # typed at a prompt: only the code itself is known
        return str(fn.__code__.co_code.hex())


@dataclass(frozen=True)
class TrainingStep(CallbackStep):
    """Own code that trains models, over the whole scope.

    Its function returns fitted objects as ``artifacts`` and what they make up as ``chains``, with
    their predictions. They are stored like a fit, looked up before anything is trained, and
    remembered in the workspace store, where they are ranked, replayed and exported.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_entry or self.always:
            msg = f"Training step {self.name!r} asks for per_entry or always."
            raise PipelineDefinitionError(
                msg, "It trains on its whole scope, and only when something changed."
            )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What its models are checked by."""
        return DEFAULT_TRAINING_CHECKS if self.checks is None else tuple(self.checks)


Step = FeatureStep | CallbackStep


def has_model(step: Step) -> bool:
    """Whether a step makes something of its whole scope beside its tables or predictions."""
    if isinstance(step, FeatureStep):
        return step.feature_cls.fits != "never"
    return isinstance(step, TrainingStep)


def is_gated(step: Step) -> bool:
    """Whether a rule of a step can keep its results from going on."""
    return any(rule.blocking for rule in step.rules)


def _check_inputs(step: str, inputs: Sequence[str]) -> None:
    if isinstance(inputs, str):
        msg = f"The inputs of step {step!r} are one text, not a list of names."
        raise PipelineDefinitionError(msg, f"Write inputs=({inputs!r},).")
    for name in inputs:
        if not isinstance(name, str):
            msg = f"Step {step!r} has the input {name!r}, which is no name of a step."
            raise PipelineDefinitionError(msg, "In a pipeline, inputs are names of its steps.")


def check_name(name: str, what: str) -> None:
    """Refuse a name that could not be part of an asset key.

    Raises
    ------
    PipelineDefinitionError
        The name has other characters than allowed, or is reserved.
    """
    if name in _RESERVED:
        msg = f"{name!r} cannot be the name of a {what}: it is reserved."
        raise PipelineDefinitionError(msg, f"Reserved are {', '.join(sorted(_RESERVED))}.")
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a {what}."
        raise PipelineDefinitionError(
            msg, "Use lower-case letters, digits and single underscores, beginning with a letter."
        )
