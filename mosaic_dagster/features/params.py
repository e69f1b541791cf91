"""Parameters of a feature: checked on construction, frozen, and part of its identity."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.references import LabelsSource, Result, StepRef


@dataclass(frozen=True)
class DatasetFacts:
    """What parameters may take from the dataset.

    Attributes
    ----------
    fps
        Frames per second that the manifest gives, or None.
    unit
        Unit of the coordinates (``"px"``, ``"mm"``, …), or None.
    keypoints
        Names of the keypoints in the order of ``poseX0``, ``poseX1``, …
    cm_per_pixel
        Length of a pixel in centimetres, or None.
    """

    fps: float | None = None
    unit: str | None = None
    keypoints: tuple[str, ...] = ()
    cm_per_pixel: float | None = None


@dataclass(frozen=True)
class FromDataset:
    """Marks a field whose None means: take this fact of the dataset.

    Used as ``fps: Annotated[float | None, FromDataset("fps")] = None``.
    """

    fact: str


@dataclass(frozen=True)
class NotIdentity:
    """Marks a field that cannot change results (a device, a worker count)."""

    reason: str = field(default="throughput")


class Params(BaseModel):
    """Base of every feature's parameters: no extra keys, no changes after construction."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    @classmethod
    def from_overrides(cls, overrides: Mapping[str, Any] | None = None) -> Self:
        """Defaults with some values replaced.

        A mapping given for a nested model is merged one level deep over its default.

        Raises
        ------
        ParamsError
            A name is unknown or a value is not allowed; names the nearest known parameter.
        """
        values = dict(overrides or {})
        unknown = [name for name in values if name not in cls.model_fields]
        if unknown:
            raise ParamsError(*_unknown_parameter(unknown[0], list(cls.model_fields)))
        for name, value in values.items():
            default = cls.model_fields[name].get_default(call_default_factory=True)
            if isinstance(value, Mapping) and isinstance(default, BaseModel):
                values[name] = default.model_dump() | dict(value)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ParamsError(_describe(error)) from error

    def references(self) -> dict[str, StepRef | Result]:
        """The fields that refer to what other steps made, by field name.

        Raises
        ------
        ParamsError
            A reference lies inside another value, where it would be no edge of the graph.
        """
        found: dict[str, StepRef | Result] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, StepRef | Result):
                found[name] = value
            elif _holds_reference(value):
                msg = f"The parameter {name!r} holds a reference inside another value."
                raise ParamsError(msg, "Give each reference a parameter of its own.")
        return found

    def label_kinds(self) -> dict[str, str]:
        """Kind of the labels that each field refers to, by field name."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: v.kind for name, v in given.items() if isinstance(v, LabelsSource)}

    def resolve(self, facts: DatasetFacts) -> Self:
        """Fill fields that come from the dataset; features that need more override this."""
        update = {
            name: getattr(facts, source)
            for name, source in self._dataset_fields()
            if getattr(self, name) is None
        }
        return self.model_copy(update=update) if update else self

    def identity(self) -> dict[str, Any]:
        """Values that change the result, without references (those count by their digests)."""
        references = self.references()
        excluded = {
            name
            for name, info in type(self).model_fields.items()
            if name in references or any(isinstance(m, NotIdentity) for m in info.metadata)
        }
        plain = self.model_dump(exclude=excluded)
        return plain | {name: {"reference": True} for name in references}

    def _dataset_fields(self) -> Iterator[tuple[str, str]]:
        for name, info in type(self).model_fields.items():
            for marker in info.metadata:
                if isinstance(marker, FromDataset):
                    yield name, marker.fact


class SamplingConfig(BaseModel):
    """How densely the recording was sampled and how it is smoothed before use.

    ``smooth_win`` is the odd length of a moving mean in frames; 0 or 1 means none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fps_default: float | None = Field(default=None, gt=0)
    smooth_win: int = Field(default=0, ge=0)

    @field_validator("smooth_win")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window and window % 2 == 0:
            msg = "must be odd, so that the window has a middle row"
            raise ValueError(msg)
        return window


class InterpolationConfig(BaseModel):
    """Which holes are filled: limits in frames, and a share of missing values per row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    linear_interp_limit: int = Field(default=10, ge=1)
    edge_fill_limit: int = Field(default=3, ge=0)
    max_missing_fraction: float = Field(default=0.1, ge=0, le=1)
    fill_remaining: str = Field(default="drop", pattern="^(drop|median)$")


class PoolConfig(BaseModel):
    """The rows from which templates are chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int | None = Field(default=None, ge=1)
    allocation: str = Field(default="reservoir", pattern="^(reservoir|exact)$")
    max_entry_fraction: float | None = Field(default=None, ge=0, le=1)


def _holds_reference(value: Any) -> bool:
    if isinstance(value, StepRef | Result):
        return True
    if isinstance(value, BaseModel):
        return any(_holds_reference(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return any(map(_holds_reference, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_holds_reference, value))


def _unknown_parameter(name: Any, known: list[str]) -> tuple[str, str]:
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    names = ", ".join(known) or "none"
    return f"Unknown parameter {name!r}.", f"{hint}The parameters are: {names}."


def _describe(error: ValidationError) -> str:
    parts = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in cast("tuple[Any, ...]", problem["loc"]))
        given = problem.get("input")
        shown = f" (given {given!r})" if where and not isinstance(given, Mapping) else ""
        parts.append(f"{where or 'parameters'}: {problem['msg']}{shown}")
    return "; ".join(parts) + "."
