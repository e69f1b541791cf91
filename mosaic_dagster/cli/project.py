"""The project that a command is about: its folder, its declared studies, their workspaces.

A project is found without Dagster, so that most commands start in a moment.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import typer

from mosaic_dagster.cli.choices import (
    check_kind,
    find_entries,
    find_step,
    has_step,
    known_kinds,
)
from mosaic_dagster.dataset import Dataset, resolve_path
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import EntryNotFoundError, MosaicError, ProjectError
from mosaic_dagster.pipeline import DatasetRun, Pipeline, Study
from mosaic_dagster.pipeline.steps import TRACKS, is_ingested, labels_step

PROJECT_FILE = "dagster.yaml"
CODE_FOLDER = "assets"
_PACKAGES = (CODE_FOLDER, "resources")
_REMEDY = "Change to the folder of a project, or name it with --project DIR or MOSAIC_PROJECT."


@dataclass(frozen=True)
class Project:
    """A folder with ``dagster.yaml`` and ``assets/``, and what its code declares.

    Attributes
    ----------
    root
        The folder, absolute.
    came_from
        Where the user was: relative paths on the command line start there.
    studies
        Datasets with the pipelines that run on them.
    """

    root: Path
    came_from: Path
    studies: tuple[Study, ...]

    def study(self, dataset: str | None = None) -> Study:
        """The study of a dataset; without a name the only one.

        Raises
        ------
        typer.BadParameter
            There is none of this name, or there are several to choose from.
        """
        names = [study.dataset.name for study in self.studies]
        if dataset is None:
            return self.only(self.studies)
        for study in self.studies:
            if study.dataset.name == dataset:
                return study
        msg = f"The project {self.root} has no dataset {dataset!r}."
        told = f"{msg} {_suggest(dataset, names, 'datasets')}"
        raise typer.BadParameter(told, param_hint="--dataset")

    def study_with(self, dataset: str | None, step: str, entry: str | None = None) -> Study:
        """The study of a dataset; without a name the one that alone has the step and the entry.

        Parameters
        ----------
        dataset
            Its name, where the user gave one.
        step
            ``step``, ``pipeline/step``, ``tracks`` or ``labels/<kind>``.
        entry
            A recording, where the user named one.

        Raises
        ------
        typer.BadParameter
            There is no such dataset or step, or there are several datasets to choose from.
        """
        if dataset is not None or len(self.studies) == 1:
            return self.study(dataset)
        return self.only(self._having(step), [] if entry is None else [entry])

    def only(self, studies: Sequence[Study], entries: Sequence[str] = ()) -> Study:
        """The only one of some studies, or the one whose dataset alone knows the entries.

        Raises
        ------
        typer.BadParameter
            There are several to choose from, or none.
        """
        if len(studies) > 1 and entries:
            studies = [s for s in studies if self._knows(s, entries)] or studies
        if len(studies) == 1:
            return studies[0]
        names = ", ".join(study.dataset.name for study in studies)
        msg = f"Several datasets could be meant: {names}. Name one with --dataset."
        if not studies:
            msg = f"The project {self.root} has no dataset. Declare one in {CODE_FOLDER}/."
        raise typer.BadParameter(msg, param_hint="--dataset")

    def kinds(self, study: Study) -> list[str]:
        """Kinds of labels that a dataset has, or that its pipelines read."""
        run = DatasetRun(self.open(study), [])
        return sorted({*study.label_kinds(), *known_kinds(run)})

    def _having(self, step: str) -> list[Study]:
        """The studies that have a step, or labels of a kind."""
        if step == TRACKS:
            return list(self.studies)
        if is_ingested(step):
            kinds = {s.dataset.name: self.kinds(s) for s in self.studies}
            check_kind(step, [kind for own in kinds.values() for kind in own])
            return [s for s in self.studies if step in map(labels_step, kinds[s.dataset.name])]
        having = [study for study in self.studies if has_step(study, step)]
        if not having:
            find_step(pipelines_of(self.studies), step)
        return having

    def _knows(self, study: Study, entries: Sequence[str]) -> bool:
        known = DatasetRun(self.open(study), []).tracks.keys
        try:
            return bool(find_entries(entries, known))
        except EntryNotFoundError:
            return False

    def study_at(self, dataset: str | None, path: Path) -> Study:
        """The study of a dataset; without a name the one that declares the path as a source.

        Raises
        ------
        typer.BadParameter
            As for :meth:`study`.
        """
        place = self.user_path(path)
        having = [
            study
            for study in self.studies
            if any(resolve_path(told, self.root) == place for told in study.dataset.paths)
        ]
        return having[0] if dataset is None and len(having) == 1 else self.study(dataset)

    def chosen(self, dataset: str | None, pipeline: str | None = None) -> list[Study]:
        """Studies of a dataset, or all; those that have the pipeline, with it alone.

        Raises
        ------
        typer.BadParameter
            There is no such dataset or pipeline.
        """
        studies = list(self.studies) if dataset is None else [self.study(dataset)]
        if pipeline is None:
            return studies
        found = [
            Study(study.dataset, [member])
            for study in studies
            for member in study.pipelines
            if member.name == pipeline
        ]
        if not found:
            names = sorted({member.name for study in studies for member in study.pipelines})
            where = f"dataset {dataset!r}" if dataset else f"project {self.root}"
            msg = f"The {where} has no pipeline {pipeline!r}."
            told = f"{msg} {_suggest(pipeline, names, 'pipelines')}"
            raise typer.BadParameter(told, param_hint="PIPELINE")
        return found

    def workspace(self, study: Study) -> Path:
        """Folder of a dataset's workspace."""
        return self.root / "workspaces" / study.dataset.name

    def open(self, study: Study) -> Dataset:
        """The dataset of a study, made or brought up to date with its declaration."""
        return Dataset.ensure(self.workspace(study), study.dataset)

    def user_path(self, path: Path) -> Path:
        """A path as the user meant it, absolute."""
        return Path(os.path.normpath((self.came_from / path.expanduser()).absolute()))


@contextmanager
def open_project(folder: Path | None = None) -> Iterator[Project]:
    """Find a project, read what it declares, and work in its folder until the block ends.

    Parameters
    ----------
    folder
        The project's folder; None searches from the current folder upwards.

    Raises
    ------
    ProjectError
        There is no project, or its code cannot be imported.
    """
    came_from = Path.cwd()
    root = find_project(came_from, folder)
    with _working_in(root):
        yield Project(root, came_from, _studies(root))


def find_project(start: Path, folder: Path | None = None) -> Path:
    """The project's folder.

    Raises
    ------
    ProjectError
        Neither the start nor a folder above it has what makes a project; or ``folder`` has not.
    """
    if folder is not None:
        named = (start / folder.expanduser()).absolute()
        if not _is_project(named):
            msg = f"{named} is no project: it has no {PROJECT_FILE} with a folder {CODE_FOLDER}/."
            raise ProjectError(msg, "Name the folder that holds both with --project.")
        return named
    start = start.absolute()
    for candidate in (start, *start.parents):
        if _is_project(candidate):
            return candidate
    msg = (
        f"No project was found: neither {start} nor a folder above it has "
        f"{PROJECT_FILE} and {CODE_FOLDER}/."
    )
    raise ProjectError(msg, _REMEDY)


def import_from(root: Path, name: str) -> ModuleType:
    """Import a module of the project's own code.

    Raises
    ------
    ProjectError
        It raises while it is imported, or another package of that name comes first.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise _import_error(root, name, error) from error
    file = Path(getattr(module, "__file__", None) or "")
    if root.resolve() not in file.resolve().parents:
        msg = f"{name!r} was imported from {file}, not from the project {root}."
        raise ProjectError(msg, "Check for packages of that name in PYTHONPATH.")
    return module


def _is_project(folder: Path) -> bool:
    return (folder / PROJECT_FILE).is_file() and (folder / CODE_FOLDER / "__init__.py").is_file()


def _suggest(name: str, known: Sequence[str], what: str) -> str:
    listed = f"The {what} are: {', '.join(known)}." if known else f"There are no {what}."
    return f"{nearest(name, known)} {listed}".strip()


@contextmanager
def _working_in(root: Path) -> Iterator[None]:
    """Be in a folder, and import ``assets`` and ``resources`` from there; undone at the end."""
    here = Path.cwd()
    others = _take_modules()
    os.chdir(root)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        _take_modules()
        sys.modules.update(others)
        os.chdir(here)


def _take_modules() -> dict[str, ModuleType]:
    """Take away what was imported under the names that every project uses."""
    names = [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]
    return {name: sys.modules.pop(name) for name in names}


def _studies(root: Path) -> tuple[Study, ...]:
    code = import_from(root, CODE_FOLDER)
    studies = getattr(code, "STUDIES", None)
    if not isinstance(studies, tuple | list) or not all(isinstance(s, Study) for s in studies):
        msg = f"{root / CODE_FOLDER / '__init__.py'} has no STUDIES."
        raise ProjectError(msg, "Assign to STUDIES the tuple of this project's studies.")
    return tuple(studies)


def _import_error(root: Path, name: str, error: Exception) -> ProjectError:
    what = error.what if isinstance(error, MosaicError) else f"{type(error).__name__}: {error}"
    remedy = error.remedy if isinstance(error, MosaicError) else ""
    place = f"{error.filename}, line {error.lineno}" if isinstance(error, SyntaxError) else ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not place and Path(frame.filename).is_relative_to(root):
            place = f"{frame.filename}, line {frame.lineno}"
    msg = f"The project's {name!r} cannot be imported ({place or root}): {what}"
    return ProjectError(msg, remedy or "Correct the code of the project and try again.")


def pipelines_of(studies: Sequence[Study]) -> list[Pipeline]:
    """Every pipeline of some studies, each once."""
    return list(dict.fromkeys(member for study in studies for member in study.pipelines))
