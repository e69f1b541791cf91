"""Which keypoints a feature reads, and how their columns are called."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mosaic_dagster.features.library.rows import keypoint_numbers, resolve_keypoint
from mosaic_dagster.features.params import DatasetFacts


class PoseConfig(BaseModel):
    """Keypoints and the prefixes of their columns.

    Attributes
    ----------
    pose_n
        Number of keypoints: 0 … pose_n - 1 are taken unless ``pose_indices`` chooses.
    pose_indices
        The keypoints to take, by number (the one behind the prefix) or name; None means all.
    x_prefix, y_prefix, confidence_prefix
        Columns are ``<prefix><number>``.
    keypoint_names
        Names of the keypoints 0, 1, …; None means those of the dataset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    pose_n: int = Field(default=7, ge=1)
    pose_indices: tuple[int | str, ...] | None = None
    x_prefix: str = Field(default="poseX", min_length=1)
    y_prefix: str = Field(default="poseY", min_length=1)
    confidence_prefix: str = Field(default="poseP", min_length=1)
    keypoint_names: tuple[str, ...] | None = None

    @field_validator("pose_indices")
    @classmethod
    def _distinct(cls, chosen: tuple[int | str, ...] | None) -> tuple[int | str, ...] | None:
        if chosen is None:
            return chosen
        if not chosen or len(set(chosen)) < len(chosen):
            msg = "names no keypoint, or one twice"
            raise ValueError(msg)
        if any(isinstance(keypoint, int) and keypoint < 0 for keypoint in chosen):
            msg = "holds a negative number; keypoints are numbered from 0"
            raise ValueError(msg)
        return chosen

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.keypoint_names is not None and len(self.keypoint_names) != self.pose_n:
            msg = f"keypoint_names has {len(self.keypoint_names)} names and pose_n is {self.pose_n}"
            raise ValueError(msg)
        if self.x_prefix == self.y_prefix:
            msg = f"x_prefix and y_prefix are both {self.x_prefix!r}"
            raise ValueError(msg)
        return self

    def named_facts(self, facts: DatasetFacts) -> DatasetFacts:
        """The facts with this configuration's names of keypoints, where it has any."""
        names = facts.keypoints if self.keypoint_names is None else self.keypoint_names
        return DatasetFacts(fps=facts.fps, unit=facts.unit, keypoints=tuple(names))

    def resolve(self, facts: DatasetFacts) -> dict[str, object]:
        """The configuration as plain values, with numbers for the names of keypoints.

        Raises
        ------
        ParamsError
            There is no keypoint of a name.
        """
        values = self.model_dump()
        if self.pose_indices is not None:
            named = self.named_facts(facts)
            values["pose_indices"] = tuple(resolve_keypoint(k, named) for k in self.pose_indices)
        return values

    def selected(self) -> tuple[int, ...]:
        """Numbers of the keypoints that are taken, in their order.

        Raises
        ------
        ParamsError
            One is still a name.
        """
        if self.pose_indices is None:
            return tuple(range(self.pose_n))
        return keypoint_numbers(self.pose_indices)

    def is_resolved(self) -> bool:
        """Whether every keypoint is a number."""
        return not any(isinstance(keypoint, str) for keypoint in self.pose_indices or ())

    def count(self) -> int:
        """How many keypoints are taken."""
        return self.pose_n if self.pose_indices is None else len(self.pose_indices)

    def columns(self) -> tuple[str, ...]:
        """Columns of the coordinates, x and y of one keypoint after the other."""
        axes = (self.x_prefix, self.y_prefix)
        return tuple(f"{prefix}{k}" for k in self.selected() for prefix in axes)

    def columns_by_axis(self) -> tuple[str, ...]:
        """The same columns, x of all keypoints and then y of all."""
        columns = self.columns()
        return (*columns[0::2], *columns[1::2])
