"""Reference counts of artifacts: live chains that name one, and saves that no chain took up yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import duckdb

from mosaic_dagster.errors import UnknownIdError
from mosaic_dagster.store.chains import artifact_ids
from mosaic_dagster.store.database.bulk import INTEGER, TEXT, first_row, rows_as, texts_as
from mosaic_dagster.store.workspace.json_columns import from_json

_OF_CHAIN = "fold_artifacts, shared_artifacts, steps"


def take(con: duckdb.DuckDBPyConnection, ids: Iterable[str]) -> None:
    """Count a new chain's references; where a save waits for one, it becomes this reference.

    Raises
    ------
    UnknownIdError
        An artifact is not there.
    """
    with texts_as(con, "taken", ids):
        missing = first_row(
            con,
            "SELECT value FROM taken ANTI JOIN main.artifacts ON artifact_id = value "
            "ORDER BY value LIMIT 1",
        )
        if missing is not None:
            msg = f"There is no artifact {missing[0]!r}."
            raise UnknownIdError(msg, "Save or register artifacts before the chain.")
        con.execute(
            """
            UPDATE main.artifacts SET
                ref_count = ref_count + CASE WHEN open_claims > 0 THEN 0 ELSE 1 END,
                open_claims = greatest(open_claims - 1, 0)
            WHERE artifact_id IN (SELECT value FROM taken)
            """
        )


def give_back(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Take back the references of all chains of the pipelines in the table ``leaving``.

    Returns
    -------
    list of str
        The artifacts that these chains named.
    """
    counted = _counted(
        con.execute(
            f"SELECT {_OF_CHAIN} FROM main.chains WHERE pipeline_id IN (SELECT value FROM leaving)"
        ).fetchall()
    )
    columns = {"artifact_id": TEXT, "n": INTEGER}
    with rows_as(con, "given_back", columns, list(counted.items())):
        con.execute(
            """
            UPDATE main.artifacts AS a SET ref_count = greatest(a.ref_count - g.n, 0)
            FROM given_back g WHERE a.artifact_id = g.artifact_id
            """
        )
    return list(counted)


def wrong(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Artifacts whose count is not what the chains and the open claims make it.

    One that a chain names and that has no row counts as None.
    """
    counted = _counted(con.execute(f"SELECT {_OF_CHAIN} FROM main.chains").fetchall())
    rows = con.execute(
        "SELECT artifact_id, ref_count, open_claims FROM main.artifacts ORDER BY artifact_id"
    ).fetchall()
    found = [
        {"artifact_id": name, "ref_count": count, "expected": counted[name] + claims}
        for name, count, claims in rows
        if count != counted[name] + claims
    ]
    lost = sorted(counted.keys() - {name for name, _, _ in rows})
    return found + [
        {"artifact_id": name, "ref_count": None, "expected": counted[name]} for name in lost
    ]


def correct(con: duckdb.DuckDBPyConnection) -> None:
    """Set every wrong count to what it should be."""
    columns = {"artifact_id": TEXT, "n": INTEGER}
    rows = [(found["artifact_id"], found["expected"]) for found in wrong(con)]
    with rows_as(con, "corrected", columns, rows):
        con.execute(
            "UPDATE main.artifacts AS a SET ref_count = c.n FROM corrected c "
            "WHERE a.artifact_id = c.artifact_id"
        )


def named_by_chains(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Identifiers that some live chain names."""
    return set(_counted(con.execute(f"SELECT {_OF_CHAIN} FROM main.chains").fetchall()))


def _counted(chains: Iterable[tuple[str | None, ...]]) -> Counter[str]:
    """In how many chains each artifact is named; a chain counts once, however often it does."""
    counted: Counter[str] = Counter()
    for chain in chains:
        fold, shared, steps = (from_json(text) for text in chain)
        counted.update(artifact_ids(fold or {}, shared or {}, steps or []))
    return counted
