"""Where relative paths start."""

from pathlib import Path

from mosaic_dagster.dataset.paths import base_of, recorded_path, resolve_path


def test_in_a_project_paths_start_at_the_project(tmp_path: Path) -> None:
    """`recordings/larvae` in a declaration means the project's folder, wherever one stands."""
    (tmp_path / "dagster.yaml").touch()
    assert base_of(tmp_path / "workspaces" / "larvae") == tmp_path


def test_elsewhere_paths_start_at_the_workspace(tmp_path: Path) -> None:
    """A workspace that was made in a notebook has no project around it."""
    assert base_of(tmp_path / "workspaces" / "larvae") == tmp_path / "workspaces" / "larvae"


def test_paths_below_the_base_move_with_it(tmp_path: Path) -> None:
    """A moved project must not see all its sources vanish."""
    path = tmp_path / "recordings" / "a b" / "c.csv"
    assert recorded_path(path, tmp_path) == "recordings/a b/c.csv"
    assert resolve_path("recordings/a b/c.csv", tmp_path) == path
    assert recorded_path(path, tmp_path / "elsewhere") == path.as_posix()
    assert resolve_path(path, tmp_path / "elsewhere") == path


def test_the_home_folder_is_understood(tmp_path: Path) -> None:
    assert resolve_path("~/data", tmp_path) == Path.home() / "data"


def test_a_way_up_and_down_again_is_the_same_place(tmp_path):
    """Else one folder, named in two ways, gives every recording twice."""
    assert resolve_path("assets/../recordings", tmp_path) == tmp_path / "recordings"
