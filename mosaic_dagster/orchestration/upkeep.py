"""Upkeep of the stores: an asset check per dataset, and a job over all checks."""

# Dagster reads the annotations of asset and op functions, so they are not postponed here.

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.orchestration.asset_keys import tracks_key
from mosaic_dagster.pipeline import Study
from mosaic_dagster.store import LeavingFile, WorkspaceStore, collect

STORE_IS_SOUND = "store_is_sound"
STORE_UPKEEP = "store_upkeep"

_MOST_ROWS = 100

DAMAGED, MISSING, JOURNAL = "damaged objects", "missing objects", "damaged journals"
COUNTS, DANGLING, LEFTOVERS = "wrong counts", "dangling rows", "leftovers"
_LOSSES = (DAMAGED, MISSING, JOURNAL)
"""What cannot be mended without making something again."""


class UpkeepConfig(dg.Config):
    """How the store of a dataset is checked and tidied."""

    apply: bool = Field(
        default=False,
        description="Remove files and artifacts that nothing names; else only count them.",
    )
    grace_hours: float = Field(
        default=24.0, ge=0, description="Age up to which a file that nothing names is spared."
    )
    hashes: bool | None = Field(
        default=None,
        description="Read every byte. By default the job store_upkeep does, and a check that "
        "runs beside a materialization only sees whether the files exist.",
    )


@dataclass(frozen=True)
class Findings:
    """What is wrong with a store.

    Attributes
    ----------
    kinds
        Kind of problem -> what has it.
    without_arrays
        Number of predictions that have scores only; no problem.
    objects, bytes
        What was looked at.
    read
        Whether the bytes were read.
    """

    kinds: Mapping[str, Sequence[str]]
    without_arrays: int
    objects: int
    bytes: int
    read: bool


@dataclass(frozen=True)
class Sweep:
    """Files that nothing names any more, and whether they were removed."""

    files: Sequence[LeavingFile]
    applied: bool

    @property
    def bytes(self) -> int:
        """Their size in all."""
        return sum(file.bytes for file in self.files)


def store_checks(studies: Sequence[Study]) -> list[dg.AssetChecksDefinition]:
    """The check ``store_is_sound`` on the tracks of each dataset."""
    return [_store_check(study) for study in studies]


def upkeep_job(studies: Sequence[Study]) -> Any:
    """The job ``store_upkeep``: the checks of all datasets, and nothing else."""
    keys = [dg.AssetCheckKey(tracks_key(s.dataset.name), STORE_IS_SOUND) for s in studies]
    return dg.define_asset_job(
        STORE_UPKEEP,
        selection=dg.AssetSelection.checks(*keys),
        executor_def=dg.in_process_executor,
        description="Reads every stored object of every dataset, compares files, tables and "
        "journals, and counts, or removes when it is configured so, what nothing names.",
    )


def _store_check(study: Study) -> dg.AssetChecksDefinition:
    workspace = f"{study.dataset.name}_workspace"

    @dg.asset_check(  # type: ignore[arg-type]  # its annotation leaves out generators
        asset=tracks_key(study.dataset.name),
        name=STORE_IS_SOUND,
        blocking=False,
        required_resource_keys={workspace},
        description="Stored objects are there and whole, tables and journals agree, and nothing "
        "is left over.",
    )
    def store_is_sound(
        context: dg.AssetCheckExecutionContext, config: UpkeepConfig
    ) -> Iterator[dg.AssetCheckResult]:
        dataset = getattr(context.resources, workspace).open(study.dataset)
        in_job = context.run.job_name == STORE_UPKEEP
        found = look(dataset, hashes=in_job if config.hashes is None else config.hashes)
        result = check_result(found, sweep(dataset, config.grace_hours, apply=config.apply))
        if in_job:
            sys.stdout.write(f"{dataset.name}: {result.description}\n")
            sys.stdout.flush()
        yield result
        if in_job and not result.passed and result.severity is dg.AssetCheckSeverity.ERROR:
            # Who looks at runs only, or at exit statuses, must see it too.
            raise dg.Failure(f"{dataset.name}: {result.description}", allow_retries=False)

    return store_is_sound


def look(dataset: Dataset, *, hashes: bool) -> Findings:
    """Compare the files, tables and journals of a dataset; nothing is changed.

    Parameters
    ----------
    dataset
        The dataset, in its workspace.
    hashes
        Whether to read every byte.

    Raises
    ------
    StoreLockedError
        Another process held the database for too long.
    """
    report = dataset.objects.verify() if hashes else None
    # What is named is read before what is there: an object stored meanwhile is not missing.
    named = dataset.registry.live_objects()
    with WorkspaceStore(dataset.path) as store:
        of_models = store.verify()
    there = {stored.digest: stored.size for stored in dataset.objects.all()}
    of_artifacts = {_digest(path) for path in of_models["missing_files"]}
    kinds = {
        DAMAGED: [] if report is None else [stored.digest for stored in report.damaged],
        MISSING: sorted((named - there.keys()) | of_artifacts),
        JOURNAL: of_models["damaged_journals"],
        COUNTS: [row["artifact_id"] for row in of_models["wrong_ref_counts"]],
        DANGLING: [f"{row['table']} {row['id']}" for row in of_models["dangling_rows"]],
    }
    without_arrays = len(of_models["predictions_without_arrays"])
    return Findings(kinds, without_arrays, len(there), sum(there.values()), hashes)


def sweep(dataset: Dataset, grace_hours: float, *, apply: bool) -> Sweep:
    """Find the files that nothing names and that are older than a grace, and remove them if asked.

    Files of artifacts that no chain names and that wait for none go without a grace.
    """
    grace = timedelta(hours=grace_hours)
    with WorkspaceStore(dataset.path) as store, store.session():
        found = store.preview.gc_artifacts(orphan_grace=grace.total_seconds()).files
        if apply:
            store.gc_artifacts(orphan_grace=grace.total_seconds())
            # Left-over temporary files go with this one.
            collect(dataset.registry.database, dataset.objects, grace=grace, dry_run=False)
            found = [file for file in found if not (dataset.objects.root / file.path).exists()]
    return Sweep(found, apply)


def check_result(found: Findings, swept: Sweep) -> dg.AssetCheckResult:
    """The findings as Dagster shows them: an error for what is lost, else a warning."""
    leftovers = [] if swept.applied else [file.sha256 for file in swept.files]
    kinds = {**found.kinds, LEFTOVERS: leftovers}
    is_lost = any(kinds[kind] for kind in _LOSSES)
    metadata: dict[str, Any] = {kind: len(names) for kind, names in kinds.items()}
    metadata |= {
        "predictions without arrays": found.without_arrays,
        "objects": found.objects,
        "bytes": found.bytes,
        "bytes were read": found.read,
        "files freed" if swept.applied else "files that gc would free": len(swept.files),
        "bytes freed" if swept.applied else "bytes that gc would free": swept.bytes,
    }
    rows = [(kind, name) for kind, names in kinds.items() for name in names]
    if rows:
        metadata["findings"] = dg.MetadataValue.table(
            [dg.TableRecord({"problem": kind, "where": name}) for kind, name in rows[:_MOST_ROWS]]
        )
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if is_lost else dg.AssetCheckSeverity.WARN,
        description=_in_words(kinds),
        metadata=metadata,
    )


def _in_words(kinds: Mapping[str, Sequence[str]]) -> str:
    told = [f"{len(names)} {kind}" for kind, names in kinds.items() if names]
    if not told:
        return "Nothing is damaged, missing or left over."
    remedies = []
    if any(names for kind, names in kinds.items() if kind != LEFTOVERS):
        remedies.append("`mosaic store verify` says what they belong to and what to do.")
    if kinds[LEFTOVERS]:
        remedies.append("`mosaic store gc --apply` removes what is left over.")
    return f"{', '.join(told)}. {' '.join(remedies)}"


def _digest(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]
