"""pair-posedistance-pca: if a refit gave other bytes, everything below would be computed again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, tempfile
from pathlib import Path
import numpy as np
from threadpoolctl import threadpool_limits
from mosaic_dagster.features import get_feature
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import make_ready, toy_stream, toy_tracks

rng = np.random.default_rng(0)
table = toy_tracks(3000, n_keypoints=7)
table = table.with_columns(
    pl_column + rng.normal(size=table.height)
    for pl_column in table.iter_columns()
    if pl_column.name.startswith("pose")
)
feature = get_feature("pair-posedistance-pca")()
with threadpool_limits(1):
    make_ready(feature, toy_stream({EntryKey("g", "s"): table}))
    folder = Path(tempfile.mkdtemp())
    feature.save_state(folder)
print(hashlib.sha256((folder / "pca.npz").read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_fit_in_another_process_with_other_threads_has_the_same_bytes():
    """Fits run under a thread limit; what the machine would allow does not matter."""
    digests = set()
    for threads in ("1", "4"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **limits},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
