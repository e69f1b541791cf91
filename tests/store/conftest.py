import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mosaic_dagster
from mosaic_dagster.store import ContentStore, Database, FeatureRegistry

ROOT = Path(mosaic_dagster.__file__).parents[1]


@pytest.fixture
def objects(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "artifacts")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "store.duckdb")


@pytest.fixture
def registry(database: Database) -> FeatureRegistry:
    return FeatureRegistry(database)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python processes from source text; those still alive at the end are killed."""
    started = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def kill_after_lines() -> Callable[[subprocess.Popen[str], int, float], list[str]]:
    """Reads so many lines of a process, waits, kills it with SIGKILL and returns all it said."""

    def kill(process: subprocess.Popen[str], lines: int, pause: float) -> list[str]:
        said = [process.stdout.readline() for _ in range(lines)]
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        # Not communicate(), which knows nothing of what readline() has read ahead.
        rest, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        assert all(said), errors
        # The last line may be cut by the kill.
        return [line.strip() for line in [*said, *rest.splitlines(True)] if line.endswith("\n")]

    return kill
