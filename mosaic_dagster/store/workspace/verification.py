"""Whether rows, files, counts and journals agree."""

from __future__ import annotations

from typing import Any

import duckdb

from mosaic_dagster.errors import StoreError
from mosaic_dagster.hashing import digest_file
from mosaic_dagster.store.content.sweep import put_back
from mosaic_dagster.store.database.bulk import first_row
from mosaic_dagster.store.database.journal import fold
from mosaic_dagster.store.gc import live_digests
from mosaic_dagster.store.workspace import references
from mosaic_dagster.store.workspace.opened import OpenWorkspace

_PARENTS = (
    # table, its key, the column that names the parent, the parent's table
    ("prediction_arrays", "prediction_id", "prediction_id", "predictions"),
    ("predictions", "prediction_id", "chain_id", "chains"),
    ("predictions", "prediction_id", "pipeline_id", "pipelines"),
    ("logs", "log_id", "pipeline_id", "pipelines"),
    ("chains", "chain_id", "pipeline_id", "pipelines"),
    ("pipelines", "pipeline_id", "run_id", "runs"),
)


def verify(workspace: OpenWorkspace, hashes: bool, repair: bool) -> dict[str, list[Any]]:
    """Do the work of :meth:`WorkspaceStore.verify`."""
    if repair and workspace.read_only:
        msg = f"{workspace.path} was opened read-only."
        raise StoreError(msg, "Open it without read_only to repair it.")
    with workspace.session():
        with workspace.reading() as con:
            named = con.execute(
                "SELECT DISTINCT artifact_path, content_hash FROM main.artifacts ORDER BY ALL"
            ).fetchall()
            found = _findings(workspace, con, named)
        if repair:
            with workspace.writing() as con:
                # A parent that goes makes its children dangle.
                while _delete_dangling(con):
                    continue
                references.correct(con)
            workspace.forget()
    if hashes:
        # Reading every file takes long, so others may have the database meanwhile.
        corrupt = [path for path, digest in named if _is_altered(workspace, path, digest)]
        found["corrupt_files"] = list(dict.fromkeys(corrupt))
    return found


def _findings(
    workspace: OpenWorkspace, con: duckdb.DuckDBPyConnection, named: list[tuple[str, str]]
) -> dict[str, list[Any]]:
    missing = [path for path, digest in named if not _is_there(workspace, path, digest)]
    live = live_digests(con)
    orphans = [stored.path for stored in workspace.objects.all() if stored.digest not in live]
    return {
        "missing_files": list(dict.fromkeys(missing)),
        "orphan_files": orphans,
        "corrupt_files": [],
        "wrong_ref_counts": references.wrong(con),
        "dangling_rows": _dangling(con),
        "predictions_without_arrays": _without_arrays(con),
        "damaged_journals": fold.damaged(con, workspace.database.journal_folder),
    }


def _is_there(workspace: OpenWorkspace, path: str, digest: str) -> bool:
    file = workspace.objects.root / path
    return file.is_file() or (put_back(workspace.objects, digest) and file.is_file())


def _is_altered(workspace: OpenWorkspace, path: str, digest: str) -> bool:
    try:
        return digest_file(workspace.objects.root / path) != digest
    except FileNotFoundError:
        return False
    except OSError:
        # A file that cannot be read is of no more use than one with other bytes.
        return True


def _without_arrays(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute(
        """
        SELECT prediction_id FROM main.predictions ANTI JOIN main.prediction_arrays
        USING (prediction_id) ORDER BY prediction_id
        """
    ).fetchall()
    return [prediction_id for (prediction_id,) in rows]


def _dangling(con: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    found = []
    for table, key, column, parent in _PARENTS:
        rows = con.execute(
            f"SELECT {key}, {column} FROM main.{table} c WHERE {_is_loose(column, parent)} "
            f"ORDER BY {key}"
        ).fetchall()
        found += [{"table": table, "id": own, column: lost} for own, lost in rows]
    return found


def _delete_dangling(con: duckdb.DuckDBPyConnection) -> int:
    deleted = 0
    for table, _, column, parent in _PARENTS:
        row = first_row(con, f"DELETE FROM main.{table} c WHERE {_is_loose(column, parent)}")
        deleted += 0 if row is None else row[0]
    return deleted


def _is_loose(column: str, parent: str) -> str:
    key = {"predictions": "prediction_id", "chains": "chain_id", "pipelines": "pipeline_id",
           "runs": "run_id"}[parent]  # fmt: skip
    return (
        f"c.{column} IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM main.{parent} p WHERE p.{key} = c.{column})"
    )
