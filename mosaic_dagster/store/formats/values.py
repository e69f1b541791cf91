"""Parameters and fitted values as JSON, with their arrays beside it.

Plain values stand for themselves. What JSON lacks is a mapping with ``kind``: ``tuple``, ``map``,
``float`` (not finite), ``scalar`` (of numpy), ``array`` (a member of the archive, with the step
between its rows or columns where there are gaps) and ``objects`` (an array of text or other plain
values). Nothing here names a class, so nothing can run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from mosaic_dagster.errors import StoreValueError

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = MutableMapping[str, Array]

_PLAIN = (type(None), bool, int, str)
_SCALARS: Mapping[str, type[np.generic]] = {
    np.dtype(scalar).name: scalar
    for scalar in (
        *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32),
        *(np.uint64, np.float16, np.float32, np.float64),
    )
}


def describe_value(value: Any, where: str, arrays: Arrays) -> Any:
    """JSON form of a value; its arrays are added to ``arrays`` under names made of ``where``.

    Raises
    ------
    StoreValueError
        The value, or one inside it, is neither plain nor an array: a function, a generator of
        random numbers, a sparse matrix.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _DESCRIBERS:
        return _DESCRIBERS[kind](value, where, arrays)
    if _SCALARS.get(_scalar_name(value)) is kind:
        item = describe_value(value.item(), where, arrays)
        return {"kind": "scalar", "type": _scalar_name(value), "value": item}
    msg = f"{where} is a {kind.__module__}.{kind.__qualname__}, which is not plain data."
    raise StoreValueError(msg, "Use format 'skops' or 'joblib' for this object.")


def restore_value(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Undo :func:`describe_value`.

    Raises
    ------
    KeyError, TypeError, ValueError
        The description is not one that :func:`describe_value` made.
    """
    if isinstance(value, list):
        return [restore_value(item, arrays) for item in value]
    if isinstance(value, dict):
        return _RESTORERS[value["kind"]](value, arrays)
    return value


def _scalar_name(value: Any) -> str:
    return value.dtype.name if isinstance(value, np.generic) else ""


def _describe_float(value: float, where: str, arrays: Arrays) -> Any:  # noqa: ARG001
    return value if math.isfinite(value) else {"kind": "float", "text": repr(value)}


def _describe_list(value: list[Any], where: str, arrays: Arrays) -> Any:
    return [describe_value(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]


def _describe_tuple(value: tuple[Any, ...], where: str, arrays: Arrays) -> Any:
    return {"kind": "tuple", "items": _describe_list(list(value), where, arrays)}


def _describe_map(value: dict[Any, Any], where: str, arrays: Arrays) -> Any:
    pairs = [[key, item] for key, item in value.items()]
    return {"kind": "map", "items": _describe_list(pairs, where, arrays)}


def _describe_array(value: Array, where: str, arrays: Arrays) -> Any:
    if not value.dtype.hasobject:
        arrays[where] = np.asarray(value) if _contiguous(value) else np.ascontiguousarray(value)
        return {"kind": "array", "name": where, **_gaps(value)}
    items = value.ravel().tolist()
    for item in items:
        if type(item) not in (*_PLAIN, float):
            msg = f"{where} is an array with a {type(item).__name__} in it."
            raise StoreValueError(msg, "Use format 'skops' or 'joblib' for this object.")
    described = _describe_list(items, where, arrays)
    return {"kind": "objects", "shape": list(value.shape), "items": described}


def _contiguous(array: Array) -> bool:
    return bool(array.flags.c_contiguous or array.flags.f_contiguous)


def _gaps(array: Array) -> dict[str, Any]:
    """Memory order and step, in items, of a matrix that is a part of a larger one.

    The last bits of a matrix product depend on both: BLAS sees the larger matrix.
    """
    if array.ndim != 2 or array.size == 0 or _contiguous(array):
        return {}
    order, long, short = ("C", 0, 1) if array.strides[0] > array.strides[1] else ("F", 1, 0)
    step, rest = divmod(array.strides[long], array.itemsize)
    fits = array.strides[short] == array.itemsize and rest == 0 and step >= array.shape[short]
    return {"order": order, "step": step} if fits else {}


def _restore_float(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> float:  # noqa: ARG001
    return float(value["text"])


def _restore_tuple(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Any, ...]:
    return tuple(restore_value(item, arrays) for item in value["items"])


def _restore_map(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[Any, Any]:
    return {restore_value(k, arrays): restore_value(item, arrays) for k, item in value["items"]}


def _restore_scalar(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> Any:
    scalar: Any = _SCALARS[value["type"]]
    return scalar(restore_value(value["value"], arrays))


def _restore_array(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> Array:
    array = arrays[value["name"]]
    if "step" not in value:
        return array
    rows, columns = array.shape
    if value["order"] == "C":
        part = np.empty((rows, value["step"]), array.dtype)[:, :columns]
    else:
        part = np.empty((value["step"], columns), array.dtype, order="F")[:rows]
    part[...] = array
    return part


def _restore_objects(value: Mapping[str, Any], arrays: Mapping[str, Array]) -> Array:
    flat = np.empty(len(value["items"]), dtype=object)
    flat[:] = [restore_value(item, arrays) for item in value["items"]]
    return flat.reshape(value["shape"])


_DESCRIBERS: Mapping[type, Callable[[Any, str, Arrays], Any]] = {
    float: _describe_float,
    list: _describe_list,
    tuple: _describe_tuple,
    dict: _describe_map,
    np.ndarray: _describe_array,
    np.memmap: _describe_array,
}
_RESTORERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Array]], Any]] = {
    "float": _restore_float,
    "tuple": _restore_tuple,
    "map": _restore_map,
    "scalar": _restore_scalar,
    "array": _restore_array,
    "objects": _restore_objects,
}
