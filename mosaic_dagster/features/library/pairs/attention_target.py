"""Whom each individual attends to."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from pydantic import field_validator

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.library.rows import numbers, order_rows
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_TARGET = "attention_target_id"
_ANGLE = "attention_target_angle_diff_deg"
_PAIR = ("id1", "id2", "perspective")


class AttentionTargetParams(Params):
    """Parameters of :class:`AttentionTarget`.

    Attributes
    ----------
    id_group_map
        Name of the group of each individual by its id, such as ``{0: "resident"}``. None means
        that no group is known.
    """

    id_group_map: dict[str, str] | None = None

    @field_validator("id_group_map", mode="before")
    @classmethod
    def _ids_as_text(cls, groups: Any) -> Any:
        # A mapping that was written as JSON has text for keys.
        if not isinstance(groups, dict):
            return groups
        named = {str(who): group for who, group in groups.items()}
        if len(named) < len(groups):
            msg = "names an id twice, as a number and as text"
            raise ValueError(msg)
        return named


@register
class AttentionTarget(Feature[AttentionTargetParams]):
    """The individual that each one faces most directly, of those it faces at all.

    Reads the tables of ``pair-facing``. Columns per frame and focal individual ``id``:
    ``attention_target_id`` (null: faces nobody), ``attention_target_angle_diff_deg`` (degrees, NaN:
    faces nobody), ``focal_group``, ``target_group`` (null: unknown) and ``attention_type``:
    ``none`` (faces nobody), ``unknown`` (a group is not known), ``in_group`` or ``out_group``.

    Notes
    -----
    The target is the facing one with the smallest angle; of equal angles the smallest id. Every
    focal individual keeps a row in every frame in which it was compared with somebody. Rows are in
    the order of frame, id; ``time`` is carried.
    """

    name = "attention-target"
    version = "1.0"
    Params = AttentionTargetParams

    def input_columns(self) -> tuple[str, ...]:
        """What pair-facing gives."""
        return ("frame", "focal_id", "target_id", "angle_diff_deg", "is_facing")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Keys of the individual, its target, and both groups."""
        individual = {name: kind for name, kind in schema.items() if name not in _PAIR}
        text = dict.fromkeys(("focal_group", "target_group", "attention_type"), pl.String())
        values = {_TARGET: schema["target_id"], _ANGLE: pl.Float64(), **text}
        return values_schema(pl.Schema({**individual, "id": schema["focal_id"]}), values)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Choose the targets of one recording."""
        self.check_columns(table.schema)
        rows = order_rows(table.select("frame", id1="focal_id", id2="target_id"))
        # Sorted by both ids already, which a stable sort keeps within a frame.
        order = rows.order[np.argsort(rows.frames, kind="stable")]
        angle = numbers(table, "angle_diff_deg")
        faced = table["is_facing"].cast(pl.Boolean).fill_null(value=False).to_numpy()
        offered = np.where(faced & np.isfinite(angle), angle, np.inf)[order]
        frames, focal = table["frame"].to_numpy()[order], table["focal_id"].to_numpy()[order]
        new = (frames[1:] != frames[:-1]) | (focal[1:] != focal[:-1])
        best, least = _first_of_least(offered, np.concatenate(([True], new))[: len(offered)])
        chosen = table.drop(_PAIR, strict=False)[order[best]]
        found = np.isfinite(least)
        nobody = pl.repeat(None, len(best), dtype=table.schema["target_id"], eager=True)
        target = chosen["target_id"].zip_with(pl.Series(found), nobody)
        own, other = self._groups(chosen["focal_id"]), self._groups(target)
        values = {
            _TARGET: target,
            _ANGLE: pl.Series(np.where(found, least, np.nan)),
            "focal_group": own,
            "target_group": other,
            "attention_type": _kind(found, own, other),
        }
        return with_values(chosen.with_columns(id="focal_id"), values)

    def _groups(self, ids: pl.Series) -> pl.Series:
        """Name of the group of each id, null where it is not known."""
        groups = self.params.id_group_map or {}
        known = [who for who in ids.unique().drop_nulls() if str(who) in groups]
        if not known:
            return pl.repeat(None, len(ids), dtype=pl.String, eager=True)
        names = [groups[str(who)] for who in known]
        return ids.replace_strict(known, names, default=None, return_dtype=pl.String)


def _first_of_least(values: FloatArray, begins: BoolArray) -> tuple[IntArray, FloatArray]:
    """The first row with the smallest value of each stretch of rows, and that value."""
    starts = np.flatnonzero(begins)
    if not len(starts):
        return starts, values
    least = np.minimum.reduceat(values, starts)
    stretch = np.cumsum(begins) - 1
    candidates = np.flatnonzero(values == least[stretch])
    return candidates[np.searchsorted(stretch[candidates], np.arange(len(starts)))], least


def _kind(found: BoolArray, own: pl.Series, other: pl.Series) -> pl.Series:
    known = (own.is_not_null() & other.is_not_null()).to_numpy()
    same = own.eq_missing(other).to_numpy()
    place = np.where(found, np.where(known, np.where(same, 2, 3), 1), 0)
    return pl.Series(["none", "unknown", "in_group", "out_group"])[place]
