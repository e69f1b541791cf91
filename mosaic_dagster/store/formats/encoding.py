"""From an object to the bytes of an artifact and back, by the name of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from mosaic_dagster.errors import StoreError, StoreValueError, UntrustedArtifactError
from mosaic_dagster.store.formats import pickles, plain
from mosaic_dagster.store.formats.archives import FOREIGN_LIMIT
from mosaic_dagster.store.formats.estimators import describable, dump_estimator, load_estimator
from mosaic_dagster.store.formats.skops_files import dump_skops, load_skops

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "arrays": "npz",
        "cloudpickle": "pkl",
        "joblib": "joblib",
        "json": "json",
        "npy": "npy",
        "pickle": "pkl",
        "skops": "skops",
    }
)
FORMATS: tuple[str, ...] = tuple(EXTENSIONS)

_RUN_CODE = frozenset({"cloudpickle", "joblib", "pickle"})
_WRITERS: Mapping[str, Callable[[Any], bytes]] = {
    "arrays": dump_estimator,
    "cloudpickle": pickles.dump_cloudpickle,
    "joblib": pickles.dump_joblib,
    "json": plain.dump_json,
    "npy": plain.dump_array,
    "pickle": pickles.dump_pickle,
    "skops": dump_skops,
}
_OTHER = {"joblib": "cloudpickle", "pickle": "cloudpickle", "cloudpickle": "json or npy"}


@dataclass(frozen=True)
class Encoded:
    """The bytes of an object, the format that reads them and the extension of their file.

    Attributes
    ----------
    data
        The bytes.
    format
        One of ``FORMATS``.
    ext
        Extension of the file, without a dot.
    """

    data: bytes
    format: str
    ext: str


def encode(obj: Any, format: str = "auto") -> Encoded:
    """Serialise an object.

    Parameters
    ----------
    obj
        Any object that the format can hold; arrays keep shape, type, memory order and NaN.
    format
        One of ``FORMATS``, or 'auto': arrays as 'npy', the estimators that can be described
        as 'arrays', everything else as 'joblib'.

    Raises
    ------
    StoreValueError
        The format is unknown, or cannot hold the object.
    """
    chosen = _chosen_format(obj) if format == "auto" else _known(format)
    try:
        data = _WRITERS[chosen](obj)
    except (StoreError, Warning, MemoryError):
        raise
    except Exception as error:  # an object may raise anything when it is serialised
        msg = f"A {type(obj).__qualname__} cannot be stored as {chosen!r}: {_reason(error)}"
        remedy = f"Use another format, such as {_OTHER.get(chosen, 'joblib')}."
        raise StoreValueError(msg, remedy) from error
    return Encoded(data, chosen, EXTENSIONS[chosen])


def decode(
    data: bytes,
    format: str,
    *,
    trusted: bool = True,
    trusted_types: Sequence[str] | None = None,
) -> Any:
    """Make the object again.

    Parameters
    ----------
    data
        Bytes that :func:`encode` made.
    format
        The format that it chose; never 'auto'.
    trusted
        Whether the bytes may run code. Without trust, archives are also refused that would unpack
        to more than 2 GiB.
    trusted_types
        Full names of the types that a skops file may hold beside those that skops trusts; None
        for the list of our own workspaces.

    Raises
    ------
    UntrustedArtifactError
        The format runs code and ``trusted`` is false, or a skops file holds other types. Nothing
        was deserialised.
    StoreValueError
        The format is unknown, or the bytes are not of that format.

    Warns
    -----
    LibraryVersionWarning
        An estimator was stored as 'arrays' with another version of its library.
    """
    if runs_code(format) and not trusted:
        msg = f"Loading {format!r} bytes can run any code, and nobody said to trust them."
        raise UntrustedArtifactError(msg, "Pass trusted=True if you know who made them.")
    try:
        return _read(data, format, trusted, trusted_types)
    except (StoreError, Warning):
        raise
    except Exception as error:  # damaged bytes fail anywhere in a reader
        msg = f"The bytes cannot be read as {format!r}: {_reason(error)}"
        remedy = "Check that the format is right, and `mosaic store verify` for damage."
        raise StoreValueError(msg, remedy) from error


def runs_code(format: str) -> bool:
    """Whether loading a format can run code that its bytes name.

    Raises
    ------
    StoreValueError
        The format is unknown.
    """
    return _known(format) in _RUN_CODE


def _read(data: bytes, format: str, trusted: bool, types: Sequence[str] | None) -> Any:
    limit = None if trusted else FOREIGN_LIMIT
    match format:
        case "arrays":
            return load_estimator(data, limit=limit)
        case "joblib":
            return pickles.load_joblib(data)
        case "json":
            return plain.load_json(data)
        case "npy":
            return plain.load_array(data, trusted=trusted)
        case "skops":
            return load_skops(data, types, limit)
    return pickles.load_pickle(data)


def _chosen_format(obj: Any) -> str:
    if type(obj) is np.ndarray and not obj.dtype.hasobject:
        return "npy"
    return "arrays" if describable(obj) else "joblib"


def _known(format: str) -> str:
    if format not in EXTENSIONS:
        msg = f"There is no artifact format {format!r}."
        raise StoreValueError(msg, f"Use one of {', '.join(FORMATS)}.")
    return format


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}." if text else f"{type(error).__name__}."
