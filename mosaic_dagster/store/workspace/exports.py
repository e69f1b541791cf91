"""Exports: chains, runs, configurations and predictions as files for people and machines."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from mosaic_dagster.errors import StoreValueError, UnknownIdError
from mosaic_dagster.store.bundles import (
    ChainArtifact,
    bundle_bytes,
    checked_import,
    refuse_untrusted,
    script_text,
)
from mosaic_dagster.store.chains import artifact_ids
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.database.bulk import first_row
from mosaic_dagster.store.formats import EXTENSIONS
from mosaic_dagster.store.workspace import artifacts, chains, pipelines, queries, runs
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_PIPELINE_FIELDS = (
    "pipeline_id", "name", "status", "dataset_name", "expanded_config", "generator_choices",
    "best_val", "best_test", "metric", "duration_ms", "error",
)  # fmt: skip
_RUN_FIELDS = (
    "run_id", "name", "status", "created_at", "completed_at", "config", "datasets", "summary",
    "error",
)  # fmt: skip


_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are read as they were."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # Unless they are quoted, these are written as they are, and read as the end of a line.
        style = '"' if _LINE_BREAKS.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def chain(
    workspace: OpenWorkspace, chain_id: str, output_path: str | Path, format: str,
    artifact_format: str,
) -> Path:  # fmt: skip
    """Write a chain as a bundle or as a script.

    Raises
    ------
    UnknownIdError
        There is no such chain.
    ObjectMissingError
        The file of an artifact is gone.
    StoreValueError
        The format is unknown, or a script cannot carry this chain.
    UntrustedArtifactError
        A script needs an artifact that runs code, and the store does not allow that.
    """
    if format not in ("n4a", "n4a.py"):
        msg = f"{format!r} is no format of a bundle."
        raise StoreValueError(msg, "Use 'n4a' or 'n4a.py'.")
    with workspace.session():
        found = chains.require(workspace, chain_id)
        parts = _artifacts_of(workspace, found)
        facts = _facts(workspace, chain_id)
    if format == "n4a":
        data = bundle_bytes(
            found, parts, artifact_format=artifact_format, trusted=workspace.allow_pickle, **facts
        )
    else:
        data = script_text(found, parts, trusted=workspace.allow_pickle).encode()
    return _write(output_path, f".{format}", data)


def import_chain(
    workspace: OpenWorkspace, path: str | Path, pipeline_id: str, trusted: bool
) -> str:
    """Store a bundle's artifacts and chain under a pipeline; nothing of it is deserialised.

    Raises
    ------
    BundleError
        The bundle is malformed, unsafe or inconsistent; nothing was stored.
    UntrustedArtifactError
        Loading an artifact later would run code or make objects of types that are not known to
        be safe, and the bundle is not trusted.
    """
    workspace.check_writable()
    found, parts = checked_import(Path(path))
    if not trusted:
        refuse_untrusted(Path(path), parts)
    with workspace.session():
        pipelines.ensure_open(workspace, pipeline_id)
        for part in parts:
            artifacts.save_bytes(
                workspace, part.data, part.ext, part.operator_class or "", "model", part.format
            )
        checked = chains.checked(
            found["steps"], found["model_step_idx"], found["fold_strategy"],
            found["fold_artifacts"], found["shared_artifacts"], found.get("branch_path"),
            found.get("source_index"), found.get("fold_weights"),
        )  # fmt: skip
        return chains.save(
            workspace, pipeline_id, checked, found["model_class"], found["preprocessings"]
        )


def pipeline_config(workspace: OpenWorkspace, pipeline_id: str, output_path: str | Path) -> Path:
    """Write the expanded configuration of a pipeline as JSON."""
    found = pipelines.get(workspace, pipeline_id)
    if found is None:
        msg = f"There is no pipeline {pipeline_id!r}."
        raise UnknownIdError(msg, "list_pipelines() names what there is.")
    text = json.dumps(found["expanded_config"], indent=2, ensure_ascii=False, allow_nan=False)
    return _write(output_path, ".json", (text + "\n").encode())


def run(workspace: OpenWorkspace, run_id: str, output_path: str | Path) -> Path:
    """Write a run with its pipelines and chains as YAML."""
    with workspace.session():
        found = runs.get(workspace, run_id)
        if found is None:
            msg = f"There is no run {run_id!r}."
            raise UnknownIdError(msg, "list_runs() names what there is.")
        listed = pipelines.list_pipelines(workspace, run_id, None).reverse()
        described = [_pipeline(workspace, pipeline_id) for pipeline_id in listed["pipeline_id"]]
    content = {name: _plain(found[name]) for name in _RUN_FIELDS} | {"pipelines": described}
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return _write(output_path, ".yaml", text.encode())


def predictions_parquet(
    workspace: OpenWorkspace, output_path: str | Path, filters: dict[str, Any]
) -> Path:
    """Write the predictions that fit the filters, without arrays, as Parquet."""
    limits = {name: filters.pop(name, None) for name in ("limit", "offset")}
    buffer = io.BytesIO()
    queries.query(workspace, filters, **limits).write_parquet(buffer)
    return _write(output_path, ".parquet", buffer.getvalue())


def _pipeline(workspace: OpenWorkspace, pipeline_id: str) -> dict[str, Any]:
    found = pipelines.get(workspace, pipeline_id) or {}
    chain_ids = chains.of_pipeline(workspace, pipeline_id)["chain_id"]
    described = [chains.require(workspace, chain_id) for chain_id in chain_ids]
    return {
        **{name: _plain(found[name]) for name in _PIPELINE_FIELDS},
        "chains": [{key: _plain(value) for key, value in one.items()} for one in described],
    }


def _artifacts_of(workspace: OpenWorkspace, found: dict[str, Any]) -> list[ChainArtifact]:
    named = artifact_ids(found["fold_artifacts"], found["shared_artifacts"], found["steps"])
    parts = []
    for artifact_id in sorted(named):
        row = artifacts.row_of(workspace, artifact_id)
        parts.append(
            ChainArtifact(
                artifact_id,
                artifacts.bytes_of(workspace, row),
                row["format"],
                EXTENSIONS[row["format"]],
                row["content_hash"],
                row["operator_class"],
            )
        )
    return parts


def _facts(workspace: OpenWorkspace, chain_id: str) -> dict[str, Any]:
    """Task and number of features, as the predictions of a chain tell them."""
    with workspace.reading() as con:
        row = first_row(
            con,
            "SELECT any_value(task_type), max(n_features) FROM main.predictions WHERE chain_id = ?",
            [chain_id],
        )
    return dict(zip(("task_type", "n_features"), row or (None, None), strict=True))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _write(output_path: str | Path, suffix: str, data: bytes) -> Path:
    """Write a file whose name ends with a suffix, which is appended unless it does already."""
    path = Path(output_path)
    if not path.name.endswith(suffix):
        path = path.with_name(path.name + suffix)
    return durable.replace_file(path, data)
