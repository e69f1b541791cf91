"""Fitted states: if a refit gave other bytes, everything below it would be computed again."""

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
from mosaic_dagster.features import StepRef, get_feature
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import make_ready, toy_stream, toy_values

rng = np.random.default_rng(0)
table = toy_values({f"v{i}": rng.normal(size=2000) for i in range(12)})
digest = hashlib.sha256()

def keep(name, params, state_from):
    feature = get_feature(name)(params=params)
    with threadpool_limits(1):
        make_ready(feature, state_from)
        folder = Path(tempfile.mkdtemp())
        feature.save_state(folder)
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return folder

stream = toy_stream({EntryKey("g", "s"): table})
folder = keep("extract-templates", {"n_templates": 600, "strategy": "farthest_first"}, stream)
files = {"templates": folder / "templates.parquet"}
reference = {"templates": StepRef("tmpl", "templates.parquet")}
for name, params in (("global-scaler", {}), ("global-pca", {}), ("global-kmeans", {"k": 20})):
    keep(name, reference | params, files)
print(digest.hexdigest())
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
