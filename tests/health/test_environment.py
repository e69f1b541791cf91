"""Versions that do not fit are named with the command that mends them."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest
from packaging.requirements import Requirement

from mosaic_dagster.health import environment
from mosaic_dagster.health.environment import (
    check_antlr,
    check_dagster_pair,
    check_extras,
    check_packages,
    check_python,
)

PAIR = {"dagster": "1.13.27", "dagster-duckdb": "0.29.27", "mosaic-dagster": "0.1.0"}


class Installed:
    """An environment of a few packages."""

    def __init__(self, versions: dict[str, str], needs: dict[str, list[str]]) -> None:
        self.versions = versions
        self.needs = needs

    def version(self, name: str) -> str:
        if name not in self.versions:
            raise PackageNotFoundError(name)
        return self.versions[name]

    def requires(self, name: str) -> list[str]:
        return self.needs.get(name, [])


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretends that these packages, and no others, are installed."""

    def pretend(versions: dict[str, str], **needs: list[str]) -> None:
        there = Installed(PAIR | versions, {k.replace("_", "-"): v for k, v in needs.items()})
        monkeypatch.setattr(environment, "version", there.version)
        monkeypatch.setattr(environment, "requires", there.requires)

    return pretend


def test_this_environment_fits() -> None:
    """The one that the tests run in; else nothing else here could be trusted."""
    found = [*check_python(), *check_packages(), *check_dagster_pair()]
    assert [row.state for row in found] == ["ok", "ok", "ok"]
    assert sys.executable in found[0].what


def test_a_python_outside_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    (row,) = check_python()
    assert row.state == "error"
    assert ">=3.11" in row.remedy


def test_missing_and_old_packages(install: Any) -> None:
    """polars 1.9 lies below 2.0, joblib is not there, numpy fits."""
    install(
        {"polars": "1.9", "numpy": "2.4"},
        mosaic_dagster=["polars>=2.0,<3", "joblib>=1.5", "numpy>=2.2", "h5py>=3; extra == 'hdf5'"],
    )
    rows = list(check_packages())
    assert [(row.state, row.what) for row in rows] == [
        ("error", "polars is 1.9, wanted is <3,>=2.0."),
        ("error", "joblib is not installed."),
    ]
    assert Requirement("polars>=2.0,<3").name in rows[0].remedy


def test_a_dagster_that_its_library_does_not_fit(install: Any) -> None:
    """They are pinned to each other; another Dagster breaks the resources."""
    install({"dagster": "1.13.28"}, dagster_duckdb=["dagster==1.13.27", "duckdb"])
    (row,) = check_dagster_pair()
    assert (row.state, row.remedy) == ("error", "pip install 'dagster==1.13.27'")


@pytest.mark.parametrize(("antlr", "told"), [("4.9.3", 1), ("4.13.2", 0)])
def test_hydra_beside_dagster_is_explained(install: Any, antlr: str, told: int) -> None:
    """A person with `TypeError: ord()` has no chance to find out by herself."""
    install({"antlr4-python3-runtime": antlr, "hydra-core": "1.3.2"})
    rows = list(check_antlr())
    assert len(rows) == told
    for row in rows:
        assert row.state == "warning"
        assert "hydra-core" in row.what
        assert "ord()" in row.what


def test_an_extra_counts_only_when_something_needs_it(
    install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"h5py": "3.16"}, mosaic_dagster=[
        "h5py>=3; extra == 'hdf5'", "openTSNE>=1; extra == 'embedding'", "dask>=1; extra == 'dask'",
    ])  # fmt: skip

    class Metadata:
        def get_all(self, _name: str) -> list[str]:
            return ["hdf5", "embedding", "dask", "dev"]

    monkeypatch.setattr(environment, "metadata", lambda _name: Metadata())
    rows = list(check_extras({"embedding": ["mapping/tsne"]}))
    assert [row.state for row in rows] == ["ok", "error", "ok"]
    assert "mapping/tsne" in rows[1].what
    assert "mosaic-dagster[embedding]" in rows[1].remedy
    assert "nothing declared needs it" in rows[2].what
