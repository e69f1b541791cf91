"""The one place that keeps what a step returned: artifacts in the store, files in the exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mosaic_dagster.errors import StateError, StoreTypeError, StoreValueError, UnknownIdError
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.content.file_names import safe_file_name
from mosaic_dagster.store.database.holder import exclusive
from mosaic_dagster.store.formats import encode
from mosaic_dagster.store.outputs import EncodedOutput, StepOutput, write_files
from mosaic_dagster.store.trained_chain import (
    ChainKeeper,
    TrainedChain,
    check_trained_chain,
    save_trained_chain,
)
from mosaic_dagster.store.workspace.json_columns import text, text_or_none, to_json

OWNER_NOTE = ".pipeline"
"""Hidden file of an export folder: the pipeline's id, then names it may not write again."""

_LOCK = ".lock"
_LONGEST_FOLDER = 120


class ArtifactKeeper(ChainKeeper, Protocol):
    """What a writer needs of the workspace's store."""

    @property
    def workspace_path(self) -> Path:
        """Folder of the workspace."""

    def save_artifact(self, obj: Any, operator_class: str, artifact_type: str, format: str) -> str:
        """Store an object and return its id."""

    def get_pipeline(self, pipeline_id: str) -> dict[str, Any] | None:
        """Columns of a pipeline, None when there is none of this id."""


@dataclass(frozen=True)
class WrittenStep:
    """What was kept of a step's output.

    Attributes
    ----------
    artifact_ids
        Id of each artifact by its name; empty when artifacts are not saved.
    paths
        Files in the exports, each once; empty when charts are not saved.
    metadata
        The step's metadata, unchanged.
    chain_ids
        Identifier of each trained chain, in order.
    """

    artifact_ids: dict[str, str]
    paths: list[Path]
    metadata: dict[str, Any]
    chain_ids: list[str] = field(default_factory=list)


class OutputWriter:
    """Keeps what the steps of one pipeline return.

    Parameters
    ----------
    store
        Store of the workspace.
    dataset, pipeline_name
        They name the folder: ``exports/<dataset>_<pipeline>/``.
    save_artifacts
        Without it nothing reaches the artifacts or their table.
    save_charts
        Without it nothing is written under the exports, not even a folder.
    by_name
        Let the folder belong to the pipeline's name: each new pipeline id of that name replaces
        the files of the one before, for pipelines that run every night. By default a second
        pipeline of the same name gets a folder of its own.
    """

    def __init__(
        self,
        store: ArtifactKeeper,
        dataset: str,
        pipeline_name: str,
        *,
        save_artifacts: bool = True,
        save_charts: bool = True,
        by_name: bool = False,
    ) -> None:
        self._store = store
        self._dataset = dataset
        self._exports = Path(store.workspace_path) / "exports"
        self._folder_name = safe_file_name(f"{dataset}_{pipeline_name}")
        self.save_artifacts = save_artifacts
        self.save_charts = save_charts
        self.by_name = by_name

    def write(self, step_output: StepOutput, pipeline_id: str, step_idx: int) -> WrittenStep:
        """Keep what one step returned.

        Two outputs of one pipeline with the same name get ``_2``, ``_3`` and so on, unless
        their bytes are equal. Everything is encoded and checked first, so what cannot be kept
        leaves nothing behind.

        Parameters
        ----------
        step_output
            What the step returned.
        pipeline_id
            The pipeline the step belongs to.
        step_idx
            Which of its steps it is, for messages.

        Raises
        ------
        StoreTypeError
            The step returned something else, an output cannot be written as asked, or a chain
            holds what its column does not take.
        StoreValueError
            An artifact cannot be stored in its format, or a chain contradicts itself or names
            an artifact that the step did not return.
        UnknownIdError, StateError
            There are chains, and the pipeline is not there or failed.
        StoreLockedError
            Another process kept the exports or the database for too long.
        StoreFullError
            The disk is full.
        """
        where = f"step {step_idx} of pipeline {pipeline_id}"
        if not isinstance(step_output, StepOutput):
            msg = f"A {type(step_output).__name__} came from {where}."
            raise StoreTypeError(msg, "Return a StepOutput.")
        try:
            outputs = step_output.encoded()
        except StoreTypeError as error:
            raise StoreTypeError(f"In {where}: {error.what}", error.remedy) from error
        if step_output.chains:
            self._check_pipeline(pipeline_id)
        for chain in step_output.chains:
            _check_chain(chain, step_output.artifacts)
        if self.save_artifacts and len(step_output.artifacts) > 1:
            # A single one is encoded before it is stored anyway.
            for value in step_output.artifacts.values():
                encode(*with_format(value))
        ids = self._save_artifacts(step_output.artifacts) if self.save_artifacts else {}
        chain_ids = [
            save_trained_chain(
                self._store, pipeline_id, self._dataset, chain, ids if self.save_artifacts else None
            )
            for chain in step_output.chains
        ]
        paths = self._write_outputs(outputs, pipeline_id) if self.save_charts else []
        return WrittenStep(ids, paths, dict(step_output.metadata), chain_ids)

    def _check_pipeline(self, pipeline_id: str) -> None:
        found = self._store.get_pipeline(pipeline_id)
        if found is None:
            msg = f"There is no pipeline {pipeline_id!r}, under which a step's chains were to go."
            raise UnknownIdError(msg, "Give the id that begin_pipeline returned.")
        if found["status"] == "failed":
            msg = f"Pipeline {pipeline_id!r} failed; nothing can be saved under it."
            raise StateError(msg, "Begin another pipeline.")

    def _save_artifacts(self, artifacts: Mapping[str, Any]) -> dict[str, str]:
        if not artifacts:
            return {}
        with self._store.session():
            return {name: self._save_artifact(value) for name, value in artifacts.items()}

    def _save_artifact(self, value: Any) -> str:
        obj, format_ = with_format(value)
        return self._store.save_artifact(obj, class_name(obj), artifact_type_of(obj), format_)

    def _write_outputs(self, outputs: Sequence[EncodedOutput], pipeline_id: str) -> list[Path]:
        if not outputs:
            return []
        with durable.disk_errors(self._exports):
            self._exports.mkdir(parents=True, exist_ok=True)
            write = self._replace_files if self.by_name else self._add_files
            with exclusive(self._exports / _LOCK):
                # Equal outputs of one name share a file.
                return list(dict.fromkeys(write(outputs, pipeline_id)))

    def _add_files(self, outputs: Sequence[EncodedOutput], pipeline_id: str) -> list[Path]:
        folder = self._own_folder(pipeline_id)
        return [_add_file(folder, output) for output in outputs]

    def _own_folder(self, pipeline_id: str) -> Path:
        """Folder of this pipeline id alone, made if needed."""
        short = safe_file_name(pipeline_id[:8])
        for ending in ("", f"_{short}", f"_{safe_file_name(pipeline_id)}"):
            name = self._folder_name[: _LONGEST_FOLDER - len(ending)] + ending
            folder = self._exports / name
            owner, _ = _read_note(folder)
            if owner is None:
                write_files(folder, {OWNER_NOTE: pipeline_id.encode()})
            if owner in (None, pipeline_id):
                return folder
        # Only ids that differ in nothing but forbidden signs come this far.
        msg = f"The export folders of pipeline {pipeline_id} belong to other pipelines."
        raise StoreValueError(msg, "Use the ids that the store gives.")

    def _replace_files(self, outputs: Sequence[EncodedOutput], pipeline_id: str) -> list[Path]:
        """Write over the files of earlier pipelines, but not over those of this one."""
        folder = self._exports / self._folder_name
        owner, noted = _read_note(folder)
        taken = set(noted) if owner == pipeline_id else set()
        paths = []
        for output in outputs:
            name = next(
                n for n in output.names() if n not in taken or _holds(folder / n, output.data)
            )
            paths += write_files(folder, {name: output.data})
            taken.add(name)
        write_files(folder, {OWNER_NOTE: "\n".join([pipeline_id, *sorted(taken)]).encode()})
        return paths


def _check_chain(chain: TrainedChain, artifacts: Mapping[str, Any]) -> None:
    """Refuse a chain that the store would refuse after the artifacts are kept."""
    check_trained_chain(chain, artifacts)
    text(chain.model_class, "model_class")
    text_or_none(chain.preprocessings, "preprocessings")
    to_json(list(chain.steps), "steps")


def with_format(value: Any) -> tuple[Any, str]:
    """An artifact as a step gives it: the object, and the format to store it in."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        return value
    return value, "auto"


def class_name(obj: Any) -> str:
    """Full name of an object's class."""
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def artifact_type_of(obj: Any) -> str:
    """What an object is, by what it can do: splitter, model, encoder or transformer.

    Whatever predicts is a model, and so is what shows none of these abilities. What resamples
    rows counts as a transformer.
    """
    if hasattr(obj, "split") and not isinstance(obj, str | bytes):
        return "splitter"
    if hasattr(obj, "predict"):
        return "model"
    if type(obj).__name__.endswith(("Encoder", "Binarizer")):
        return "encoder"
    changes_data = hasattr(obj, "transform") or hasattr(obj, "fit_resample")
    return "transformer" if changes_data else "model"


def _add_file(folder: Path, output: EncodedOutput) -> Path:
    """Write a file beside those that are there; one with the same bytes is left as it is."""
    for name in output.names():
        path = folder / name
        if not path.exists():
            return write_files(folder, {name: output.data})[0]
        if _holds(path, output.data):
            return path
    raise AssertionError


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _read_note(folder: Path) -> tuple[str | None, list[str]]:
    """Pipeline id that a folder belongs to, and the names it noted."""
    try:
        owner, *names = (folder / OWNER_NOTE).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None, []
    return owner, names
