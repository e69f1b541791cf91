"""Run a callback step: own code, given results, giving back files and trained models."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import ObjectMissingError, PipelineError
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext, state_manifest
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.steps import CallbackStep
from mosaic_dagster.pipeline.training import training_files
from mosaic_dagster.pipeline.work import Record, failed
from mosaic_dagster.quality import profile_table
from mosaic_dagster.store import Dependency, Outcome, Profile, StepOutput
from mosaic_dagster.store.outputs import remove_files, write_files

METADATA = "metadata.json"
"""File of a callback's state that holds the metadata it returned."""


def run_callback(
    dataset: Dataset, evaluation: Evaluation, step: BoundStep, outcome: Outcome
) -> Record:
    """Call the step's function and store what it returns; its files also go to the exports.

    A step per entry is given results that hold the outcome's entry alone.
    """
    started = time.perf_counter()
    assert isinstance(step.step, CallbackStep)
    try:
        results = {n: StepResult.of(evaluation, n, outcome.key or None) for n in step.inputs}
        output = step.step.fn(dataset, results, **step.step.params)
        files = _files_of(step, output)
        members = {
            name: dataset.objects.put(data, member_ext(name)).digest for name, data in files.items()
        }
        manifest = dataset.objects.put(state_manifest(members), STATE_EXT)
        shown = {name: data for name, data in files.items() if is_export(name)}
        _refuse_taken(evaluation, step, shown)
        folder = callback_folder(dataset, evaluation.bound.name, step.name, outcome.key)
        write_files(folder, shown)
        remove_files(folder, _earlier_files(evaluation, step, outcome.key) - set(shown))
    except Exception as error:  # noqa: BLE001 - a failing callback is recorded, not raised
        return Record(failed(outcome, error, time.perf_counter() - started), 0.0)
    seconds = time.perf_counter() - started
    made = replace(
        outcome,
        state="fresh",
        output_sha256=manifest.digest,
        ext=manifest.ext,
        rows=len(shown),
        bytes=manifest.size,
        seconds=seconds,
        inputs=(
            *outcome.inputs,
            *(Dependency(f"member:{name}", digest) for name, digest in members.items()),
        ),
        profile=_profile_of(output),
    )
    return Record(made, seconds)


def _profile_of(output: StepOutput | None) -> Profile | None:
    """What is in the one table that a callback returned; None when there are none or several."""
    outputs = [] if output is None else output.outputs
    tables = [data for data, _, _ in outputs if isinstance(data, pl.DataFrame)]
    return profile_table(tables[0]) if len(tables) == 1 else None


def restore_exports(
    dataset: Dataset, evaluation: Evaluation, step: BoundStep, keys: Iterable[str]
) -> list[Path]:
    """Write a callback's stored files to the exports again, where they are gone or differ."""
    result = StepResult.of(evaluation, step.name)
    written: list[Path] = []
    for key in keys:
        files = result.artifacts(key)
        data = {name: path.read_bytes() for name, path in files.items() if is_export(name)}
        written += write_files(
            callback_folder(dataset, evaluation.bound.name, step.name, key), data
        )
    return written


def export_folder(dataset: Dataset, pipeline: str) -> Path:
    """Where the files of a pipeline's callbacks lie."""
    return dataset.exports / f"{dataset.name}_{pipeline}"


def callback_folder(dataset: Dataset, pipeline: str, step: str, key: str) -> Path:
    """Where the files of a callback lie; one per entry has a folder for each."""
    folder = export_folder(dataset, pipeline)
    return folder.joinpath(step, *key.split("/")) if key else folder


def is_export(name: str) -> bool:
    """Whether a file of a callback's result is one for people, which lies in the exports."""
    return name != METADATA and "/" not in name


def _refuse_taken(evaluation: Evaluation, step: BoundStep, names: Iterable[str]) -> None:
    """Refuse a file that another callback over the whole scope exports: one would be lost."""
    if step.has_entries:
        return
    for other in evaluation.bound.steps.values():
        if other.is_callback and not other.has_entries and other.name != step.name:
            taken = set(names) & (set(StepResult.of(evaluation, other.name).artifacts()))
            if taken:
                msg = f"{step.name!r} and {other.name!r} both export {', '.join(sorted(taken))}."
                raise PipelineError(msg, "Give one of the files another name.")


def _earlier_files(evaluation: Evaluation, step: BoundStep, key: str) -> set[str]:
    """Names of the files that the step's last result had; those of a failed one are not known."""
    head = evaluation.units(step.name)[key].head
    if head is None or head.output_sha256 is None:
        return set()
    try:
        members = evaluation.snapshot.state_members(head.output_sha256)
        return {name for name in members if is_export(name)}
    except ObjectMissingError:  # removed by hand: its files stay until somebody removes them
        return set()


def _files_of(step: BoundStep, output: StepOutput | None) -> dict[str, bytes]:
    if output is None:
        output = StepOutput()
    if not isinstance(output, StepOutput):
        msg = f"Callback {step.name!r} returned a {type(output).__name__}."
        raise PipelineError(msg, "Return a StepOutput, or None.")
    if output.chains and not step.trains:
        msg = f"Callback {step.name!r} returned trained chains."
        raise PipelineError(msg, "Declare it as a TrainingStep.")
    if step.trains and not output.chains:
        msg = f"Training step {step.name!r} returned no trained chain."
        raise PipelineError(msg, "Return StepOutput(artifacts=..., chains=[TrainedChain(...)]).")
    files = output.files() | training_files(output)
    if output.metadata:
        files[METADATA] = canonical_json(output.metadata).encode()
    return files
