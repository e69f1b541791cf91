"""Whether bytes are worth compressing, decided alike for the same bytes."""

from __future__ import annotations

import zlib

LEVEL = 3

_SAMPLE = 64 * 1024
_LARGEST_SHARE = 0.9


def worth_compressing(data: bytes) -> bool:
    """Whether zlib level 1 saves at least a tenth of the first 64 KiB.

    Most fitted numbers are noise to a compressor: looking at the beginning costs one or two
    milliseconds, compressing all of it in vain costs far more.
    """
    sample = memoryview(data)[:_SAMPLE]
    return len(zlib.compress(sample, 1)) <= _LARGEST_SHARE * len(sample)
