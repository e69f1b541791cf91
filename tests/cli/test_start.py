"""A question is answered in a moment only if nothing is imported that it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic_dagster.cli import app as module

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("sklearn", "scipy", "pandas", "matplotlib", "joblib", "dagster", "h5py", "openTSNE")


def imported(code: str) -> list[str]:
    """Which heavy packages a new process has imported after some code."""
    told = f"import json, sys\n{code}\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_commands_and_all_features_are_known_without_heavy_packages():
    """Each of them takes half a second, and every command would begin with that.

    One feature must load its library before whoever fits it limits the threads.
    """
    code = (
        "import mosaic_dagster.cli.app\n"
        "from mosaic_dagster.features import get_feature, list_features\n"
        "for name in set(list_features()) - {'pair-posedistance-pca'}:\n    get_feature(name)"
    )
    assert imported(code) == []


@pytest.mark.slow
def test_rows_are_read_and_looked_up_without_pandas(tmp_path):
    """Looking some keys up would import pandas where it is installed."""
    code = (
        "from mosaic_dagster.dataset import Dataset\n"
        f"registry = Dataset.create({str(tmp_path / 'w')!r}, 'toy').registry\n"
        "registry.heads('p'), registry.results(['a']), registry.run_declarations(['b'])"
    )
    assert imported(code) == []


@pytest.mark.parametrize("name", [*module.COMMANDS, *module.GROUPS])
def test_a_command_built_alone_is_the_one_among_all(name):
    """A command left out of the table could not be typed."""
    alone = module.build(name)
    names = [c.name for c in alone.registered_commands] + [g.name for g in alone.registered_groups]
    assert names == [name]


def test_all_commands_are_there_when_none_is_named():
    """``mosaic --help`` would show a part."""
    made = module.build()
    names = [c.name for c in made.registered_commands] + [g.name for g in made.registered_groups]
    assert names == [*module.COMMANDS, *module.GROUPS]
