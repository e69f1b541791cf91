"""``mosaic show``: head, schema, notes and plot of a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = "dish01/larva_007"
PNG = b"\x89PNG"


def object_of(project: Path, sha256: str) -> Path:
    (found,) = (project / "workspaces" / "larvae" / "artifacts").rglob(f"{sha256}.*")
    return found


def test_the_first_rows_and_the_columns(made: Path, mosaic: Any) -> None:
    """200 rows were copied; a table of tracks tells where the animal was."""
    told = mosaic.json(made, "show", "tracks", "--entry", KEY, "--rows", "2")
    assert told["rows"] == 200
    assert len(told["head"]) == 2
    assert told["columns"]["X"] == "Float64"
    assert told["notes"]["repairs"]["rows_kept"] == 200
    text = mosaic(made, "show", "kinematics", "--entry", KEY).stdout
    assert text.startswith(f"kinematics {KEY}: 200 rows")
    assert "row 4" in text


def test_a_plot_is_written_where_asked(project: Path, tmp_path: Path, mosaic: Any) -> None:
    """A relative path starts where the user is, and folders are made."""
    file = tmp_path / "pictures" / "speed.png"
    mosaic(project, "show", "kinematics", "--entry", KEY, "--plot", str(file))
    assert file.read_bytes().startswith(PNG)
    told = mosaic.json(project, "show", "kinematics", "--entry", KEY, "--plot", "auto")
    expected = project / "workspaces/larvae/exports/show/kinematics_dish01_larva_007.png"
    assert told["plot"] == str(expected)
    assert expected.read_bytes().startswith(PNG)


def test_a_fit_shows_its_files(made: Path, mosaic: Any) -> None:
    files = {row["name"]: row for row in mosaic.json(made, "show", "clusters")["files"]}
    assert (
        Path(files["cluster_centers.npz"]["path"]).stat().st_size
        == (files["cluster_centers.npz"]["bytes"])
    )
    assert "cluster_centers.npz" in mosaic(made, "show", "clusters").stdout
    assert "--entry" in mosaic(made, "show", "clusters", "--plot", "auto", code=2).stderr


def test_the_path_of_the_object_is_told(made: Path, mosaic: Any) -> None:
    """People open it in other programs."""
    for arguments in (["smooth", "--entry", KEY], ["tracks", "--entry", KEY], ["clusters"]):
        told = mosaic.json(made, "show", *arguments)
        path = Path(told["path"])
        assert path.stem == told["sha256"]
        assert path.stat().st_size == told["bytes"]
        assert f"file: {path.relative_to(made)}" in mosaic(made, "show", *arguments).stdout


def test_a_training_step_shows_its_scores(made: Path, mosaic: Any) -> None:
    """A mean per model, as many predictions as folds; without scores one would train again."""
    told = mosaic.json(made, "show", "speed_models")
    scores = {row["model"]: row for row in told["scores"]}
    assert {"ridge", "pls"} <= scores.keys()
    assert scores["ridge"]["metric"] == "rmse"
    assert scores["ridge"]["val_score"] > 0
    assert "ridge" in mosaic(made, "show", "speed_models").stdout
    assert "scores" not in mosaic.json(made, "show", "clusters")


def test_a_stale_result_is_shown_as_such(
    project: Path, mosaic: Any, edit: Callable[[Path], Path]
) -> None:
    """Old numbers must not be taken for those of the changed file."""
    edit(project)
    text = mosaic(project, "show", "smooth", "--entry", KEY).stdout
    assert "This is the last result; now it is stale" in text


def test_nothing_to_show_says_why(new: Path, mosaic: Any) -> None:
    result = mosaic(new, "show", "smooth", "--entry", KEY, code=1)
    assert "missing (upstream: tracks)" in result.stderr
    assert "mosaic run" in result.stderr


def test_a_damaged_result_is_not_shown(project: Path, mosaic: Any) -> None:
    """Silently altered numbers would end up in a paper."""
    told = mosaic.json(project, "show", "smooth", "--entry", KEY)
    damaged = object_of(project, told["sha256"])
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    assert "changed or cut" in mosaic(project, "show", "smooth", "--entry", KEY, code=1).stderr
