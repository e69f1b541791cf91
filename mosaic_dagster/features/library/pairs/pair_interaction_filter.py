"""Long meetings of two individuals that stand head to head."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.features.kernels.angles import wrap
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.frame_pairs import (
    Pairs,
    pair_numbers,
    split_frames,
    unordered_pairs,
)
from mosaic_dagster.features.kernels.keypoints import keypoint_columns
from mosaic_dagster.features.kernels.stretches import Stretches, stretches_of
from mosaic_dagster.features.library.pairs._frame_rows import (
    BLOCK,
    FrameRows,
    by_frame,
    pair_schema,
)
from mosaic_dagster.features.library.rows import keypoint_numbers, resolve_keypoint
from mosaic_dagster.features.params import DatasetFacts, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_VALUES = ("interaction_id", "interaction_start", "interaction_end")


class PairInteractionFilterParams(Params):
    """Parameters of :class:`PairInteractionFilter`.

    Attributes
    ----------
    shift_dist
        Points are moved this far along their heading before the distance is taken.
    max_dist
        Two points meet below this distance.
    require_facing
        Whether the headings must also be opposed.
    max_inv_orientation_diff_deg
        How far from exactly opposed they may be, degrees.
    min_run_frames
        Shortest meeting in frames.
    frame_padding
        Frames added before and after each meeting.
    morphological_structure_size
        Gaps shorter than this number of frames are filled, then meetings shorter than it are
        dropped; 0 or 1 does neither.
    px_scale
        Factor for ``shift_dist`` and ``max_dist``, for recordings of another resolution.
    use_pixel_coords
        Whether ``pose_head_index`` counts; without it, X and Y are the points.
    pose_head_index
        Keypoint that is the point, by number or by the dataset's name; None means X and Y.
    """

    shift_dist: float = 15.0
    max_dist: float = Field(default=40.0, gt=0)
    require_facing: bool = True
    max_inv_orientation_diff_deg: float = Field(default=80.0, gt=0, le=180)
    min_run_frames: int = Field(default=250, ge=1)
    frame_padding: int = Field(default=10, ge=0)
    morphological_structure_size: int = Field(default=25, ge=0)
    px_scale: float = Field(default=1.0, gt=0)
    use_pixel_coords: bool = True
    pose_head_index: int | str | None = None

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn the name of a keypoint into its number."""
        resolved = super().resolve(facts)
        if resolved.pose_head_index is None:
            return resolved
        head = resolve_keypoint(resolved.pose_head_index, facts)
        return resolved.model_copy(update={"pose_head_index": head})


@register
class PairInteractionFilter(Feature[PairInteractionFilterParams]):
    """The frames in which two individuals interact, and which interaction it is.

    One row per frame and pair (id1 below id2) inside an interaction: ``interaction_id`` (0, 1, … in
    each pair), ``interaction_start`` and ``interaction_end`` (its first and last frame).

    Notes
    -----
    Two individuals meet in a frame when the points ``shift_dist`` ahead of them lie less than
    ``max_dist`` apart and (with ``require_facing``) ``pi - |wrap(ANGLE1 - ANGLE2)|`` is below the
    limit. On the frames from the recording's first to its last, where a frame without a row or
    with a missing value is no meeting, follow a binary closing (gaps shorter than the structure are
    filled, the ends of the recording stay as they are) and an opening. Meetings of
    ``min_run_frames`` or more are padded inside the recording; those that then overlap are one
    interaction. Frames of an interaction in which one of both has no row give no row. Rows are in
    the order of frame, id1, id2.
    """

    name = "pair-interaction-filter"
    version = "1.0"
    Params = PairInteractionFilterParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, point, and the heading where it counts."""
        return ("frame", "id", *self._point(), *(["ANGLE"] if self._needs_heading() else []))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Keys of the pair and three whole numbers."""
        values = {name: pl.Int64() for name in _VALUES}
        return pair_schema(schema, values, perspective=False)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Find the interactions of one recording."""
        self.check_columns(table.schema)
        rows = by_frame(table)
        interactions = self._interactions(rows)
        first, second, which = [], [], []
        for block in split_frames(rows.frames, BLOCK) if len(interactions.owner) else []:
            pairs = _pairs_in(rows, block)
            owner = pair_numbers(rows.individual, pairs)
            found = interactions.find(owner, rows.frames[pairs[0]])
            inside = found >= 0
            first.append(pairs[0][inside])
            second.append(pairs[1][inside])
            which.append(found[inside])
        chosen = _join(which)
        columns = (interactions.numbered(), interactions.start, interactions.end)
        values = {name: column[chosen] for name, column in zip(_VALUES, columns, strict=True)}
        return rows.pair_table((_join(first), _join(second)), values, perspective=False)

    def _interactions(self, rows: FrameRows) -> Stretches:
        x, y = (rows.sort(column) for column in self._point())
        heading = rows.sort("ANGLE") if self._needs_heading() else np.zeros(len(x))
        shift = self.params.shift_dist * self.params.px_scale
        if shift:
            x, y = x + shift * np.cos(heading), y + shift * np.sin(heading)
        owners, frames = [], []
        for block in split_frames(rows.frames, BLOCK):
            pairs = _pairs_in(rows, block)
            meets = self._meets(x, y, heading, pairs)
            owners.append(pair_numbers(rows.individual, pairs)[meets])
            frames.append(rows.frames[pairs[0][meets]])
        owner, frame = _join(owners), _join(frames)
        order = np.argsort(owner, kind="stable")
        meetings = stretches_of(owner[order], frame[order])
        if not len(owner):
            return meetings
        first, last = int(rows.frames[0]), int(rows.frames[-1])
        size = self.params.morphological_structure_size
        meetings = meetings.closed(size).at_least(size)
        meetings = meetings.at_least(self.params.min_run_frames)
        return meetings.padded(self.params.frame_padding, first, last)

    def _meets(self, x: FloatArray, y: FloatArray, heading: FloatArray, pairs: Pairs) -> BoolArray:
        one, other = pairs
        distance = np.hypot(x[other] - x[one], y[other] - y[one])
        meets: BoolArray = distance < self.params.max_dist * self.params.px_scale
        if self.params.require_facing:
            limit = np.radians(self.params.max_inv_orientation_diff_deg)
            meets &= np.pi - np.abs(wrap(heading[one] - heading[other])) < limit
        return meets

    def _needs_heading(self) -> bool:
        return self.params.require_facing or self.params.shift_dist != 0

    def _point(self) -> list[str]:
        head = self.params.pose_head_index
        if head is None or not self.params.use_pixel_coords:
            return ["X", "Y"]
        return keypoint_columns(keypoint_numbers([head]))


def _pairs_in(rows: FrameRows, block: slice) -> Pairs:
    first, second = unordered_pairs(rows.frames[block])
    return first + block.start, second + block.start


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
