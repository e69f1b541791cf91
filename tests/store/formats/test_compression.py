import zlib

import numpy as np

from mosaic_dagster.store.formats.compression import worth_compressing

NOISE = np.random.default_rng(0).bytes(64 * 1024)


def test_noise_is_left_alone_and_zeros_are_not():
    """Else every model of noise-like numbers costs the time of a compression that saves nothing."""
    assert not worth_compressing(NOISE)
    assert worth_compressing(bytes(1000))
    assert not worth_compressing(b"")


def test_only_the_beginning_is_looked_at():
    """Else a large object costs as much to judge as to compress: 64 KiB of noise, then zeros."""
    assert not worth_compressing(NOISE + bytes(10 << 20))


def test_the_border_is_a_tenth():
    """Else the rule drifts: of 10,000 bytes at most 9,000 may be left.

    Noise stays as long as it is and 1,000 zeros shrink to about 20 bytes, so 2,000 zeros in
    10,000 bytes are enough and 500 are not.
    """
    assert worth_compressing(bytes(2000) + NOISE[:8000])
    assert not worth_compressing(bytes(500) + NOISE[:9500])
    assert len(zlib.compress(bytes(1000), 1)) < 30
