"""``mosaic store``: count, check and tidy the stored objects of a dataset."""

from __future__ import annotations

from collections import defaultdict
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
from mosaic_dagster.store import GRACE, GcReport, StoredObject, collect

DAMAGED_FOLDER = "damaged"
_MEMBER = "member:"
_NOBODY = "nothing that is current"
_HOUR = 3600

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Count, check and tidy the stored objects of a dataset.",
)

_STATS_SCHEMA = {"kind": pl.String, "objects": pl.Int64, "bytes": pl.Int64}
_DAMAGED_SCHEMA = {"object": pl.String, "problem": pl.String, "belongs_to": pl.String,
                   "moved_to": pl.String}  # fmt: skip


@app.command("stats")
def stats(
    dataset: DatasetOption = None, as_json: JsonOption = False, project: ProjectOption = None
) -> None:
    """Count the stored objects and their bytes, by kind, and those that are named somewhere.

    Example: mosaic store stats
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        counted = opened.objects.stats()
        live = opened.registry.live_objects()
        there = [stored for stored in opened.objects.all() if stored.digest in live]
    rows = [(f".{ext}", count, size) for ext, (count, size) in counted.by_ext.items()]
    rows.append(("all", counted.objects, counted.bytes))
    rows.append(("named by the database", len(there), sum(stored.size for stored in there)))
    table = pl.DataFrame(rows, schema=_STATS_SCHEMA, orient="row")
    if not as_json:
        sizes = pl.Series("size", [size_text(n) for n in table["bytes"]], dtype=pl.String)
        table = table.drop("bytes").with_columns(sizes)
    print_table(table, as_json)


@app.command("verify")
def verify(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Move damaged objects aside, so that the next run makes them again."
        ),
    ] = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Read every object and compare its bytes with its name.

    The exit status is 1 when an object is damaged and was not moved aside. Objects that were
    deleted are told too; the next run makes those that are still wanted.

    Example: mosaic store verify --repair
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        checked = opened.objects.verify()
        owners = _Owners(opened)
        missing = opened.registry.live_objects() - {s.digest for s in opened.objects.all()}
        rows = [_row(s.digest, "damaged", owners, _aside(opened, s, repair, found.root))
                for s in checked.damaged]  # fmt: skip
        if repair:
            rows += [
                _row(state, "a file of it is damaged", owners, shown_path(moved, found.root))
                for state, moved in owners.move_states(checked.damaged)
            ]
        rows += [_row(digest, "missing", owners, "") for digest in sorted(missing)]
        rows += [
            {"object": shown_path(path, found.root), "problem": "no object", "belongs_to": "",
             "moved_to": ""}
            for path in checked.unexpected
        ]  # fmt: skip
    table = pl.DataFrame(rows, schema=_DAMAGED_SCHEMA)
    if as_json:
        print_table(table, as_json=True)
    else:
        if rows:
            print_table(table if repair else table.drop("moved_to"))
        print_lines(_verdict(checked.checked, checked.bytes, len(checked.damaged), repair))
    if checked.damaged and not repair:
        raise typer.Exit(1)


def _verdict(checked: int, size: int, damaged: int, repair: bool) -> list[str]:
    told = f"{checked} objects ({size_text(size)}) were read"
    if not damaged:
        return [f"{told}; none is damaged."]
    if repair:
        return [f"{told}; {damaged} damaged, moved aside.", "`mosaic run` makes them again."]
    remedy = "`mosaic store verify --repair` moves them aside, then `mosaic run` makes them again."
    return [f"{told}; {damaged} damaged.", remedy]


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
        registry = dataset.registry
        with registry.session():
            for entry in registry.entries():
                if entry.tracks_sha256:
                    self.names[entry.tracks_sha256].append(f"tracks {entry.key}")
            for pipeline in sorted({name for name, _, _ in registry.pipelines()} - {""}):
                self._add(pipeline)

    def of(self, digest: str) -> str:
        """Steps and entries in words."""
        return ", ".join(dict.fromkeys(self.names.get(digest, []))) or _NOBODY

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
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Remove objects that no row of the database names.

    Without --apply it is only said what would go. Young objects are spared: a run may be about
    to record them.

    Example: mosaic store gc --apply
    """
    with open_project(project) as found:
        opened = found.open(found.study(dataset))
        report = collect(
            opened.registry.database, opened.objects,
            grace=timedelta(hours=grace), dry_run=not apply,
        )  # fmt: skip
    if as_json:
        print_json(_gc_facts(report))
        return
    verb = "would be removed; --apply does it" if report.dry_run else "were removed"
    print_lines(
        [
            f"{len(report.removed)} objects ({size_text(report.bytes)}) {verb}.",
            f"{report.kept} are live; {report.spared_by_grace} that nothing names are younger "
            f"than {grace:g} hours and stay.",
        ]
    )


def _gc_facts(report: GcReport) -> dict[str, Any]:
    removed = [{"sha256": s.digest, "ext": s.ext, "bytes": s.size} for s in report.removed]
    return {
        "dry_run": report.dry_run,
        "removed": removed,
        "bytes": report.bytes,
        "live": report.kept,
        "spared_by_grace": report.spared_by_grace,
        "temporary": report.temporary,
    }
