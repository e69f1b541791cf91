"""Names of new projects: those that would break are refused before anything is written."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold import NewProject


def test_the_folder_names_project_and_dataset() -> None:
    """One word is enough to begin."""
    project = NewProject.in_folder(Path("/somewhere/fly_lab"))
    assert (project.name, project.distribution, project.dataset_name) == (
        "fly_lab", "fly-lab", "fly_lab",
    )  # fmt: skip


def test_the_example_names_its_dataset() -> None:
    assert NewProject("fly_lab", example="larvae").dataset_name == "larvae"


@pytest.mark.parametrize(
    ("folder", "offer"),
    [("Fly-Lab 2", "fly_lab_2"), ("2024_mice", "mice"), ("Ähm", "hm"), ("___", "our_lab")],
)
def test_a_folder_that_cannot_name_a_package_gets_an_offer(folder: str, offer: str) -> None:
    """Folders have hyphens and capitals; nobody should have to read about Python's names."""
    with pytest.raises(ProjectError, match=rf"--name {offer}\."):
        NewProject.in_folder(Path("/somewhere") / folder)
    assert NewProject.in_folder(Path("/somewhere") / folder, offer).name == offer


@pytest.mark.parametrize(
    "name",
    ["Lab", "my-lab", "my__lab", "_lab", "lab_", "2lab", "", "läb", "a.b", "../lab", "lab\n",
     "class", "json", "assets", "tests", "recordings", "x" * 65],
)  # fmt: skip
def test_a_package_that_python_could_not_import_is_refused(name: str) -> None:
    """A package called `json` would break every program that is started in the project."""
    with pytest.raises(ProjectError, match="cannot be the name of a project"):
        NewProject(name)


@pytest.mark.parametrize("name", ["dagster", "polars", "mosaic_dagster"])
def test_a_package_that_is_installed_is_not_hidden(name: str) -> None:
    """In the folder of a project called `polars`, nothing that reads tables would start."""
    with pytest.raises(ProjectError, match=r"is called so.*uninstall"):
        NewProject(name)


@pytest.mark.parametrize(
    "dataset",
    ["My Flies", "tracks", "model", "dagster", "dataset", "definitions", "engine", "movement",
     "studies", "class", "x" * 65, "flies\n"],
)  # fmt: skip
def test_a_dataset_that_would_clash_is_refused(dataset: str) -> None:
    """`engine` is a resource, `movement` a module, `tracks` an asset of every project."""
    with pytest.raises(ProjectError, match=r"cannot be the name of a dataset.*--dataset"):
        NewProject("fly_lab", dataset=dataset)


@pytest.mark.parametrize("given", [{"dataset": "flies"}, {"fps": 25.0}, {"unit": "px"}])
def test_what_the_example_says_is_not_overruled(given: dict[str, Any]) -> None:
    """Larvae at another frame rate would be wrong in every number."""
    with pytest.raises(ProjectError, match="has its own"):
        NewProject("fly_lab", example="larvae", **given)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(fps: float) -> None:
    with pytest.raises(ProjectError, match="frames per second"):
        NewProject("fly_lab", fps=fps)


def test_an_unknown_example_names_those_there_are() -> None:
    with pytest.raises(ProjectError, match="none, larvae"):
        NewProject("fly_lab", example="mice")


@given(st.text(max_size=8))
def test_an_accepted_name_is_an_identifier(name: str) -> None:
    """Whatever is typed is refused, or is a name that Python can import."""
    try:
        project = NewProject(name)
    except ProjectError:
        return
    assert project.name.isidentifier()
    assert project.name.isascii()
    assert not keyword.iskeyword(project.name)
