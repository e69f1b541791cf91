"""Where a dataset's files should lie: rules without a folder, and files that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from mosaic_dagster.dataset import Dataset, SourceRule, resolve_path
from mosaic_dagster.dataset.scan import scan_sources
from mosaic_dagster.health.finding import Finding, looked_at
from mosaic_dagster.store import SourceRow

_SHOWN = 3


def check_sources(about: str, dataset: Dataset, recorded: Sequence[SourceRow]) -> Iterator[Finding]:
    """Look at every rule of a manifest; no file is recorded.

    Parameters
    ----------
    about
        What the findings are about.
    dataset
        The dataset.
    recorded
        The sources that its registry knows.
    """
    rules = dataset.manifest.sources
    if not rules:
        yield Finding(
            about, "No source of files is known.", remedy="`mosaic ingest PATH` adds one."
        )
    for asset in dict.fromkeys(rule.asset for rule in rules):
        own = [rule for rule in rules if rule.asset == asset]
        known = [row for row in recorded if row.asset == asset]
        yield from looked_at(about, partial(_scan, about, dataset, asset, own, known))


def _scan(
    about: str,
    dataset: Dataset,
    asset: str,
    rules: Sequence[SourceRule],
    recorded: Sequence[SourceRow],
) -> Iterator[Finding]:
    scan = scan_sources(rules, recorded, dataset.base)
    told = f"{len(scan.present)} files of {asset}, {len(scan.new)} of them new"
    yield Finding(about, f"{told}, {len(scan.changed)} changed.")
    for root in scan.absent:
        what = root.describe().removesuffix(root.remedy).rstrip()
        yield Finding(about, what, "warning", root.remedy)
    absent = {root.path for root in scan.absent}
    places = [(rule, resolve_path(rule.path, dataset.base)) for rule in rules]
    missing = [(rule, at) for rule, at in places if at not in absent and not at.exists()]
    for rule, _ in missing:
        what = f"The source {rule.path!r} of {asset} is not there."
        yield Finding(about, what, "warning", f"Mount or restore it, or {_removed(rule)}.")
    at_missing = {at for _, at in missing}
    refused = [refusal.reason for refusal in scan.refused if refusal.path not in at_missing]
    for reason in refused[:_SHOWN]:
        remedy = "Correct or move the file; `mosaic status` lists all of them."
        yield Finding(about, f"A file cannot be used: {reason}", "warning", remedy)
    if len(refused) > _SHOWN:
        what = f"{len(refused) - _SHOWN} more files cannot be used."
        yield Finding(about, what, "warning", "`mosaic status` lists them.")
    if scan.vanished:
        what = f"{len(scan.vanished)} files of {asset} are gone, such as {scan.vanished[0].path}."
        remedy = "Bring them back, or `mosaic clean --apply` forgets their recordings."
        yield Finding(about, what, "warning", remedy)


def _removed(rule: SourceRule) -> str:
    if rule.declared:
        return "take it out of the sources that the dataset declares"
    return f"`mosaic sources remove {rule.path}`"
