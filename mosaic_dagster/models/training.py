"""Train a model once per identity, keep its configuration and metrics, and remember the run.

``train_model`` -> bind the dataset -> identity -> an earlier success, or: row ``running`` ->
``configure`` -> ``train`` -> metrics -> row ``success``. Any error ends in a row ``failed``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import MosaicError, ParamsError
from mosaic_dagster.hashing import canonical, canonical_json, digest
from mosaic_dagster.models import index
from mosaic_dagster.models.progress import (
    CompositeProgressCallback,
    DatabaseProgress,
    TrainingProgressCallback,
)
from mosaic_dagster.store.content.file_names import safe_file_name
from mosaic_dagster.store.outputs import write_files
from mosaic_dagster.store.workspace.json_columns import to_json

CONFIG_FILE, METRICS_FILE = "config.json", "metrics.json"

_LABELS = "labels/"
_CALLBACK_NAMES = ("progress_callback", "callback")


class Model(Protocol):
    """What :func:`train_model` asks of a model.

    ``storage_model_name`` takes the place of ``name`` in paths, where there is one. It may also
    have ``bind_dataset(dataset)``, called first, and ``identity(dataset)``, which returns what
    the training depends on beside its configuration: identities of its inputs, digests of its
    labels, the split.

    Attributes
    ----------
    name, version
        Name of the model, and the version of its code.
    """

    name: str
    version: str

    def configure(self, config: Any, run_root: Path) -> None:
        """Take the configuration, and the folder where files may be left."""

    def train(self) -> Mapping[str, Any] | None:
        """Train, and return metrics; may take ``progress_callback`` or ``callback``."""


@dataclass(frozen=True)
class ModelTraining:
    """What :func:`train_model` did, or found done.

    Attributes
    ----------
    model, version, run_id
        Which model, and the identity of the training.
    run_root
        Folder with ``config.json``, ``metrics.json`` and what the model left there.
    metrics
        What ``train`` returned; numbers that are not finite are None.
    reused
        Whether an earlier training of this identity was found.
    notes
        What is worth knowing, such as a progress callback that failed.
    """

    model: str
    version: str
    run_id: str
    run_root: Path
    metrics: Mapping[str, Any]
    reused: bool
    notes: str = ""

    @property
    def config_path(self) -> Path:
        """The configuration as JSON."""
        return self.run_root / CONFIG_FILE

    @property
    def metrics_path(self) -> Path:
        """The metrics as JSON."""
        return self.run_root / METRICS_FILE


def train_model(
    ds: Dataset,
    model: Model,
    config: Mapping[str, Any] | BaseModel,
    overwrite: bool = False,
    progress_callback: TrainingProgressCallback | None = None,
) -> ModelTraining:
    """Train a model, unless the same training has succeeded before.

    Parameters
    ----------
    ds
        The dataset.
    model
        See :class:`Model`. Without ``identity`` the training counts as depending on all tracks
        and labels of the dataset.
    config
        The configuration: anything that canonical JSON can hold.
    overwrite
        Train even if an earlier training of this identity succeeded.
    progress_callback
        Hears how the training goes on. What it says is also kept in the workspace, see
        :func:`~mosaic_dagster.models.read_progress` with the run id as the job. A callback that
        fails does not end the training; the notes tell of it.

    Returns
    -------
    ModelTraining
        With ``run_id`` = version and 12 hex digits of (model, version, configuration, identity).

    Raises
    ------
    ParamsError
        The model lacks a name, a version, ``configure`` or ``train``; or ``train`` returned no
        mapping.
    HashingError
        The configuration or the identity has no canonical form.
    Exception
        Whatever the model raises. From ``configure`` on the run is recorded as failed.
    """
    name = _checked_name(model)
    if hasattr(model, "bind_dataset"):
        model.bind_dataset(ds)
    run = _run_of(ds, model, name, config)
    root = (ds.path / run.config_path).parent
    if not overwrite and (found := _earlier(ds, run, root)) is not None:
        return found
    row = index.begin(ds, run)
    try:
        # From here on, metrics that are there are those of this training.
        (root / METRICS_FILE).unlink(missing_ok=True)
        write_files(root, {CONFIG_FILE: canonical_json(config).encode()})
        callbacks = [DatabaseProgress(ds, run.run_id)]
        heard = CompositeProgressCallback(
            [*callbacks, *([progress_callback] if progress_callback is not None else [])]
        )
        model.configure(config, root)
        metrics = _trained(model, heard)
        write_files(root, {METRICS_FILE: (to_json(metrics, "metrics") or "{}").encode()})
        notes = "; ".join(heard.failures)[: index.LONGEST_NOTE]
        index.complete(ds, row, metrics, notes)
    except BaseException as error:
        index.fail(ds, row, _told(error))
        raise
    return ModelTraining(
        run.model, run.version, run.run_id, root, _read_json(root / METRICS_FILE), False, notes
    )


def dataset_identity(ds: Dataset) -> dict[str, Any]:
    """Digests of all tracks and labels of a dataset: ``tracks`` and ``labels/<kind>`` by entry."""
    identity: dict[str, Any] = {
        "tracks": {row.key: row.tracks_sha256 for row in ds.registry.entries()}
    }
    for head in ds.registry.heads(""):
        if head.step.startswith(_LABELS) and head.output_sha256 is not None:
            identity.setdefault(head.step, {})[head.key] = head.output_sha256
    return identity


def _checked_name(model: Any) -> str:
    name = getattr(model, "storage_model_name", None) or getattr(model, "name", None)
    for what, value in (("name", name), ("version", getattr(model, "version", None))):
        if not isinstance(value, str) or not value:
            msg = f"The {what} of a {type(model).__name__} is {value!r}."
            raise ParamsError(msg, f"Give the model a text as its {what}.")
    for method in ("configure", "train"):
        if not callable(getattr(model, method, None)):
            msg = f"The model {name!r} has no method {method}."
            raise ParamsError(msg, "A model has configure(config, run_root) and train().")
    return str(name)


def _run_of(ds: Dataset, model: Any, name: str, config: Any) -> index.ModelRun:
    declared = model.identity(ds) if hasattr(model, "identity") else dataset_identity(ds)
    identity = {
        "model": name,
        "version": model.version,
        "config": canonical(config, "config"),
        "depends_on": canonical(declared, "identity"),
    }
    run_id = f"{model.version}-{digest(identity)[:12]}"
    root = Path("exports", "models", safe_file_name(name), safe_file_name(run_id))
    return index.ModelRun(
        model=name,
        version=model.version,
        run_id=run_id,
        config_path=(root / CONFIG_FILE).as_posix(),
        config_hash=digest(config),
        metrics_path=(root / METRICS_FILE).as_posix(),
    )


def _earlier(ds: Dataset, run: index.ModelRun, root: Path) -> ModelTraining | None:
    """The training of this identity, if the last one of it succeeded and its files are there."""
    row = index.latest(ds, run.model, run.run_id)
    if row is None or row["status"] != "success" or not (root / METRICS_FILE).is_file():
        return None
    metrics = _read_json(root / METRICS_FILE)
    return ModelTraining(run.model, run.version, run.run_id, root, metrics, True, row["notes"])


def _trained(model: Any, callback: TrainingProgressCallback) -> Mapping[str, Any]:
    parameters = inspect.signature(model.train).parameters
    named = next((name for name in _CALLBACK_NAMES if name in parameters), None)
    if named is None and any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        named = _CALLBACK_NAMES[0]
    metrics = model.train(**({} if named is None else {named: callback}))
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        msg = f"train of a {type(model).__name__} returned a {type(metrics).__name__}."
        raise ParamsError(msg, "Return metrics by name, or None.")
    return metrics


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MosaicError) or not text:
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}"
