"""Plain csv: one row per animal and frame, two columns per keypoint.

The header is ``frame``, optionally ``id`` (or ``track``) and ``time`` (s), then ``<keypoint>_x``,
``<keypoint>_y`` and optionally ``<keypoint>_p`` (or ``_confidence``, ``_likelihood``) in any
order; ``X``, ``Y`` give a centre. Keypoints are numbered as they first appear. An empty cell is
missing. Ids that are whole numbers are taken as they are; names are numbered as they first appear
and kept in the column ``individual``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from mosaic_dagster.dataset.readers.base import (
    Names,
    ReaderParams,
    Recording,
    one_sequence,
)
from mosaic_dagster.dataset.readers.csv_text import (
    CsvText,
    cell_error,
    check_header,
    parse_numbers,
    read_csv_text,
    read_head,
    whole_numbers,
)
from mosaic_dagster.errors import ReaderError

_PARTS = {"_x": "X", "_y": "Y", "_p": "P", "_confidence": "P", "_likelihood": "P"}
_PLAIN = ("frame", "id", "track", "time", "X", "Y")


class KeypointCsvParams(ReaderParams):
    """Parameters of :class:`KeypointCsv`.

    Attributes
    ----------
    ignore
        Columns that are neither frame, identity, time nor keypoint, and are left out.
    """

    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Header:
    """Where what stands: number of the column by its name in a tracks table."""

    columns: dict[str, int]
    keypoints: tuple[str, ...]
    names: tuple[str, ...]


class KeypointCsv:
    """Reads csv files with a ``frame`` column and named keypoints."""

    name: ClassVar[str] = "keypoint_csv"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".csv",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = KeypointCsvParams

    def sniff(self, path: Path) -> bool:
        """Whether the first line names keypoints; what is wrong with it is told by reading."""
        header = next(iter(read_head(path, 1)), [])
        has_keypoints = any(cell.endswith(("_x", "_y")) for cell in header)
        return has_keypoints or {"frame", "X"} <= set(header)

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Keypoints of the header in the order of their first column."""
        header = next(iter(read_head(path, 1)), [])
        skipped = (*_PLAIN, *(params.ignore if isinstance(params, KeypointCsvParams) else ()))
        named = [split_keypoint(name) for name in header if name not in skipped]
        return tuple(dict.fromkeys(keypoint for keypoint, part in named if part in ("X", "Y")))

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file; a header without rows is an empty recording.

        Raises
        ------
        ReaderError
            The header is not as described above, a line has too few or too many cells, or a
            cell holds text where a number belongs.
        """
        ignore = params.ignore if isinstance(params, KeypointCsvParams) else ()
        text = read_csv_text(path)
        header = _read_header(text, ignore)
        cells = text.body(1, len(header.names))
        columns = [_frames(text, header, cells), *_identity(text, header, cells)]
        columns += [
            _numbers(text, header, cells, target)
            for target in header.columns
            if target not in ("frame", "id")
        ]
        table = pl.DataFrame(columns)
        return [Recording(path.stem, None, table, header.keypoints)]


def split_keypoint(name: str) -> tuple[str, str]:
    """Keypoint and part (X, Y, P) that a column is about; the part is empty when it is neither."""
    for ending, part in _PARTS.items():
        if name.endswith(ending) and len(name) > len(ending):
            return name.removesuffix(ending), part
    return name, ""


def _read_header(text: CsvText, ignore: Sequence[str]) -> _Header:
    names = text.cells(0)
    check_header(text, names)
    if "frame" not in names:
        msg = f"{text.path}, line {text.numbers[0]}: the header has no column 'frame'."
        raise ReaderError(msg, _header_hint(names))
    if "id" in names and "track" in names:
        msg = f"{text.path}: the header has both 'id' and 'track'."
        raise ReaderError(msg, "Keep the one that tells the animals apart.")
    columns: dict[str, int] = {}
    keypoints: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in ignore:
            continue
        if name in _PLAIN:
            columns["id" if name == "track" else name] = place
            continue
        keypoint, part = split_keypoint(name)
        target = f"pose{part}{keypoints.setdefault(keypoint, len(keypoints))}"
        _check_column(text, name, part, columns.get(target), names)
        columns[target] = place
    _check_partners(text, columns, tuple(keypoints))
    return _Header(columns, tuple(keypoints), tuple(names))


def _check_column(
    text: CsvText, name: str, part: str, taken: int | None, names: Sequence[str]
) -> None:
    if not part:
        msg = f"{text.path}: the column {name!r} is neither frame, id, time nor a keypoint's."
        raise ReaderError(
            msg, f"Call it <keypoint>_x, _y or _p, or leave it out with ignore=[{name!r}]."
        )
    if taken is not None:
        msg = f"{text.path}: the columns {names[taken]!r} and {name!r} say the same."
        raise ReaderError(msg, "Keep one of them.")


def _check_partners(text: CsvText, columns: dict[str, int], keypoints: Sequence[str]) -> None:
    pairs = [(f"{name}_", f"pose{{}}{k}") for k, name in enumerate(keypoints)]
    for name, target in [*pairs, ("", "{}")]:
        has = {part: target.format(part) in columns for part in ("X", "Y")}
        label = {part: f"{name}{part.lower()}" if name else part for part in has}
        if has["X"] != has["Y"]:
            here, gone = ("X", "Y") if has["X"] else ("Y", "X")
            msg = f"{text.path}: the column {label[here]!r} is there without {label[gone]!r}."
            raise ReaderError(msg, "Give both coordinates of a point, or neither.")
        if name and not has["X"]:
            msg = f"{text.path}: there is a confidence of {name.rstrip('_')!r} without coordinates."
            raise ReaderError(msg, "Give its coordinates, or leave the column out with ignore=….")
    if not keypoints and "X" not in columns:
        msg = f"{text.path}: the header has no coordinates."
        raise ReaderError(msg, "Call them <keypoint>_x and <keypoint>_y.")


def _header_hint(names: Sequence[str]) -> str:
    line = ", ".join(names)
    if len(names) == 1 and (";" in line or "\t" in line):
        return "The cells are not separated by commas; export the file with commas."
    shown = line if len(line) < 80 else f"{line[:77]}..."
    return f"The first line must name the columns; it is: {shown}"


def _frames(text: CsvText, header: _Header, cells: pl.DataFrame) -> pl.Series:
    return whole_numbers(text, cells[str(header.columns["frame"])], "frame", 1)


def _identity(text: CsvText, header: _Header, cells: pl.DataFrame) -> list[pl.Series]:
    """``id``, and ``individual`` where the file gives names."""
    if "id" not in header.columns:
        return [pl.Series("id", [0] * cells.height, pl.Int64)]
    names = cells[str(header.columns["id"])]
    empty = names == ""
    if empty.any():
        column = header.names[header.columns["id"]]
        raise cell_error(text, names, int(empty.arg_true()[0]), column, 1, "a name or a number")
    numbers = names.cast(pl.Int64, strict=False)
    if not numbers.null_count() and not (numbers < 0).any():
        return [numbers.alias("id")]
    order = names.unique(maintain_order=True)
    ids = names.replace_strict(order, pl.Series(range(len(order)), dtype=pl.Int64))
    return [ids.alias("id"), names.alias("individual")]


def _numbers(text: CsvText, header: _Header, cells: pl.DataFrame, target: str) -> pl.Series:
    place = header.columns[target]
    column = cells[str(place)]
    numbers, wrong = parse_numbers(column)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise cell_error(text, column, row, header.names[place], 1, "a number, or empty if missing")
    return numbers.alias(target)
