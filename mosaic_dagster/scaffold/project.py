"""The files of a new project: those that this package ships, and a lab's own beside them.

Shipped files are the code location of this project, copied with the names of the lab's dataset
where it declares another one. The lab's own are in ``files/``, where words between at-signs stand
for names; those in ``files/common`` belong to every project.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mosaic_dagster
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold.names import LARVAE, NONE, NewProject
from mosaic_dagster.scaffold.shipped import shipped_root

FILES = Path(__file__).parent / "files"
SUFFIX = ".txt"
"""Ends the name of each file there, so that none is taken for code of this package."""

SETTINGS = (".env", ".gitignore", "dagster.yaml", "workspace.yaml")
CODE = ("assets/__init__.py", "assets/definitions.py", "resources/*.py")
OF_LARVAE = (
    "assets/larva_models.py",
    "assets/larva_pictures.py",
    "assets/larvae.py",
    "recordings/larvae/LICENSE.txt",
    "recordings/larvae/SOURCE.md",
    "recordings/larvae/metadata.json",
    "recordings/larvae/*/*.csv",
)

_IMPORTED_STUDY = re.compile(r"from assets\.(\w+) import ([A-Z_]+)$")
_WORKSPACE = re.compile(r'\s*"(\w+)": WorkspaceResource\(')
_STUDIES = re.compile(r"^(STUDIES\b.*?= ?)\(.*?\)", re.M | re.S)


def project_files(project: NewProject) -> dict[str, bytes]:
    """Path below the project and content of each of its files, sorted by path.

    Raises
    ------
    ProjectError
        The files that a project begins with are not installed.
    """
    files = dict(_shipped(project))
    for folder in ("common", "empty" if project.example == NONE else project.example):
        files |= _own(FILES / folder, project)
    return dict(sorted(files.items()))


def _shipped(project: NewProject) -> Iterator[tuple[str, bytes]]:
    """The files of the shipped code location that the project takes over."""
    root = shipped_root()
    for name in (*SETTINGS, *CODE):
        for path in _found(root, name):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(root).as_posix(), _renamed(text, project).encode()
    for name in OF_LARVAE if project.example == LARVAE else ():
        for path in _found(root, name):
            inner = path.relative_to(root).as_posix()
            content = path.read_bytes()
            yield inner, _with_movement(content) if inner == "assets/larvae.py" else content


def _found(root: Path, pattern: str) -> list[Path]:
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if not found:
        msg = f"This installation of mosaic-dagster lacks {root / pattern}."
        raise ProjectError(msg, "Install it again.")
    return found


def _renamed(text: str, project: NewProject) -> str:
    """A shipped file about the project's one dataset in place of the shipped ones."""
    kept = [line for line in text.splitlines(keepends=True) if not _is_of_another(line)]
    text = _STUDIES.sub(rf"\1({LARVAE.upper()},)", "".join(kept))
    words = {
        f"team:{LARVAE}": f"team:{project.name}",
        "location_name: mosaic_dagster": f"location_name: {project.name}",
        "this repository": "this project",
        LARVAE: project.dataset_name,
        LARVAE.upper(): project.dataset_name.upper(),
    }
    return _replaced(text, words)


def _is_of_another(line: str) -> bool:
    """Whether a line is about a study that no project takes over, or about our documentation."""
    found = _IMPORTED_STUDY.match(line.rstrip()) or _WORKSPACE.match(line)
    return line.startswith("/docs/") or (found is not None and found.group(1) != LARVAE)


def _with_movement(code: bytes) -> bytes:
    """The example with the pipeline that every project has."""
    text = code.decode()
    for after, added in (
        ("from assets.larva_pictures import draw_pictures\n",
         "from assets.movement import MOVEMENT\n"),
        ("Study(DATASET, [CRAWLING", ", MOVEMENT"),
    ):  # fmt: skip
        if text.count(after) != 1:
            msg = f"assets/{LARVAE}.py of this installation is not what was shipped."
            raise ProjectError(msg, "Install mosaic-dagster again.")
        text = text.replace(after, after + added)
    return text.encode()


def _own(folder: Path, project: NewProject) -> dict[str, bytes]:
    names = {
        "@lab@": project.name,
        "@distribution@": project.distribution,
        "@dataset@": project.dataset_name,
        "@DATASET@": project.dataset_name.upper(),
        "@fps@": repr(project.fps),
        "@unit@": "None" if project.unit is None else json.dumps(project.unit),
        "@version@": mosaic_dagster.__version__,
    }
    found = sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file())
    files = {}
    for path in found:
        inner = path.relative_to(folder).as_posix().removesuffix(SUFFIX)
        files[_replaced(inner, names)] = _replaced(path.read_text("utf-8"), names).encode()
    return files


def _replaced(text: str, words: dict[str, str]) -> str:
    """Put another in the place of each word, in one pass; earlier words go first."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)
