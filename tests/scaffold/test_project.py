"""The files of a new project: complete, with its own names, and code that compiles."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import mosaic_dagster
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold import NewProject, project_files, shipped_root

ROOT = Path(__file__).resolve().parents[2]
EMPTY = NewProject("fly_lab", dataset="flies", fps=25.0, unit='1" µm')
WITH_LARVAE = NewProject("larvae_lab", example="larvae")
PROJECTS = pytest.mark.parametrize("project", [EMPTY, WITH_LARVAE], ids=["empty", "larvae"])


def texts(project: NewProject) -> dict[str, str]:
    """Every file that is no recording."""
    files = project_files(project).items()
    return {name: content.decode() for name, content in files if "recordings/" not in name}


@PROJECTS
def test_a_project_has_what_makes_one(project: NewProject) -> None:
    """Without one of these nothing starts, or nothing is found."""
    wanted = {
        ".env", ".gitignore", "README.md", "dagster.yaml", "workspace.yaml", "pyproject.toml",
        "assets/__init__.py", "assets/definitions.py", f"assets/{project.dataset_name}.py",
        "assets/movement.py", "resources/__init__.py", "resources/local.py",
        f"{project.name}/__init__.py", f"{project.name}/path_length.py",
        f"{project.name}/decimal_comma.py", f"{project.name}/py.typed",
        "tests/test_definitions.py", "tests/test_path_length.py",
    }  # fmt: skip
    assert wanted <= set(project_files(project))


@PROJECTS
def test_no_placeholder_is_left(project: NewProject) -> None:
    """`@lab@` in a file means that it was not filled in."""
    left = {name: re.findall(r"@\w+@", name + text) for name, text in texts(project).items()}
    assert {name: found for name, found in left.items() if found} == {}


@PROJECTS
def test_all_code_and_settings_are_well_formed(project: NewProject) -> None:
    for name, text in texts(project).items():
        if name.endswith(".py"):
            ast.parse(text, name)
        elif name.endswith(".yaml"):
            assert yaml.safe_load(text)
        elif name.endswith(".toml"):
            assert tomllib.loads(text)


def test_an_empty_project_is_not_about_our_examples() -> None:
    """A lab's project that speaks of larvae would look for recordings that it does not have."""
    found = [name for name, text in texts(EMPTY).items() if re.search("larva|LARVA|social", text)]
    assert found == []


def test_the_example_is_about_one_dataset_and_leaves_the_other_out() -> None:
    """The other example needs extras that are not installed."""
    files = texts(WITH_LARVAE)
    assert [name for name, text in files.items() if re.search("social", text, re.I)] == []
    assert "STUDIES: tuple[Study, ...] = (LARVAE,)" in files["assets/__init__.py"]
    assert 'owners=["team:larvae_lab"]' in files["assets/definitions.py"]
    recordings = {n for n in project_files(WITH_LARVAE) if n.startswith("recordings/")}
    assert len([name for name in recordings if name.endswith(".csv")]) == 16
    assert {"recordings/larvae/SOURCE.md", "recordings/larvae/LICENSE.txt"} <= recordings


def test_what_was_said_of_the_recordings_is_declared() -> None:
    """A frame rate that is lost makes every speed an error; a unit is text, whatever is in it."""
    scope: dict[str, object] = {}
    code = texts(EMPTY)["assets/flies.py"]
    declared = next(n for n in ast.parse(code).body if isinstance(n, ast.Assign))
    assert isinstance(declared.value, ast.Call)
    for keyword in declared.value.keywords:
        scope[str(keyword.arg)] = ast.literal_eval(keyword.value)
    assert scope == {"name": "flies", "fps": 25.0, "unit": '1" µm'}


def test_what_was_not_said_stays_open() -> None:
    """A default frame rate would be wrong without anybody noticing."""
    assert "fps=None" in texts(NewProject("fly_lab"))["assets/fly_lab.py"]


@PROJECTS
def test_the_package_wants_this_version(project: NewProject) -> None:
    """With another one the project may not load."""
    told = tomllib.loads(texts(project)["pyproject.toml"])["project"]
    assert told["name"] == project.distribution
    assert told["dependencies"] == [f"mosaic-dagster~={mosaic_dagster.__version__}"]


def test_settings_are_those_of_this_repository() -> None:
    """Two copies would drift apart."""
    files = texts(WITH_LARVAE)
    for name in ("dagster.yaml", ".env", "assets/larva_models.py", "assets/larva_pictures.py"):
        assert files[name] == (ROOT / name).read_text(encoding="utf-8")


def test_the_wheel_ships_what_a_project_takes_over() -> None:
    """A file that is only in our checkout is missing for everyone who installed the wheel."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    target = "mosaic_dagster/scaffold/shipped/"
    assert {source: target + source for source in shipped} == shipped
    for name in project_files(WITH_LARVAE):
        if (ROOT / name).is_file() and name not in ("README.md", "pyproject.toml"):
            assert any(name == s or name.startswith(f"{s}/") for s in shipped), name


def test_a_checkout_has_them_at_its_root() -> None:
    assert shipped_root() == ROOT


def test_an_installation_without_them_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half unpacked package must not write half a project."""
    place = tmp_path / "mosaic_dagster" / "scaffold" / "shipped.py"
    monkeypatch.setattr("mosaic_dagster.scaffold.shipped.__file__", str(place))
    with pytest.raises(ProjectError, match="Install mosaic-dagster again"):
        shipped_root()


def test_an_installed_wheel_has_them_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "mosaic_dagster" / "scaffold"
    for mark in ("dagster.yaml", "assets/definitions.py", "resources/__init__.py"):
        (place / "shipped" / mark).parent.mkdir(parents=True, exist_ok=True)
        (place / "shipped" / mark).touch()
    monkeypatch.setattr("mosaic_dagster.scaffold.shipped.__file__", str(place / "shipped.py"))
    assert shipped_root() == place / "shipped"
    with pytest.raises(ProjectError, match="lacks"):
        project_files(EMPTY)
