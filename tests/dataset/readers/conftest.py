"""Writers of small HDF5 files, and real files where they are at hand."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
FETCHED = ROOT.parent / "shared" / "data" / "from_fetch"


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """The module with the writers of small files."""
    path = ROOT / "tests" / "fixtures" / "hdf5_files.py"
    spec = importlib.util.spec_from_file_location("mosaic_hdf5_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fetched() -> Callable[[str], Path]:
    """Where a real file is; skips the test where it is not."""

    def find(name: str) -> Path:
        path = FETCHED / name
        if not path.is_file():
            pytest.skip(f"the shared file {name} is not here")
        return path

    return find


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package impossible to import, as where an extra is not installed."""

    def take_away(name: str) -> None:
        monkeypatch.setitem(sys.modules, name, None)

    return take_away


@pytest.fixture
def movement() -> None:
    """Skip where movement is not installed; it is not imported for that."""
    if importlib.util.find_spec("movement") is None:
        pytest.skip("the extra movement is not installed")
