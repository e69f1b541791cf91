"""CalMS21: two mice, many sequences in a file, as json or as a pickled npy file.

A file is ``{group: {sequence: {"keypoints", "scores", "annotations", "metadata"}}}`` with keypoints
by frame, animal, x and y, landmark. Animal 0 is the resident, 1 the intruder. Sequences are called
``task1/train/mouse001_…``; ``/`` becomes ``__``. Scores and annotations may be absent. The file
tells its frame rate in ``metadata`` only, as ``fps`` or ``frame_rate``, and usually not at all.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording
from mosaic_dagster.dataset.readers.json_text import Member, json_outline, walk_json
from mosaic_dagster.dataset.readers.parsed_file import PARSED
from mosaic_dagster.dataset.readers.pose_arrays import (
    NamedParams,
    mouse_names,
    number_array,
    pose_arrays,
    told_rate,
    whole_values,
)
from mosaic_dagster.dataset.readers.restricted_pickle import (
    check_allowed,
    load_pickled,
    pickled_keys,
)
from mosaic_dagster.errors import ReaderError

_FIELDS = ("keypoints", "scores", "annotations", "metadata")
_OPENS = {"keypoints": "[[[[", "scores": "[[[", "annotations": "["}
_LAYOUT = "CalMS21 is {group: {sequence: {keypoints, scores, annotations, metadata}}}."
SELECTION = re.compile(r"(?:calms21_)?(task[0-9]+)(?:_(train|test))?")


Found = tuple[tuple[str, ...], Any]
"""Names that lead to a value in a file, and the value."""


class Calms21Params(NamedParams):
    """Parameters of the readers of CalMS21.

    Attributes
    ----------
    select
        Which sequences to read, such as ``task1`` or ``calms21_task1_train``; None reads all.
    """

    select: str | None = Field(default=None, pattern=f"^{SELECTION.pattern}$")


class Calms21NpyParams(Calms21Params):
    """Parameters of :class:`Calms21Npy`.

    Attributes
    ----------
    allow_pickle
        Whether the file may be opened although it is a pickle. Only plain values and arrays
        are loaded even then.
    """

    allow_pickle: bool = False


@dataclass(frozen=True)
class Clip:
    """One sequence of a file.

    Attributes
    ----------
    group, sequence
        Names of the recording.
    source
        The sequence as the file calls it, with ``/``.
    fields
        ``keypoints``, ``scores``, ``annotations``, ``metadata``, those that are there. Arrays,
        or what the file has in their place.
    """

    group: str
    sequence: str
    source: str
    fields: Mapping[str, Any]


def json_clips(path: Path) -> tuple[Clip, ...]:
    """Sequences of a json file; a file that was parsed last is not parsed again.

    Raises
    ------
    ReaderError
        The file is no json, or not ``{group: {sequence: {…}}}``.
    """
    return _remembered(path, "calms21_json", partial(walk_json, path, 2))


def npy_clips(path: Path, *, allow_pickle: bool) -> tuple[Clip, ...]:
    """Sequences of a pickled npy file; a file that was read last is not read again.

    Raises
    ------
    ReaderError
        Pickles are not allowed, the file is damaged, or not ``{group: {sequence: {…}}}``.
    """
    check_allowed(path, allow_pickle=allow_pickle)
    return _remembered(path, "calms21_npy", lambda: _walk(load_pickled(path, allow_pickle=True)))


def annotation_array(annotations: Any, where: str) -> NDArray[np.int64]:
    """Classes by frame: [T], or the first column of [T, k].

    Raises
    ------
    ReaderError
        They are no whole numbers, or have another shape.
    """
    values = number_array(annotations, f"{where}, annotations")
    if values.ndim == 2 and values.shape[1]:
        values = values[:, 0]
    whole = whole_values(values)
    if whole.ndim != 1 or whole.dtype != np.int64:
        msg = f"{where}: annotations of shape {values.shape} are not one whole number per frame."
        raise ReaderError(msg, "They are class numbers: [frame], or [frame][annotator].")
    return whole


def _walk(content: Any) -> Iterator[Found]:
    if not isinstance(content, dict):
        yield (), content
        return
    for group, sequences in content.items():
        if not isinstance(sequences, dict):
            yield (group,), sequences
            continue
        for source, fields in sequences.items():
            yield (group, source), fields


def _remembered(path: Path, parser: str, load: Callable[[], Iterator[Found]]) -> tuple[Clip, ...]:
    try:
        return PARSED.get(path, parser, lambda: tuple(_clips(load(), path)))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error


def _clips(found: Iterator[Found], path: Path) -> Iterator[Clip]:
    """Turn the sequences of a file into clips, and their nested lists into arrays."""
    taken: dict[tuple[str, str], str] = {}
    for names, fields in found:
        if len(names) < 2 or not isinstance(fields, dict):
            where = ", ".join([str(path), *map(repr, names)])
            msg = f"{where} is no object of named members, but {type(fields).__name__}."
            raise ReaderError(msg, _LAYOUT)
        group, source = str(names[0]), str(names[1])
        sequence = source.replace("/", "__")
        if (group, sequence) in taken:
            msg = f"{path}: {source!r} and {taken[group, sequence]!r} are both called {sequence!r}."
            raise ReaderError(msg, "Rename one of them in the file.")
        taken[group, sequence] = source
        yield Clip(group, sequence, source, _compact(fields))


def _compact(fields: dict[str, Any]) -> dict[str, Any]:
    """Take what is used out of the fields of a sequence, as arrays where it makes arrays."""
    kept = {name: fields.get(name) for name in _FIELDS if fields.get(name) is not None}
    for name in _OPENS:
        if isinstance(kept.get(name), list):
            try:
                kept[name] = np.asarray(kept[name], dtype=np.float64)
            except (ValueError, TypeError):
                continue  # told when this sequence is read; the others are fine
    return kept


def is_selected(source: str, select: str | None) -> bool:
    """Whether a sequence, as the file calls it, is among those that ``select`` names."""
    match = SELECTION.fullmatch(select or "")
    if match is None:
        return True
    task, part = match.groups()
    return source.startswith(f"{task}/") and (part is None or f"/{part}/" in source)


def _recording(clip: Clip, path: Path, params: ReaderParams) -> Recording:
    where = f"{path}, sequence {clip.source!r}"
    arrays = pose_arrays(clip.fields, where)
    frames, animals, _, landmarks = arrays.keypoints.shape
    table = arrays.table()
    if "annotations" in clip.fields:
        label = annotation_array(clip.fields["annotations"], where)
        if len(label) != frames:
            msg = f"{where} has {frames} frames and {len(label)} annotations."
            raise ReaderError(msg, "There must be one for each frame.")
        table = table.with_columns(label=pl.Series(np.tile(label, animals), dtype=pl.Int64))
    wanted = params.names if isinstance(params, NamedParams) else ()
    return Recording(
        clip.sequence,
        clip.group,
        table,
        mouse_names(landmarks, wanted, where),
        fps=told_rate(clip.fields.get("metadata"), where),
    )


class _Calms21(ABC):
    """What both readers of CalMS21 do alike."""

    version: ClassVar[str] = "1"
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = Calms21Params

    @abstractmethod
    def clips(self, path: Path, params: ReaderParams) -> tuple[Clip, ...]:
        """All sequences of the file."""

    def sequences(self, path: Path) -> list[Names]:
        """All sequences of the file."""
        return self.listed(path, self.params())

    def listed(self, path: Path, params: ReaderParams) -> list[Names]:
        """Sequences of the file that ``select`` names.

        Raises
        ------
        ReaderError
            The file cannot be read, or ``select`` names none of its sequences.
        """
        return [(clip.group, clip.sequence) for clip in self._selected(path, params)]

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints of the first sequence."""
        first = next(iter(self._selected(path, params)), None)
        return () if first is None else _recording(first, path, params).keypoints

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read all sequences that ``select`` names.

        The class of each frame is kept in the column ``label``, for every animal alike, as the
        file numbers it; a sequence without annotations has no such column.

        Raises
        ------
        ReaderError
            The file, or one of its sequences, cannot be read.
        """
        return [_recording(clip, path, params) for clip in self._selected(path, params)]

    def read_one(self, path: Path, params: ReaderParams, names: Names) -> Recording:
        """Read one sequence; what is wrong with others does not matter.

        Raises
        ------
        ReaderError
            The file has no such sequence, or its arrays do not fit each other.
        """
        for clip in self.clips(path, params):
            if (clip.group, clip.sequence) == names:
                return _recording(clip, path, params)
        msg = f"{path} has no sequence {names[1]!r} in group {names[0]!r}."
        raise ReaderError(msg, "Was the file changed? Scan the sources again.")

    def _selected(self, path: Path, params: ReaderParams) -> Sequence[Clip]:
        select = params.select if isinstance(params, Calms21Params) else None
        clips = self.clips(path, params)
        found = [clip for clip in clips if is_selected(clip.source, select)]
        if clips and not found:
            msg = f"{path} has no sequences of {select!r}; one is {clips[0].source!r}."
            raise ReaderError(msg, "Change select, or leave it out to read all.")
        return found


class Calms21Json(_Calms21):
    """Reads ``calms21_task1_train.json`` and its like."""

    name: ClassVar[str] = "calms21_json"
    extensions: ClassVar[tuple[str, ...]] = (".json",)

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with a group, a sequence and one of its arrays."""
        members = json_outline(path)
        outer = [member for member in members if len(member.path) < 3]
        inner = [member for member in members if len(member.path) == 3]
        nested = bool(inner) and all(member.opens == "{" for member in outer)
        return nested and inner[0].path[2] in _FIELDS and any(map(_is_field, inner))

    def clips(self, path: Path, params: ReaderParams) -> tuple[Clip, ...]:  # noqa: ARG002
        """All sequences of the file."""
        return json_clips(path)


class Calms21Npy(_Calms21):
    """Reads ``calms21_task1_train.npy`` and its like, which are pickles: see ``allow_pickle``."""

    name: ClassVar[str] = "calms21_npy"
    extensions: ClassVar[tuple[str, ...]] = (".npy",)
    params: ClassVar[type[ReaderParams]] = Calms21NpyParams

    def sniff(self, path: Path) -> bool:
        """Whether the file is a pickle of dicts in dicts in a dict, judged without loading it."""
        keys = pickled_keys(path)
        return (1, "sequences") not in keys and any((3, field) in keys for field in _OPENS)

    def clips(self, path: Path, params: ReaderParams) -> tuple[Clip, ...]:
        """All sequences of the file."""
        allowed = isinstance(params, Calms21NpyParams) and params.allow_pickle
        return npy_clips(path, allow_pickle=allowed)


def _is_field(member: Member) -> bool:
    opens = _OPENS.get(member.path[2])
    return opens is not None and member.opens.startswith(opens) and "{" not in member.opens
