"""The format 'arrays': an estimator as parameters and arrays, without a line of code.

An npz archive. ``estimator.json`` holds the class name, the library's version, the parameters and
the fitted scalars; every fitted array is a member of its own, such as ``fitted.mean_.npy``. Only
the classes listed here are written or read, exactly these and none derived from them. Loading
makes the object from the list and sets its attributes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.archives import read_archive, write_archive
from mosaic_dagster.store.formats.plain import dump_array, load_array
from mosaic_dagster.store.formats.values import Array, describe_value, restore_value
from mosaic_dagster.store.formats.versions import (
    LibraryVersionWarning,
    format_version,
    library_version,
)

CLASSES: Mapping[str, str] = {
    "LinearRegression": "sklearn.linear_model",
    "LogisticRegression": "sklearn.linear_model",
    "MinMaxScaler": "sklearn.preprocessing",
    "PCA": "sklearn.decomposition",
    "PLSRegression": "sklearn.cross_decomposition",
    "Ridge": "sklearn.linear_model",
    "RobustScaler": "sklearn.preprocessing",
    "StandardScaler": "sklearn.preprocessing",
}

_DESCRIPTION = "estimator.json"
_SUFFIX = ".npy"
_LAYOUT = 1
# How many workers fit says nothing about what was fitted, and none of the classes predicts with it.
_THROUGHPUT = frozenset({"n_jobs"})


def describable(obj: Any) -> bool:
    """Whether :func:`dump_estimator` can write an object."""
    try:
        _describe(obj, {})
    except (StoreValueError, RecursionError):
        return False
    return True


def dump_estimator(obj: Any) -> bytes:
    """Archive of an estimator, fitted or not; equal estimators give equal bytes.

    Memory order of arrays is kept, so that predictions are equal bit for bit after loading.
    ``n_jobs`` is left out and comes back as its default.

    Raises
    ------
    StoreValueError
        The class is not in the list, or a parameter or attribute is neither plain nor an array
        (functions, generators of random numbers).
    """
    arrays: dict[str, Array] = {}
    description = _describe(obj, arrays)
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False)
    members = {f"{name}{_SUFFIX}": dump_array(arrays[name]) for name in sorted(arrays)}
    return write_archive({_DESCRIPTION: text.encode(), **members})


def load_estimator(data: bytes, *, limit: int | None = None) -> Any:
    """Estimator of an archive; ``limit`` bounds the size of what is unpacked.

    Raises
    ------
    StoreValueError
        The archive names a class that is not in the list, another layout, an attribute that the
        class has for itself, or is too large.
    KeyError, TypeError, ValueError, zipfile.BadZipFile
        The bytes are not such an archive.

    Warns
    -----
    LibraryVersionWarning
        Another version of the library wrote it.
    """
    members = read_archive(data, limit)
    description = json.loads(members.pop(_DESCRIPTION))
    if description["layout"] != _LAYOUT:
        msg = f"The estimator has layout {description['layout']!r}, which is not known here."
        raise StoreValueError(msg, "Load it with a newer version of mosaic_dagster.")
    cls = _listed_class(description["class"])
    _warn_of_version(description["class"], description["library"])
    arrays = {
        name.removesuffix(_SUFFIX): load_array(member, trusted=limit is None)
        for name, member in members.items()
    }
    estimator = cls(**_restore(description["parameters"], arrays))
    fitted = _restore(description["fitted"], arrays)
    for name in fitted:
        _check_attribute(cls, name)
    vars(estimator).update(fitted)
    return estimator


def _describe(obj: Any, arrays: dict[str, Array]) -> dict[str, Any]:
    _check_listed(obj)
    parameters = obj.get_params(deep=False)
    fitted = {name: value for name, value in vars(obj).items() if name not in parameters}
    kept = {name: value for name, value in parameters.items() if name not in _THROUGHPUT}
    return {
        "layout": _LAYOUT,
        "class": type(obj).__name__,
        "library": format_version(obj),
        "parameters": _describe_all(kept, "parameters", arrays),
        "fitted": _describe_all(fitted, "fitted", arrays),
    }


def _describe_all(
    values: Mapping[str, Any], where: str, arrays: dict[str, Array]
) -> dict[str, Any]:
    return {
        name: describe_value(value, f"{where}.{name}", arrays) for name, value in values.items()
    }


def _restore(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Any]:
    return {name: restore_value(value, arrays) for name, value in values.items()}


def _check_listed(obj: Any) -> None:
    cls = type(obj)
    # The name comes first, so that scikit-learn is not imported to look at something else.
    known = cls.__module__.startswith("sklearn.") and cls.__name__ in CLASSES
    if not known or cls is not _listed_class(cls.__name__):
        msg = f"A {cls.__module__}.{cls.__qualname__} cannot be stored as 'arrays'."
        raise StoreValueError(
            msg, f"Only these can: {', '.join(CLASSES)}. Use 'joblib' or 'skops'."
        )


def _listed_class(name: Any) -> type[Any]:
    if not isinstance(name, str) or name not in CLASSES:
        msg = f"The archive holds an estimator {str(name)[:80]!r}, which is not in the closed list."
        raise StoreValueError(msg, f"Only these can be loaded: {', '.join(CLASSES)}.")
    cls: type[Any] = getattr(import_module(CLASSES[name]), name)
    return cls


def _warn_of_version(name: str, recorded: Any) -> None:
    installed = f"sklearn=={library_version('sklearn')}"
    if recorded != installed:
        text = f"This {name} was stored with {str(recorded)[:40]}; loading it with {installed}."
        remedy = "Check its predictions, or fit it again."
        warnings.warn(f"{text} {remedy}", LibraryVersionWarning, stacklevel=4)


def _check_attribute(cls: type[Any], name: str) -> None:
    if not name.isidentifier() or name.startswith("__") or hasattr(cls, name):
        msg = f"The archive sets {name[:80]!r} on a {cls.__name__}, which fitting never does."
        raise StoreValueError(msg, "Do not use it; ask whoever made it for a new one.")
