"""Whether bytes are worth compressing, decided alike for the same bytes."""

from __future__ import annotations

import zlib

LEVEL = 3

_SAMPLE = 64 * 1024
_FIRST_LOOK = 16 * 1024
_LARGEST_SHARE = 0.9
_HOPELESS_SHARE = 0.93


def worth_compressing(data: bytes) -> bool:
    """Whether zlib level 1 saves at least a tenth of the first 64 KiB.

    Most fitted numbers are noise to a compressor: looking at the beginning costs one or two
    milliseconds, compressing all of it in vain costs far more. Where the first quarter of that
    shows no hope, the rest is not looked at.
    """
    view = memoryview(data)
    if len(view) > _FIRST_LOOK and _share(view[:_FIRST_LOOK]) > _HOPELESS_SHARE:
        return False
    return _share(view[:_SAMPLE]) <= _LARGEST_SHARE


def _share(sample: memoryview) -> float:
    """Part of some bytes that is left; all of nothing."""
    return len(zlib.compress(sample, 1)) / len(sample) if sample else 1.0
