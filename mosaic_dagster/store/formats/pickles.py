"""The formats that can hold any Python object, and run any code when they are loaded.

Joblib and cloudpickle are imported by who needs them: that takes longer than most questions to a
store take to answer.
"""

from __future__ import annotations

import io
import pickle  # noqa: TID251 - the one place that may; loading asks for trust first
import zlib
from typing import Any

from mosaic_dagster.store.formats.compression import LEVEL, worth_compressing


def dump_joblib(obj: Any) -> bytes:
    """Joblib bytes, compressed with zlib level 3 where the beginning says that it pays.

    The stream is compressed as it is, which is what ``joblib.dump(obj, compress=("zlib", 3))``
    writes, so the object is serialised once.
    """
    import joblib

    buffer = io.BytesIO()
    joblib.dump(obj, buffer, compress=0)
    data = buffer.getvalue()
    return zlib.compress(data, LEVEL) if worth_compressing(data) else data


def load_joblib(data: bytes) -> Any:
    """Object of joblib bytes; runs whatever code they name."""
    import joblib

    return joblib.load(io.BytesIO(data))


def dump_pickle(obj: Any) -> bytes:
    """Pickle bytes of the highest protocol, not compressed."""
    return pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)


def dump_cloudpickle(obj: Any) -> bytes:
    """Pickle bytes that also hold functions and classes that no module has."""
    import cloudpickle

    data: bytes = cloudpickle.dumps(obj)
    return data


def load_pickle(data: bytes) -> Any:
    """Object of pickle or cloudpickle bytes; runs whatever code they name."""
    return pickle.loads(data)  # noqa: S301 - callers ask for trust first
