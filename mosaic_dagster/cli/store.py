"""``mosaic store``: count, check and tidy the stored objects and tables of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.clean import ApplyOption
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.project import open_project
from mosaic_dagster.cli.tables import print_json, print_lines, print_table, shown_path, size_text
from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline.report import MODEL_LABEL
from mosaic_dagster.store import (
    GRACE,
    Leaving,
    StoredObject,
    VerifyReport,
    WorkspaceStore,
    collect,
)

DAMAGED_FOLDER = "damaged"
_MEMBER = "member:"
_NOBODY = "nothing that is current"
_HOUR = 3600

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Count, check and tidy the stored objects and tables of a dataset.",
)

_STATS_SCHEMA = {"kind": pl.String, "objects": pl.Int64, "bytes": pl.Int64}
_DAMAGED_SCHEMA = {"object": pl.String, "problem": pl.String, "belongs_to": pl.String,
                   "moved_to": pl.String}  # fmt: skip


@app.command("stats")
def stats(
    dataset: DatasetOption = None, as_json: JsonOption = False, project: ProjectOption = None
) -> None:
    """Count the stored objects and their bytes, by kind, and what the tables name.

    Artifacts are the fitted objects of models; each counts once for every chain that uses it, and
    its file counts once.

    Example: mosaic store stats
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        counted = opened.objects.stats()
        with WorkspaceStore(opened.path) as store:
            artifacts = store.list_artifacts()
            rows = store.preview.counts()
        live = opened.registry.live_objects() | set(artifacts["content_hash"])
        there = [stored for stored in opened.objects.all() if stored.digest in live]
    listed: list[tuple[str, int, int | None]] = [
        (f".{ext}", count, size) for ext, (count, size) in counted.by_ext.items()
    ]
    listed.append(("all", counted.objects, counted.bytes))
    listed.append(("named by the database", len(there), sum(stored.size for stored in there)))
    listed += [(table, count, None) for table, count in rows.items()]
    listed += _artifact_counts(artifacts)
    table = pl.DataFrame(listed, schema=_STATS_SCHEMA, orient="row")
    if not as_json:
        sizes = ["" if n is None else size_text(n) for n in table["bytes"]]
        table = table.drop("bytes").with_columns(pl.Series("size", sizes, dtype=pl.String))
    print_table(table, as_json)


def _artifact_counts(artifacts: pl.DataFrame) -> list[tuple[str, int, int | None]]:
    """Artifacts by type, their uses, and the files that all of these share."""
    sized = artifacts.with_columns(pl.col("size_bytes").fill_null(0))
    by_type = sized.group_by(pl.col("artifact_type").fill_null("")).agg(
        pl.len(), pl.col("size_bytes").sum()
    )
    uses, files = sized["ref_count"], sized.unique("content_hash")
    return [
        *((f"artifacts: {name}", count, size) for name, count, size in sorted(by_type.rows())),
        ("uses of artifacts", int(uses.sum()), int((uses * sized["size_bytes"]).sum())),
        ("files of artifacts", files.height, int(files["size_bytes"].sum())),
    ]


RepairOption = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="Move damaged objects aside, so that the next run makes them again, and mend the "
        "tables of models.",
    ),
]
HashesOption = Annotated[
    bool,
    typer.Option(
        "--hashes/--no-hashes", help="Read every byte, or only see whether the files exist."
    ),
]


@app.command("verify")
def verify(
    repair: RepairOption = False,
    hashes: HashesOption = True,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Read every object, compare its bytes with its name, and check the tables of models.

    The exit status is 1 when an object is damaged and was not moved aside, when an artifact of a
    model is missing, when a journal is damaged, or when tables contradict each other and were
    not mended. Results that were deleted are told too; the next run makes those that are wanted.

    Example: mosaic store verify --repair
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        checked = _checked(opened, hashes)
        owners = _Owners(opened)
        missing = opened.registry.live_objects() - {s.digest for s in opened.objects.all()}
        rows = [_row(s.digest, "damaged", owners, _aside(opened, s, repair, found.root))
                for s in checked.damaged]  # fmt: skip
        if repair:
            rows += [
                _row(state, "a file of it is damaged", owners, shown_path(moved, found.root))
                for state, moved in owners.move_states(checked.damaged)
            ]
        strays = [path for path in checked.unexpected if not owners.registered(path)]
        with WorkspaceStore(opened.path) as store:
            # Only files that are registered under other names were not read yet.
            others = len(strays) < len(checked.unexpected)
            of_models = store.verify(hashes=others, repair=repair)
        rows += _file_rows(missing, {s.digest for s in checked.damaged}, of_models, owners)
        rows += [_plain_row(shown_path(path, found.root), "no object") for path in strays]
        rows += _table_rows(of_models)
    table = pl.DataFrame(rows, schema=_DAMAGED_SCHEMA)
    if as_json:
        print_table(table, as_json=True)
    else:
        if rows:
            print_table(table if repair else table.drop("moved_to"))
        print_lines(_verdict(checked, hashes, repair))
        print_lines(_verdict_of_models(of_models, repair))
    if _is_wrong(checked, of_models, repair):
        raise typer.Exit(1)


def _checked(dataset: Dataset, hashes: bool) -> VerifyReport:
    if hashes:
        return dataset.objects.verify()
    counted = dataset.objects.stats()
    return VerifyReport(counted.objects, counted.bytes, [], [], [])


def _is_wrong(checked: VerifyReport, of_models: Mapping[str, Sequence[Any]], repair: bool) -> bool:
    mendable = checked.damaged or of_models["wrong_ref_counts"] or of_models["dangling_rows"]
    lasting = [of_models[kind] for kind in ("missing_files", "corrupt_files", "damaged_journals")]
    return any(lasting) or bool(mendable and not repair)


def _verdict(checked: VerifyReport, hashes: bool, repair: bool) -> list[str]:
    told = f"{checked.checked} objects ({size_text(checked.bytes)})"
    if not hashes:
        return [f"{told} are there; their bytes were not read."]
    damaged = len(checked.damaged)
    if not damaged:
        return [f"{told} were read; none is damaged."]
    if repair:
        return [f"{told} were read; {damaged} damaged, moved aside.",
                "`mosaic run` makes results again."]  # fmt: skip
    remedy = (
        "`mosaic store verify --repair` moves them aside; then `mosaic run` makes those again that "
        "a step still wants."
    )
    return [f"{told} were read; {damaged} damaged.", remedy]


def _verdict_of_models(found: Mapping[str, Sequence[Any]], repair: bool) -> list[str]:
    lines = []
    contradictions = len(found["wrong_ref_counts"]) + len(found["dangling_rows"])
    if contradictions:
        verb = "were mended." if repair else "are wrong; `mosaic store verify --repair` mends them."
        lines.append(f"{contradictions} rows and counts of the tables of models {verb}")
    if found["missing_files"]:
        lost = f"{len(found['missing_files'])} artifacts of models have lost their file"
        lines.append(f"{lost}: restore it, train again, or `mosaic models delete` the run.")
    if found["damaged_journals"]:
        lines.append("Rows behind the damage of a journal are in no table: save them again.")
    return lines


def _file_rows(
    missing: set[str], damaged: set[str], of_models: Mapping[str, Sequence[Any]], owners: _Owners
) -> list[dict[str, str]]:
    """What is altered or gone, apart from what was found damaged already."""
    lost = {owners.digest_of(path) for path in of_models["missing_files"]}
    altered = {owners.digest_of(path) for path in of_models["corrupt_files"]} - lost
    return [
        *(_row(digest, "damaged", owners, "") for digest in sorted(altered - damaged)),
        *(_row(digest, "missing", owners, "") for digest in sorted(missing | (lost - damaged))),
    ]


def _table_rows(found: Mapping[str, Sequence[Any]]) -> list[dict[str, str]]:
    rows = [
        _plain_row(row["artifact_id"], f"counted {row['ref_count']} times, not {row['expected']}")
        for row in found["wrong_ref_counts"]
    ]
    for row in found["dangling_rows"]:
        ((column, lost),) = ((k, v) for k, v in row.items() if k not in ("table", "id"))
        rows.append(_plain_row(f"{row['table']} {row['id']}", f"its {column} {lost} is gone"))
    rows += [_plain_row(f"journal {name}", "damaged") for name in found["damaged_journals"]]
    if found["predictions_without_arrays"]:
        count = len(found["predictions_without_arrays"])
        rows.append(_plain_row("predictions", f"{count} without arrays, which is no error"))
    return rows


def _plain_row(name: str, problem: str) -> dict[str, str]:
    return {"object": name, "problem": problem, "belongs_to": "", "moved_to": ""}


def _row(digest: str, problem: str, owners: _Owners, moved_to: str) -> dict[str, str]:
    names = owners.of(digest)
    return {"object": digest, "problem": problem, "belongs_to": names, "moved_to": moved_to}


def _aside(dataset: Dataset, stored: StoredObject, repair: bool, root: Path) -> str:
    return shown_path(_move(dataset, stored.digest, stored.ext), root) if repair else ""


def _move(dataset: Dataset, digest: str, ext: str) -> Path:
    target = dataset.path / DAMAGED_FOLDER / f"{digest}.{ext}"
    target.parent.mkdir(exist_ok=True)
    return dataset.objects.path(digest, ext).rename(target)


class _Owners:
    """Which steps and entries an object belongs to, as far as they are current."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.names: dict[str, list[str]] = defaultdict(list)
        self.states: dict[str, set[str]] = defaultdict(set)
        self.digests: dict[str, str] = {}
        registry = dataset.registry
        with registry.session():
            for entry in registry.entries():
                if entry.tracks_sha256:
                    self.names[entry.tracks_sha256].append(f"tracks {entry.key}")
            for pipeline in sorted({name for name, _, _ in registry.pipelines()} - {""}):
                self._add(pipeline)
        with WorkspaceStore(dataset.path) as store:
            for row in store.list_artifacts().iter_rows(named=True):
                name = f"artifact {row['artifact_id']} {row['operator_class'] or ''}".rstrip()
                self.names[row["content_hash"]].append(name)
                self.digests[row["artifact_path"]] = row["content_hash"]

    def of(self, digest: str) -> str:
        """Steps and entries in words."""
        return ", ".join(dict.fromkeys(self.names.get(digest, []))) or _NOBODY

    def digest_of(self, path: str) -> str:
        """Digest of an artifact's file."""
        return self.digests.get(path, path)

    def registered(self, path: Path) -> bool:
        """Whether a file that is named otherwise than objects are is an artifact."""
        return path.relative_to(self.dataset.objects.root).as_posix() in self.digests

    def move_states(self, damaged: list[StoredObject]) -> list[tuple[str, Path]]:
        """Move aside the states whose files are damaged: only then are they fitted again."""
        there = self.dataset.objects
        found = sorted({state for s in damaged for state in self.states.get(s.digest, ())})
        return [(s, _move(self.dataset, s, "json")) for s in found if there.exists(s, "json")]

    def _add(self, pipeline: str) -> None:
        registry = self.dataset.registry
        heads = [head for head in registry.heads(pipeline) if head.output_sha256]
        made_from = registry.dependencies_of([head.action_key for head in heads if not head.key])
        for head in heads:
            name = f"{pipeline}/{head.step} {head.key or MODEL_LABEL}"
            assert head.output_sha256 is not None
            self.names[head.output_sha256].append(name)
            for part in made_from.get(head.action_key, ()) if not head.key else ():
                if part.role.startswith(_MEMBER):
                    member = part.role.removeprefix(_MEMBER)
                    self.names[part.sha256].append(f"{name} {member}")
                    self.states[part.sha256].add(head.output_sha256)


@app.command("gc")
def gc(
    apply: ApplyOption = False,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="HOURS", help="Spare younger objects.")
    ] = GRACE.total_seconds() / _HOUR,
    stale: Annotated[
        float | None,
        typer.Option(
            "--stale-claims",
            min=0,
            metavar="HOURS",
            help="Give up artifacts that were saved longer ago and that no chain took up since.",
        ),
    ] = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Remove objects that no row of the database names, and artifacts that no chain names.

    Without --apply it is only said what would go. Young objects are spared: a run may be about
    to record them. An artifact that was saved waits for its chain; --stale-claims ends the wait
    of those whose training crashed.

    Example: mosaic store gc --apply
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        claims, orphans = None if stale is None else stale * _HOUR, grace * _HOUR
        with WorkspaceStore(opened.path) as store, store.session():
            leaving = store.preview.gc_artifacts(stale_claims_after=claims, orphan_grace=orphans)
            if apply:
                store.gc_artifacts(stale_claims_after=claims, orphan_grace=orphans)
            # Files that killed puts left go with this one.
            rest = collect(
                opened.registry.database, opened.objects, grace=timedelta(hours=grace),
                dry_run=not apply,
            )  # fmt: skip
            if apply:
                # What was wanted again meanwhile is still there.
                gone = [f for f in leaving.files if not (opened.objects.root / f.path).exists()]
                leaving = replace(leaving, files=gone)
    if as_json:
        print_json(_gc_facts(leaving, rest.temporary, dry_run=not apply))
    else:
        print_lines(_gc_lines(leaving, grace, dry_run=not apply))


def _gc_lines(leaving: Leaving, grace: float, *, dry_run: bool) -> list[str]:
    verb = "would be removed; --apply does it." if dry_run else "were removed."
    lines = [f"{len(leaving.files)} objects ({size_text(leaving.bytes)}) {verb}"]
    if leaving.artifacts or leaving.claims:
        lines.append(f"{len(leaving.artifacts)} artifacts that no chain names are among what goes, "
                     f"{leaving.claims} claims on artifacts were stale.")  # fmt: skip
    lines.append(
        f"{leaving.live} are live; {leaving.spared} that nothing names are younger "
        f"than {grace:g} hours and stay."
    )
    return lines


def _gc_facts(leaving: Leaving, temporary: int, *, dry_run: bool) -> dict[str, Any]:
    removed = [
        {"sha256": file.sha256, "ext": file.path.partition(".")[2], "bytes": file.bytes}
        for file in leaving.files
    ]
    return {
        "dry_run": dry_run,
        "removed": removed,
        "bytes": leaving.bytes,
        "artifacts": leaving.artifacts,
        "stale_claims": leaving.claims,
        "live": leaving.live,
        "spared_by_grace": leaving.spared,
        "temporary": temporary,
    }
