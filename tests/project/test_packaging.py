"""What is installed: the wheel's content, and the pinned versions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mosaic_dagster

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_brings_one_package(wheel: zipfile.ZipFile) -> None:
    """A second top-level name, such as ``assets``, would shadow a lab's own folder."""
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"mosaic_dagster"}


def test_the_wheel_brings_all_of_it(wheel: zipfile.ZipFile) -> None:
    """A module left out is an ImportError for everyone but us."""
    tree = (ROOT / "mosaic_dagster").rglob("*")
    files = {p.relative_to(ROOT).as_posix() for p in tree if p.is_file()}
    shipped = {name for name in files if "__pycache__" not in name}
    assert shipped - set(wheel.namelist()) == set()
    assert "mosaic_dagster/py.typed" in wheel.namelist()


def test_the_wheel_names_licence_command_and_plugins(wheel: zipfile.ZipFile) -> None:
    """Without the licence nobody may use it, without the entry point nobody can."""
    (metadata,) = (name for name in wheel.namelist() if name.endswith("dist-info/METADATA"))
    assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode()
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel.namelist())
    (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert re.search(r"^mosaic ?= ?mosaic_dagster\.cli", wheel.read(points).decode(), re.M)


def test_the_package_knows_its_version() -> None:
    """Two versions of one release: nobody could say which one a result was made with."""
    assert mosaic_dagster.__version__ == PROJECT["version"]


def test_the_changelog_tells_of_this_version() -> None:
    """Whoever installs a version reads there what it changes."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(PROJECT['version'])}\b", text, re.M)


def test_pins_are_exact_and_portable() -> None:
    """A path, a host or a loose version installs something else on the next machine."""
    for pin in pins():
        assert pin.url is None
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert "*" not in specifier.version
    names = [canonicalize_name(pin.name) for pin in pins()]
    assert names == sorted(names)
    for python in PYTHONS:
        environment = {"python_version": python, "python_full_version": f"{python}.0"}
        found = [p.name for p in pins() if p.marker is None or p.marker.evaluate(environment)]
        assert len(found) == len(set(found)), "two versions of one package"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_declared_dependency_is_pinned_for(python: str) -> None:
    """An unpinned dependency changes under the README's commands, some day."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned = {
        canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version)
        for pin in pins()
        if pin.marker is None or pin.marker.evaluate(environment)
    }
    extras = PROJECT["optional-dependencies"].values()
    declared = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    for line in declared:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            continue  # extras of our own
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{line} has no pin in constraints.txt"
        assert version in requirement.specifier, f"{version} is not {line}"


def test_dagster_and_its_duckdb_are_the_pair_that_fits() -> None:
    """dagster-duckdb accepts exactly one dagster: 0.29.27 wants 1.13.27."""
    versions = {pin.name: Version(next(iter(pin.specifier)).version) for pin in pins()}
    assert versions["dagster-duckdb"].micro == versions["dagster"].micro
    for name in ("dagster-graphql", "dagster-pipes", "dagster-shared", "dagster-webserver"):
        assert versions[name] == versions["dagster"]
