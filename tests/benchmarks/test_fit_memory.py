"""The memory of fits: a dataset larger than the machine's memory must still be fitted."""

from __future__ import annotations

import pytest

from benchmarks.fit_memory import add_recordings, run_apart


@pytest.mark.slow
def test_twice_the_recordings_take_no_more_memory(tmp_path):
    """Tables kept by mistake would add 10 × 6,000 rows × 50 columns × 8 bytes = 24 MB.

    That is a quarter of what extracting templates needs besides the libraries.
    """
    added: dict[str, list[float]] = {"labeled": []}
    for entries in (10, 20):
        folder = tmp_path / str(entries)
        add_recordings(folder, entries, 6000)
        for step, held in added.items():
            found = run_apart(folder, step)
            held.append(found["most"] - found["before"])
    assert all(more < 1.15 * less for less, more in added.values()), added
