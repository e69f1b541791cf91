"""The memory of fits: a dataset larger than the machine's memory must still be fitted."""

from __future__ import annotations

import pytest

from benchmarks.fit_memory import add_recordings, run_apart


@pytest.mark.slow
def test_twice_the_recordings_take_no_more_memory(tmp_path):
    """Tables kept by mistake would add 10 × 8,000 rows × 50 columns × 8 bytes = 32 MB.

    That is a quarter of what extracting templates needs besides the libraries; distances of pairs
    that are kept, 91 columns of 16,000 rows, would add more.
    """
    added: dict[str, list[float]] = {"labeled": [], "posture": []}
    for entries in (10, 20):
        folder = tmp_path / str(entries)
        add_recordings(folder, entries, 8000)
        for step, held in added.items():
            found = run_apart(folder, step)
            held.append(found["most"] - found["before"])
    assert all(more < 1.15 * less for less, more in added.values()), added
