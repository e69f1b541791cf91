"""Python, the packages beside this one, and whether their versions fit together."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mosaic_dagster.health.finding import Finding

DISTRIBUTION = "mosaic-dagster"
PYTHON = "python"
PACKAGES = "packages"
EXTRAS = "extras"

_DEVELOPERS = "dev"
_ANTLR = "antlr4-python3-runtime"
_ANTLR_OF_DAGSTER = SpecifierSet(">=4.10")
_DAGSTER, _DUCKDB = "dagster", "dagster-duckdb"


def check_python() -> Iterator[Finding]:
    """The running Python against the range that the package declares."""
    told = f"Python {platform.python_version()} at {sys.executable}"
    wanted = metadata(DISTRIBUTION)["Requires-Python"] if _is_installed(DISTRIBUTION) else None
    if wanted is not None and Version(platform.python_version()) not in SpecifierSet(wanted):
        remedy = f"Make an environment with Python {wanted} and install mosaic-dagster there."
        yield Finding(PYTHON, f"{told} is outside of {wanted}.", "error", remedy)
        return
    yield Finding(PYTHON, f"{told}.")


def check_packages() -> Iterator[Finding]:
    """Required packages: there, and of a version in the declared range."""
    if not _is_installed(DISTRIBUTION):
        what = f"{DISTRIBUTION} is not installed here, so nothing says which versions it needs."
        remedy = "Install it: pip install -e . in its folder, or pip install mosaic-dagster."
        yield Finding(PACKAGES, what, "warning", remedy)
        return
    bad = [found for need in requirements() for found in _misfit(need)]
    if not bad:
        count = len(requirements())
        yield Finding(PACKAGES, f"{DISTRIBUTION} {version(DISTRIBUTION)}, {count} packages fit.")
    for need, what in bad:
        yield Finding(PACKAGES, what, "error", f"Install it: pip install '{need}'.")


def check_dagster_pair() -> Iterator[Finding]:
    """Dagster and its DuckDB library are released in pairs, and one pins the other."""
    if not (_is_installed(_DAGSTER) and _is_installed(_DUCKDB)):
        return  # the packages that are missing are told already
    here = Version(version(_DAGSTER))
    for need in map(Requirement, requires(_DUCKDB) or ()):
        if need.name == _DAGSTER and here not in need.specifier:
            what = f"{_DUCKDB} {version(_DUCKDB)} needs dagster{need.specifier}, here is {here}."
            yield Finding(PACKAGES, what, "error", f"pip install 'dagster{need.specifier}'")
            return
    yield Finding(PACKAGES, f"dagster {here} and {_DUCKDB} {version(_DUCKDB)} are a pair.")


def check_antlr() -> Iterator[Finding]:
    """Hydra pins a parser library to a version that cannot read Dagster's grammar."""
    if not _is_installed(_ANTLR) or version(_ANTLR) in _ANTLR_OF_DAGSTER:
        return
    culprits = [name for name in ("hydra-core", "omegaconf") if _is_installed(name)]
    why = f", as {' and '.join(culprits)} want it" if culprits else ""
    what = (
        f"{_ANTLR} is {version(_ANTLR)}{why}: Dagster cannot read a selection of assets that is "
        "given as text (`--select`, the search bar), and says `TypeError: ord()`."
    )
    remedy = "All else works. Name the job instead (`-j larvae_crawling`), or use `mosaic run`."
    yield Finding(PACKAGES, what, "warning", remedy)


def check_extras(needed_by: dict[str, list[str]] | None = None) -> Iterator[Finding]:
    """Optional packages; an extra that a declared step or source needs must be there.

    Parameters
    ----------
    needed_by
        Extra -> what declared needs it.
    """
    needed = needed_by or {}
    if not _is_installed(DISTRIBUTION):
        return
    for extra in metadata(DISTRIBUTION).get_all("Provides-Extra") or []:
        if extra == _DEVELOPERS:
            continue
        bad = [what for need in requirements(extra) for _, what in _misfit(need)]
        install = f"pip install 'mosaic-dagster[{extra}]'"
        if not bad:
            yield Finding(EXTRAS, f"{extra}: installed.")
        elif needed.get(extra):
            what = f"{extra}: {', '.join(needed[extra])} need it. {' '.join(bad)}"
            yield Finding(EXTRAS, what, "error", f"Install it: {install}")
        else:
            yield Finding(EXTRAS, f"{extra}: not installed, and nothing declared needs it.",
                          remedy=f"To have it: {install}")  # fmt: skip


def requirements(extra: str = "") -> list[Requirement]:
    """What the package requires on this machine, or what one of its extras adds."""
    found = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    return [need for need in found if _applies(need, extra)]


def _applies(need: Requirement, extra: str) -> bool:
    if need.marker is None:
        return not extra
    always = need.marker.evaluate({"extra": ""})
    return always if not extra else need.marker.evaluate({"extra": extra}) and not always


def _misfit(need: Requirement) -> Sequence[tuple[Requirement, str]]:
    if not _is_installed(need.name):
        return [(need, f"{need.name} is not installed.")]
    here = version(need.name)
    if need.specifier.contains(here, prereleases=True):
        return []
    return [(need, f"{need.name} is {here}, wanted is {need.specifier}.")]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
