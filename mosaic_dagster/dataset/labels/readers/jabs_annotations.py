"""Labels of JABS, ``annotations/<video>.json``: blocks of frames by identity and behaviour.

A block says that the behaviour is there or that it is not; frames in no block are unlabelled, which
is a third thing. The last frame of a block belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from mosaic_dagster.dataset.labels.behavior import NOBODY, Labels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.readers.base import Names, one_sequence
from mosaic_dagster.dataset.readers.json_text import json_outline, read_json
from mosaic_dagster.errors import ReaderError

_LAYOUT = "JABS writes {num_frames, labels: {identity: {behaviour: [{start, end, present}]}}}."


class JabsLabelParams(LabelReaderParams):
    """Parameters of :class:`JabsAnnotations`.

    Attributes
    ----------
    behavior
        The behaviour to read; None takes the only one of the file.
    """

    behavior: str | None = None


class JabsAnnotations:
    """Reads label files of JABS; one recording in each, called as the file."""

    name: ClassVar[str] = "jabs_annotations"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".json",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = JabsLabelParams

    def sniff(self, path: Path) -> bool:
        """Whether it begins with labels and the number of frames, or with labels of identities."""
        opens = {member.path: member.opens for member in json_outline(path)}
        blocks = any(
            len(name) == 3 and name[0].endswith("labels") and text.startswith("[")
            for name, text in opens.items()
        )
        return opens.get(("labels",), "").startswith("{") and (blocks or ("num_frames",) in opens)

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:  # noqa: ARG002
        """One recording, called as the file."""
        return one_sequence(path)

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of one behaviour: class 0 ``not_<behaviour>`` and class 1 ``<behaviour>``.

        Identities are the individuals of the same numbers.

        Raises
        ------
        ReaderError
            The file has another layout, several behaviours and none was chosen, or a block
            beyond its frames.
        """
        content = read_json(path)
        labels = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(labels, dict) or not all(isinstance(v, dict) for v in labels.values()):
            msg = f"{path} has no object 'labels' of identities."
            raise ReaderError(msg, _LAYOUT)
        frames = _frames(path, content)
        asked = params.behavior if isinstance(params, JabsLabelParams) else None
        behavior, others = _behavior(path, labels, asked)
        spans = [
            (first, after, _identity(path, name), NOBODY, present)
            for name, behaviors in labels.items()
            for first, after, present in _blocks(path, name, behaviors.get(behavior, []), frames)
        ]
        notes: dict[str, object] = {"frames_told": frames}
        notes |= {"behaviors_left_out": others} if others else {}
        names = {0: f"not_{behavior}", 1: behavior}
        made = Labels.from_spans(spans, names, fps=params.fps)
        return [LabelledRecording(path.stem, None, made, notes)]


def _frames(path: Path, content: Mapping[str, Any]) -> int:
    frames = _count(content, "num_frames")
    if frames is None:
        msg = f"{path}: num_frames is {content.get('num_frames')!r}."
        raise ReaderError(msg, _LAYOUT)
    return frames


def _behavior(
    path: Path, labels: Mapping[str, Mapping[str, Any]], asked: str | None
) -> tuple[str, list[str]]:
    there = sorted({behavior for behaviors in labels.values() for behavior in behaviors})
    if asked is None and len(there) == 1:
        return there[0], []
    if not there or (asked is not None and asked not in there):
        what = "labels of any behaviour" if asked is None else f"labels of {asked!r}"
        msg = f"{path} has no {what}."
        has = f"It has labels of: {', '.join(there)}." if there else "No identity has a label."
        raise ReaderError(msg, has)
    if asked is None:
        msg = f"{path} has labels of several behaviours: {', '.join(there)}."
        raise ReaderError(msg, "Choose one with the reader's parameter behavior.")
    return asked, [name for name in there if name != asked]


def _identity(path: Path, name: str) -> int:
    if not name.isdecimal():
        msg = f"{path}: the identity {name!r} is no number."
        raise ReaderError(msg, "Identities are '0', '1', …, as in the pose file.")
    return int(name)


def _blocks(path: Path, identity: str, blocks: Any, frames: int) -> Iterator[tuple[int, int, int]]:
    """First frame of each block, the frame after its last, and whether the behaviour is there."""
    for block in blocks if isinstance(blocks, list) else [blocks]:
        fields = block if isinstance(block, dict) else {}
        start, end, present = _count(fields, "start"), _count(fields, "end"), fields.get("present")
        if start is None or end is None or not isinstance(present, bool):
            msg = f"{path}: identity {identity} has the block {str(block)[:60]}."
            raise ReaderError(msg, _LAYOUT)
        if not start <= end < frames:
            msg = (
                f"{path}: identity {identity} has a block from frame {start} to {end}, "
                f"in {frames} frames."
            )
            raise ReaderError(msg, "Is it the label file of another video?")
        yield start, end + 1, int(present)


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None
