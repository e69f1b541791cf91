"""``mosaic doctor``: is everything in order, and if not, what to do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import typer

from mosaic_dagster.cli.dagster_home import dagster_home
from mosaic_dagster.cli.options import JsonOption, ProjectOption
from mosaic_dagster.cli.project import Project, find_project, import_from, open_project
from mosaic_dagster.cli.tables import one_line, print_json, print_lines
from mosaic_dagster.errors import MosaicError
from mosaic_dagster.health import (
    Finding,
    check_antlr,
    check_dagster_pair,
    check_definitions,
    check_extras,
    check_home,
    check_instance,
    check_packages,
    check_python,
    check_settings,
    check_studies,
    check_workspace,
    extras_needed,
    looked_at,
    read_settings,
)

_SIGNS = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}
_WORKSPACES = "workspaces"


def doctor(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """Check the installation, the project, its stored data and its Dagster instance.

    Every check that fails says what to do, and the others still run. Nothing of the project is
    changed. The exit status is 1 when something does not work; warnings leave it 0.

    Example: mosaic doctor
    """
    findings = list(_findings(project))
    if as_json:
        print_json([asdict(found) for found in findings])
    else:
        print_lines(_lines(findings))
    if any(found.state == "error" for found in findings):
        raise typer.Exit(1)


def _findings(folder: Path | None) -> Iterator[Finding]:
    for check in (check_python, check_packages, check_dagster_pair, check_antlr):
        yield from looked_at("python" if check is check_python else "packages", check)
    try:
        root = find_project(Path.cwd(), folder)
    except MosaicError as error:
        yield from looked_at("extras", check_extras)
        yield Finding("project", error.what, "error", error.remedy)
        return
    yield from _of_project(root)


def _of_project(root: Path) -> Iterator[Finding]:
    home = os.environ.get("DAGSTER_HOME") or None
    yield from looked_at("project", partial(check_settings, root))
    yield from looked_at("project", partial(check_home, root, home))
    names: list[str] = []
    with dagster_home(root):
        try:
            with open_project(root) as project:
                names = [study.dataset.name for study in project.studies]
                yield from _of_code(project)
        except MosaicError as error:
            yield from looked_at("extras", check_extras)
            yield Finding("project", error.what, "error", error.remedy)
        for name in _datasets(root, names):
            yield from check_workspace(name, root / _WORKSPACES / name)
        at = Path(home).expanduser() if home else root
        yield from looked_at("dagster", partial(check_instance, at, read_settings(at)))


def _of_code(project: Project) -> Iterator[Finding]:
    studies = project.studies
    yield from looked_at("project", partial(check_studies, studies))
    yield from looked_at("extras", lambda: check_extras(extras_needed(studies)))
    load = partial(_load_definitions, project.root)
    yield from looked_at("definitions", partial(check_definitions, project.root, studies, load))


def _load_definitions(root: Path) -> object:
    return import_from(root, "assets.definitions").definitions


def _datasets(root: Path, declared: list[str]) -> list[str]:
    """Names of the declared datasets, and of workspaces that nothing declares."""
    there = sorted(path.parent.name for path in (root / _WORKSPACES).glob("*/dataset.yaml"))
    return list(dict.fromkeys([*declared, *there]))


def _lines(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    about = ""
    for found in findings:
        if found.about != about:
            about = found.about
            lines += ["", about] if lines else [about]
        lines.append(f"  {_SIGNS[found.state]}  {one_line(found.what)}")
        if found.remedy:
            lines.append(f"             {one_line(found.remedy)}")
    counts = Counter(found.state for found in findings)
    told = f"{counts['error']} errors, {counts['warning']} warnings, {counts['ok']} in order."
    return [*lines, "", told]
