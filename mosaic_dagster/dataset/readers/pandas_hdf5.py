"""Tables of numbers that pandas stored in HDF5, without pandas.

pandas has two layouts. *Fixed*: an array per block of columns, names as levels and codes.
*Table*: one array of records, names in an attribute that Python pickled. Unpickling can run code,
so that attribute is not unpickled: its opcodes are read one by one, and only those that make
lists, tuples, texts and numbers are known here.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mosaic_dagster.dataset.readers.hdf5 import attribute, find, read_array, read_texts
from mosaic_dagster.errors import ReaderError

Column = tuple[str, ...]

_MARK = object()
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


@dataclass(frozen=True)
class PandasFrame:
    """A table that pandas stored.

    Attributes
    ----------
    columns
        The name of each column, one text per level.
    index
        Number of each row, shape (rows,).
    values
        Shape (rows, columns).
    """

    columns: tuple[Column, ...]
    index: NDArray[np.int64]
    values: NDArray[np.float64]


def frame_keys(file: Any) -> list[str]:
    """Under which keys pandas stored tables in an open file, sorted."""
    return sorted(_frame_keys(file, ""))


def frame_columns(group: Any) -> tuple[Column, ...]:
    """Names of the columns of a stored table, from its header alone.

    Raises
    ------
    ReaderError
        They are not stored in a form that is known here.
    """
    if find(group, "table") is None:
        return _fixed_columns(group, "axis0")
    axes = _literal(group, "non_index_axes")
    names = [name for axis, name in _pairs(axes) if axis == 1]
    if len(names) != 1 or not isinstance(names[0], list):
        raise _unknown(group, "'non_index_axes' does not name columns")
    return tuple(_column(name) for name in names[0])


def read_frame(group: Any) -> PandasFrame:
    """Read a stored table.

    Parameters
    ----------
    group
        What an open file holds under one of :func:`frame_keys`.

    Raises
    ------
    ReaderError
        The rows are not numbered, the columns are not numbers, or the layout is not known.
    """
    index = _index(group)
    columns = frame_columns(group)
    blocks = _fixed_blocks(group) if find(group, "table") is None else _table_blocks(group)
    values = dict(blocks)
    if set(values) != set(columns) or any(len(column) != len(index) for column in values.values()):
        raise _unknown(group, "its columns do not fit its header")
    stacked = [values[column] for column in columns]
    shape = (len(index), len(columns))
    return PandasFrame(columns, index, np.stack(stacked, axis=1) if stacked else np.empty(shape))


def _frame_keys(group: Any, above: str) -> Iterator[str]:
    for name in group:
        node = find(group, name)
        if node is None or not hasattr(node, "keys"):
            continue
        if str(attribute(node, "pandas_type") or "").startswith("frame"):
            yield f"{above}{name}"
        else:
            yield from _frame_keys(node, f"{above}{name}/")


def _index(group: Any) -> NDArray[np.int64]:
    if find(group, "table") is not None:
        records = read_array(group, "table", 1)
        names = records.dtype.names or ()
        values = records["index"] if "index" in names else np.array("")
    elif find(group, "axis1") is not None:
        values = read_array(group, "axis1", 1)
    else:
        values = np.array("")
    if values.dtype.kind not in "iuf" or not np.array_equal(values, np.round(values)):
        msg = f"{group.file.filename}: the rows of {group.name} are not numbered by frame."
        remedy = "Annotations of single pictures are no recording; give the tracks of a video."
        raise ReaderError(msg, remedy)
    return values.astype(np.int64)


def _fixed_columns(group: Any, axis: str) -> tuple[Column, ...]:
    n_levels = attribute(group, f"{axis}_nlevels")
    if not isinstance(n_levels, int) or n_levels < 1:
        if find(group, axis) is None:
            raise _unknown(group, f"it has no {axis!r}")
        return tuple((name,) for name in read_texts(group, axis))
    levels = [read_texts(group, f"{axis}_level{level}") for level in range(n_levels)]
    codes = [read_array(group, f"{axis}_label{level}", 1) for level in range(n_levels)]
    for names, places in zip(levels, codes, strict=True):
        if places.size and not 0 <= places.min() <= places.max() < len(names):
            raise _unknown(group, f"a column of {axis!r} has no name")
    named = [
        [names[int(place)] for place in places] for names, places in zip(levels, codes, strict=True)
    ]
    if len({len(names) for names in named}) != 1:
        raise _unknown(group, f"the levels of {axis!r} differ in length")
    return tuple(zip(*named, strict=True))


def _fixed_blocks(group: Any) -> Iterator[tuple[Column, NDArray[np.float64]]]:
    n_blocks = attribute(group, "nblocks")
    for block in range(n_blocks if isinstance(n_blocks, int) else 0):
        names = _fixed_columns(group, f"block{block}_items")
        values = _numbers(group, read_array(group, f"block{block}_values", 2))
        if not attribute(find(group, f"block{block}_values"), "transposed"):
            values = values.T
        if values.shape[1] != len(names):
            raise _unknown(group, f"block {block} has {values.shape[1]} columns")
        yield from ((name, values[:, place]) for place, name in enumerate(names))


def _table_blocks(group: Any) -> Iterator[tuple[Column, NDArray[np.float64]]]:
    table, records = find(group, "table"), read_array(group, "table", 1)
    for field in records.dtype.names or ():
        if field == "index":
            continue
        names = _literal(table, f"{field}_kind")
        values = _numbers(group, records[field].reshape(len(records), -1))
        if not isinstance(names, list) or values.shape[1] != len(names):
            raise _unknown(group, f"{field!r} does not fit its names")
        yield from ((_column(name), values[:, place]) for place, name in enumerate(names))


def _numbers(group: Any, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise _unknown(group, f"it holds {values.dtype}, not numbers")
    return values.astype(np.float64)


def _column(name: Any) -> Column:
    return tuple(map(str, name)) if isinstance(name, tuple) else (str(name),)


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    for item in value if isinstance(value, list) else []:
        if isinstance(item, tuple) and len(item) == 2:
            yield item[0], item[1]


def _unknown(group: Any, problem: str) -> ReaderError:
    msg = f"{group.file.filename}: {group.name} is a table in a form that is not known: {problem}."
    return ReaderError(msg, "Save it again, with pandas' DataFrame.to_hdf, or as csv.")


def _literal(node: Any, name: str) -> Any:
    """Lists, tuples, texts and numbers from a pickled attribute, without running anything."""
    stored = attribute(node, name)
    if not isinstance(stored, str):
        raise _unknown(node, f"the attribute {name!r} is missing")
    try:
        return parse_literal(stored.encode())
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise _unknown(node, f"the attribute {name!r} cannot be read ({error})") from error


def parse_literal(data: bytes) -> Any:
    """Build the value of a pickle that holds lists, tuples, texts and numbers only.

    Raises
    ------
    ValueError
        Any other opcode is in it, such as those that name or call something. Damage may also
        end in an IndexError, KeyError, TypeError or AttributeError.
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _PUT:
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _GET:
            stack.append(memo[argument])
        elif name in _VALUES:
            stack.append(argument)
        elif name not in _IGNORED:
            _build(name, stack)
    return stack.pop()


def _build(opcode: str, stack: list[Any]) -> None:
    """Do what an opcode says that makes or fills a list or a tuple."""
    if opcode in _CONSTANTS:
        stack.append(_CONSTANTS[opcode])
    elif opcode == "MARK":
        stack.append(_MARK)
    elif opcode == "EMPTY_LIST":
        stack.append([])
    elif opcode in _TUPLES:
        start = len(stack) - _TUPLES[opcode]
        stack[start:] = [tuple(stack[start:])]
    elif opcode == "APPEND":
        last = stack.pop()
        stack[-1].append(last)
    elif opcode in {"LIST", "TUPLE", "APPENDS"}:
        start = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[start + 1 :]
        del stack[start:]
        if opcode == "APPENDS":
            stack[-1].extend(items)
        else:
            stack.append(items if opcode == "LIST" else tuple(items))
    else:
        msg = f"the opcode {opcode} is not one of plain values"
        raise ValueError(msg)
