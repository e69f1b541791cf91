"""Real files where they are at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[4].parent / "shared" / "data"


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Where a real file is; skips the test where it is not."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"the shared file {name} is not here")
        return path

    return find


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text to a file of a name."""

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, newline="")
        return path

    return to
