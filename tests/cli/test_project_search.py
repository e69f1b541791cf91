"""Finding a project and reading what it declares."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from mosaic_dagster.cli.project import find_project, open_project
from mosaic_dagster.errors import ProjectError


def write_project(root: Path, code: str) -> Path:
    (root / "assets").mkdir(parents=True)
    (root / "dagster.yaml").touch()
    (root / "assets" / "__init__.py").write_text(code)
    return root


STUDY = """
from mosaic_dagster import FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration

WALKING = Pipeline(name="walking").add(FeatureStep("speed", "speed-angvel"))
STUDIES = (Study(DatasetDeclaration("mice"), [WALKING]),)
"""
TWO = STUDY.replace("STUDIES = (", 'STUDIES = (Study(DatasetDeclaration("flies"), [WALKING]), ')


def test_a_project_is_found_from_below(tmp_path: Path) -> None:
    """Typing in a folder of recordings must work."""
    root = write_project(tmp_path / "lab", STUDY)
    below = root / "recordings" / "day1"
    below.mkdir(parents=True)
    assert find_project(below) == root


def test_no_project_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"dagster\.yaml and assets/.*--project"):
        find_project(tmp_path)
    with pytest.raises(ProjectError, match="is no project"):
        find_project(tmp_path, Path("nowhere"))


def test_another_assets_package_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two labs on one machine: the wrong pipelines would be run on the data."""
    foreign = ModuleType("assets")
    monkeypatch.setitem(sys.modules, "assets", foreign)
    monkeypatch.syspath_prepend(str(write_project(tmp_path / "other", "STUDIES = ()")))
    here = Path.cwd()
    with open_project(write_project(tmp_path / "lab", STUDY)) as project:
        assert [study.dataset.name for study in project.studies] == ["mice"]
        assert Path.cwd() == project.root
    assert sys.modules["assets"] is foreign
    assert Path.cwd() == here


def test_broken_code_is_told_with_its_place(tmp_path: Path) -> None:
    """Line 2 divides by zero."""
    with (
        pytest.raises(ProjectError, match=r"__init__\.py, line 2.*ZeroDivisionError"),
        open_project(write_project(tmp_path, "\n1 / 0\n")),
    ):
        pass
    (tmp_path / "assets" / "__init__.py").write_text("x = (\n")
    with pytest.raises(ProjectError, match=r"line 1.*SyntaxError"), open_project(tmp_path):
        pass


def test_a_wrong_pipeline_keeps_its_remedy(tmp_path: Path) -> None:
    code = STUDY.replace("speed-angvel", "speed-angle")
    with (
        pytest.raises(ProjectError, match=r"speed-angle.*line \d+|line \d+.*speed-angle") as caught,
        open_project(write_project(tmp_path, code)),
    ):
        pass
    assert "speed-angvel" in str(caught.value)


def test_code_without_studies(tmp_path: Path) -> None:
    with (
        pytest.raises(ProjectError, match="has no STUDIES"),
        open_project(write_project(tmp_path, "x = 1")),
    ):
        pass


def test_names_of_datasets_and_pipelines(tmp_path: Path) -> None:
    """With two datasets nothing may be guessed; a wrong name gets the nearest."""
    with open_project(write_project(tmp_path, TWO)) as project:
        assert project.study("mice").dataset.name == "mice"
        with pytest.raises(typer.BadParameter, match="--dataset"):
            project.study()
        with pytest.raises(typer.BadParameter, match="Did you mean 'mice'"):
            project.study("mise")
        assert len(project.chosen(None, "walking")) == 2
        assert len(project.chosen("flies", "walking")) == 1
        with pytest.raises(typer.BadParameter, match="Did you mean 'walking'"):
            project.chosen(None, "waking")


def test_a_path_starts_where_the_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mosaic ingest day1` typed in recordings/ is about recordings/day1."""
    root = write_project(tmp_path, STUDY)
    below = root / "recordings"
    below.mkdir()
    monkeypatch.chdir(below)
    with open_project() as project:
        assert project.user_path(Path("day1")) == below / "day1"
