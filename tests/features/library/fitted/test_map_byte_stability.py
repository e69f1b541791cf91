"""Maps and hierarchies in other processes: other bytes would make everything below stale."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LAZY = """
import sys
from mosaic_dagster.features import get_feature
get_feature("global-tsne"), get_feature("global-umap")
loaded = {"openTSNE", "umap", "numba"} & set(sys.modules)
assert not loaded, loaded
"""

PROGRAM = """
import hashlib, sys, tempfile
from pathlib import Path
import numpy as np
from threadpoolctl import threadpool_limits
from mosaic_dagster.features import StepRef, get_feature
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import make_ready, toy_values

rng = np.random.default_rng(0)
blobs = lambda n: rng.normal(size=(n, 6)) + 9.0 * rng.integers(0, 4, (n, 1))
templates, rows = blobs(250), blobs(100)
folder = Path(tempfile.mkdtemp())
table = toy_values({f"v{i}": templates[:, i] for i in range(6)})
(folder / "templates.parquet").write_bytes(encode_table(table))
digest = hashlib.sha256()
for name, params in (
    ("global-tsne", {"fit": {"iters": 100}}),
    ("global-umap", {}),
    ("global-ward", {}),
    ("global-hdbscan", {}),
):
    feature = get_feature(name)(params={"templates": StepRef("t", "t.parquet"), **params})
    with threadpool_limits(1):
        make_ready(feature, {"templates": folder / "templates.parquet"})
    state = folder / name
    state.mkdir()
    feature.save_state(state)
    for path in sorted(state.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    made = feature.apply(toy_values({f"v{i}": rows[:, i] for i in range(6)}))
    digest.update(encode_table(made))
print(digest.hexdigest())
"""


def test_optional_packages_are_not_imported_with_the_features():
    """Otherwise listing features would take seconds, and fail without the extra."""
    subprocess.run([sys.executable, "-c", LAZY], check=True)


@pytest.mark.slow
def test_fits_and_rows_have_the_same_bytes_in_another_process_with_other_threads():
    digests = set()
    for threads in ("1", "4"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **limits, "NUMBA_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
