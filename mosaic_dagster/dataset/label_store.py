"""Labels in the store of a dataset: read from files, or added by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mosaic_dagster.dataset.identity import source_run_id
from mosaic_dagster.dataset.labels.files import AnyLabels, encode_labels, read_labels_file
from mosaic_dagster.dataset.labels.id_tags import IdTags
from mosaic_dagster.dataset.paths import resolve_path
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import EntryExistsError, EntryNotFoundError, LabelsError
from mosaic_dagster.hashing import digest
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import Head, Outcome, RunRow

if TYPE_CHECKING:
    from mosaic_dagster.dataset.dataset import Dataset

_PREFIX = "labels/"
_KIND = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")

EXTENSION = "parquet"
"""Kind of object that labels are stored as."""


def label_kinds(dataset: Dataset) -> list[str]:
    """Kinds of labels that the dataset has, or has a source of, sorted."""
    recorded = {step for _, step, _ in dataset.registry.pipelines() if step.startswith(_PREFIX)}
    assets = {rule.asset for rule in dataset.manifest.sources if rule.labels is not None}
    return sorted(asset.removeprefix(_PREFIX) for asset in recorded | assets)


def add_labels(
    dataset: Dataset, key: EntryKey, labels: AnyLabels, kind: str, overwrite: bool
) -> None:
    """Store labels of an entry; see :meth:`Dataset.add_labels`."""
    asset = _asset(kind)
    with dataset.registry.session():
        _check_free(dataset, key, asset, overwrite)
        stored = dataset.objects.put(encode_labels(labels, key), EXTENSION)
        rows = labels.table.height if isinstance(labels, IdTags) else labels.events.height
        given = {"kind": asset, "given": stored.digest, "entry": str(key)}
        run_id = source_run_id(asset)
        outcome = Outcome(
            pipeline="", step=asset, key=str(key), run_id=run_id, action_key=digest(given),
            state="fresh", output_sha256=stored.digest, ext=EXTENSION, rows=rows,
            bytes=stored.size, seconds=0.0, error=None, inputs=(), made=True,
        )  # fmt: skip
        dataset.registry.start_runs([RunRow(run_id, run_id, "1", params_json="{}")])
        dataset.registry.commit([outcome])
        dataset.registry.finish_runs([(run_id, "finished")])


def remove_labels(dataset: Dataset, key: EntryKey, kind: str) -> None:
    """Take labels of an entry away; see :meth:`Dataset.remove_labels`."""
    asset = _asset(kind)
    with dataset.registry.session():
        _check_not_from_file(dataset, key, asset)
        if not dataset.registry.drop_heads_at([("", asset, str(key))]):
            load_labels(dataset, key, kind)  # says that there are none, and which there are
        rows = dataset.registry.sources()
        gone = [(r.path, r.key, r.asset) for r in rows if (r.key, r.asset) == (str(key), asset)]
        dataset.registry.drop_sources(gone)


def load_labels(dataset: Dataset, key: EntryKey, kind: str) -> AnyLabels:
    """Labels of an entry, as last ingested or added; see :meth:`Dataset.labels`."""
    head = _heads(dataset, _asset(kind)).get(str(key))
    if head is None or head.output_sha256 is None:
        kinds = [k for k in label_kinds(dataset) if str(key) in _heads(dataset, _asset(k))]
        msg = f"The entry {key} of {dataset.name!r} has no labels of kind {kind!r}."
        has = f"It has labels of: {', '.join(kinds)}." if kinds else "It has none at all."
        failed = "The last attempt to read them failed; see `mosaic status`." if head else has
        raise EntryNotFoundError(msg, failed)
    return read_labels_file(dataset.objects.path(head.output_sha256, head.ext))


def save_id_labels(
    dataset: Dataset,
    kind: str,
    group: str,
    sequence: str,
    tags: Mapping[Any, Mapping[str, Any]],
    overwrite: bool = False,
) -> None:
    """Store tags of individuals, ``{id: {field: value}}``.

    Raises
    ------
    EntryExistsError
        The entry has tags of this kind and ``overwrite`` is False, or they come from a file.
    LabelsError
        The tags do not make a table.
    """
    add_labels(dataset, EntryKey(group, sequence), IdTags.from_mapping(tags), kind, overwrite)


def load_id_labels(
    dataset: Dataset, kind: str, group: str, sequence: str
) -> dict[str, dict[str, Any]]:
    """Tags of individuals, ``{id: {field: value}}``, ids as text.

    Raises
    ------
    EntryNotFoundError
        The entry has none of this kind.
    LabelsError
        The kind holds behaviour labels.
    """
    found = load_labels(dataset, EntryKey(group, sequence), kind)
    if not isinstance(found, IdTags):
        msg = f"The labels of kind {kind!r} are of behaviour, not tags of individuals."
        raise LabelsError(msg, "Use load_labels.")
    return found.as_mapping()


def _asset(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        msg = f"{kind!r} cannot be a kind of labels."
        raise LabelsError(msg, "Use lower-case letters, digits and single underscores.")
    return f"{_PREFIX}{kind}"


def _heads(dataset: Dataset, asset: str) -> dict[str, Head]:
    return {head.key: head for head in dataset.registry.heads("") if head.step == asset}


def _check_free(dataset: Dataset, key: EntryKey, asset: str, overwrite: bool) -> None:
    known = [row.key for row in dataset.registry.entries()]
    if str(key) not in known:
        msg = f"The dataset {dataset.name!r} has no entry {key}."
        raise EntryNotFoundError(msg, nearest(str(key), known) or "Add its tracks first.")
    _check_not_from_file(dataset, key, asset)
    if not overwrite and str(key) in _heads(dataset, asset):
        msg = f"The entry {key} of {dataset.name!r} has {asset} already."
        raise EntryExistsError(msg, "Use overwrite=True to replace them.")


def _check_not_from_file(dataset: Dataset, key: EntryKey, asset: str) -> None:
    """Refuse labels whose file is there: the next run would bring them back."""
    for source in dataset.registry.sources():
        if source.key == str(key) and source.asset == asset:
            path = resolve_path(source.path, dataset.base)
            if path.exists():
                msg = f"The labels of {key} come from {source.path}."
                raise EntryExistsError(msg, "Change or remove that file, or use another kind.")
