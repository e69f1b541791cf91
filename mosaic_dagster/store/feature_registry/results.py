"""Results by action key, and the head of each step for each entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb
import polars as pl

from mosaic_dagster.errors import ObjectMissingError
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.database.bulk import (
    INTEGER,
    REAL,
    TEXT,
    TIME,
    fetch_columns,
    fetch_table,
    rows_as,
    texts_as,
)
from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.feature_registry import profiles
from mosaic_dagster.store.feature_registry.records import (
    Dependency,
    Head,
    Outcome,
    Profile,
    ResultRow,
    StoredResult,
)

_RESULTS = {
    "action_key": TEXT, "key": TEXT, "output_sha256": TEXT, "path": TEXT, "ext": TEXT,
    "rows": INTEGER, "bytes": INTEGER, "seconds": REAL, "made_by": TEXT, "created_at": TIME,
}  # fmt: skip
_HEADS = {
    "pipeline": TEXT, "step": TEXT, "key": TEXT, "run_id": TEXT, "action_key": TEXT,
    "state": TEXT, "error": TEXT, "updated_at": TIME,
}  # fmt: skip
_DEPENDENCIES = dict.fromkeys(("action_key", "role", "input_sha256", "input_action_key"), TEXT)

ResultValues = tuple[str, str, str | None, str | None, str, int, int, float, str, datetime]
"""One row of ``results``, in the order of its columns."""

HeadValues = tuple[str, str, str, str, str, str, str | None, datetime]
"""One row of ``feature_entries``, in the order of its columns."""


def commit(database: Database, objects: ContentStore | None, outcomes: Sequence[Outcome]) -> None:
    """Make the objects durable, then write results, dependencies and heads in one transaction.

    Raises
    ------
    ObjectMissingError
        The object of a computed outcome is not in the store; nothing is written.
    """
    if not outcomes:
        return
    now = utc_now()
    made = [item for item in outcomes if item.made and item.output_sha256 is not None]
    results = [
        (item.action_key, item.key, item.output_sha256, None, item.ext, item.rows, item.bytes,
         item.seconds, item.run_id, now)
        for item in made
    ]  # fmt: skip
    heads: list[HeadValues] = [
        (item.pipeline, item.step, item.key, item.run_id, item.action_key, item.state,
         item.error, now)
        for item in outcomes
    ]  # fmt: skip
    if objects is not None and made:
        objects.sync()
    with database.transaction() as con:
        if objects is not None:
            _check_objects(objects, made)
        insert_dependencies(con, made)
        insert_results(con, results)
        insert_heads(con, heads)
        profiles.insert(con, profiles_of(made))


def profiles_of(made: Iterable[Outcome]) -> dict[str, Profile]:
    """Profiles among outcomes, by digest of the object."""
    return {
        item.output_sha256: item.profile
        for item in made
        if item.profile is not None and item.output_sha256 is not None
    }


def insert_results(con: duckdb.DuckDBPyConnection, results: Sequence[ResultValues]) -> None:
    """Add results; a known action key is rewritten when its output is another one."""
    # DuckDB refuses to update a row twice in one statement: the last of equal keys counts.
    rows = list({row[0]: row for row in results}.values())
    if not rows:
        return
    with rows_as(con, "new_results", _RESULTS, rows):
        con.execute(
            """
            INSERT INTO features.results BY NAME SELECT * FROM new_results
            ON CONFLICT (action_key) DO UPDATE SET
                output_sha256 = excluded.output_sha256, path = excluded.path,
                ext = excluded.ext, rows = excluded.rows, bytes = excluded.bytes,
                seconds = excluded.seconds, made_by = excluded.made_by,
                created_at = excluded.created_at
            WHERE results.output_sha256 IS DISTINCT FROM excluded.output_sha256
               OR results.path IS DISTINCT FROM excluded.path
               OR (results.path IS NOT NULL AND results.rows <> excluded.rows)
            """
        )


def insert_heads(con: duckdb.DuckDBPyConnection, heads: Sequence[HeadValues]) -> None:
    """Add heads, over those that are there."""
    rows = list({row[:3]: row for row in heads}.values())
    if not rows:
        return
    with rows_as(con, "new_heads", _HEADS, rows):
        con.execute(
            "INSERT OR REPLACE INTO features.feature_entries BY NAME SELECT * FROM new_heads"
        )


def insert_dependencies(con: duckdb.DuckDBPyConnection, made: Iterable[Outcome]) -> None:
    """Write the inputs of results, in the place of those recorded under the same action key.

    The inputs of equal keys are equal, but the files of a state that was made anew may differ.
    """
    rows = {
        (item.action_key, part.role, part.sha256, part.action_key): None
        for item in made
        for part in item.inputs
    }
    if not rows:
        return
    with rows_as(con, "new_dependencies", _DEPENDENCIES, list(rows)):
        con.execute(
            "DELETE FROM features.dependencies "
            "WHERE action_key IN (SELECT action_key FROM new_dependencies)"
        )
        con.execute("INSERT INTO features.dependencies BY NAME SELECT * FROM new_dependencies")


def heads(database: Database, pipeline: str) -> list[Head]:
    """Heads of a pipeline with what is known of their results, in one query, unordered."""
    columns = (column.to_list() for column in head_table(database, pipeline))
    return list(map(Head._make, zip(*columns, strict=True)))


def head_table(database: Database, pipeline: str) -> pl.DataFrame:
    """The same as a table with the columns of :class:`Head`."""
    query = """
        SELECT h.step, h.key, h.run_id, h.action_key, h.state, h.error, h.updated_at,
               r.output_sha256, coalesce(r.ext, '') AS ext, coalesce(r.rows, 0) AS rows,
               coalesce(r.bytes, 0) AS bytes, coalesce(r.seconds, 0) AS seconds
        FROM features.feature_entries h
        LEFT JOIN features.results r USING (action_key)
        WHERE h.pipeline = $pipeline
    """
    with database.lease() as con:
        return fetch_table(con, query, {"pipeline": pipeline})


def results(database: Database, action_keys: Iterable[str]) -> dict[str, StoredResult]:
    """Results of those action keys that have one."""
    with database.lease() as con, texts_as(con, "asked", action_keys):
        columns = fetch_columns(
            con.execute(
                """
                SELECT action_key, output_sha256, ext, rows, bytes, seconds, made_by, key
                FROM features.results SEMI JOIN asked ON action_key = value
                """
            )
        )
    return {row[0]: StoredResult._make(row) for row in zip(*columns, strict=True)}


def dependencies_of(
    database: Database, action_keys: Iterable[str]
) -> dict[str, tuple[Dependency, ...]]:
    """Return the inputs of those action keys that have any, ordered by role."""
    with database.lease() as con, texts_as(con, "asked", action_keys):
        rows = con.execute(
            """
            SELECT action_key, role, coalesce(input_sha256, ''), input_action_key
            FROM features.dependencies SEMI JOIN asked ON action_key = value
            ORDER BY action_key, role, input_action_key, input_sha256
            """
        ).fetchall()
    found = defaultdict(list)
    for action_key, role, sha256, upstream in rows:
        found[action_key].append(Dependency(role, sha256, upstream))
    return {action_key: tuple(parts) for action_key, parts in found.items()}


def stored(database: Database) -> list[ResultRow]:
    """Every result that the pipeline stored, with the feature that made it."""
    with database.lease() as con:
        columns = fetch_columns(
            con.execute(
                """
                SELECT r.action_key, coalesce(max(f.feature), ''), r.made_by, r.bytes, r.created_at
                FROM features.results r
                LEFT JOIN features.feature_runs f ON f.run_id = r.made_by
                WHERE r.path IS NULL
                GROUP BY ALL
                """
            )
        )
    return list(map(ResultRow, *columns))


def drop_heads(database: Database, pipeline: str, steps: Iterable[str] | None = None) -> int:
    """Forget the heads of a pipeline, or of some of its steps; how many they were."""
    with database.transaction() as con:
        if steps is None:
            return _count(
                con.execute("DELETE FROM features.feature_entries WHERE pipeline = ?", [pipeline])
            )
        with texts_as(con, "asked", steps):
            return _count(
                con.execute(
                    "DELETE FROM features.feature_entries "
                    "WHERE pipeline = ? AND step IN (SELECT value FROM asked)",
                    [pipeline],
                )
            )


def drop_heads_at(database: Database, places: Iterable[tuple[str, str, str]]) -> int:
    """Forget the heads at (pipeline, step, key); how many they were."""
    columns = {"pipeline": TEXT, "step": TEXT, "key": TEXT}
    with database.transaction() as con, rows_as(con, "asked", columns, list(places)):
        return _count(
            con.execute(
                "DELETE FROM features.feature_entries "
                "WHERE (pipeline, step, key) IN (SELECT (pipeline, step, key) FROM asked)"
            )
        )


def drop_results(database: Database, action_keys: Iterable[str]) -> int:
    """Forget results, their dependencies and profiles; how many results they were."""
    with database.transaction() as con, texts_as(con, "asked", action_keys):
        con.execute(
            "DELETE FROM features.dependencies WHERE action_key IN (SELECT value FROM asked)"
        )
        count = _count(
            con.execute(
                "DELETE FROM features.results WHERE action_key IN (SELECT value FROM asked)"
            )
        )
        profiles.drop_unnamed(con)
        return count


def live_objects(database: Database) -> set[str]:
    """Digests of all objects that the registry names."""
    with database.lease() as con:
        columns = fetch_columns(con.execute("SELECT sha256 FROM features.live_objects"))
    return set(columns[0])


def pipelines(database: Database) -> list[tuple[str, str, int]]:
    """List (pipeline, step, number of heads), ordered by name."""
    with database.lease() as con:
        return con.execute(
            "SELECT pipeline, step, count(*) FROM features.feature_entries "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def _check_objects(objects: ContentStore, made: Iterable[Outcome]) -> None:
    asked = [(str(item.output_sha256), item.ext, item) for item in made]
    there = objects.present((digest, ext, None) for digest, ext, _ in asked)
    missing = [item for digest, _, item in asked if digest not in there]
    if missing:
        first = missing[0]
        msg = (
            f"{len(missing)} of {len(asked)} results have no object, the first is that of step "
            f"{first.step!r} for {first.key!r}: {first.output_sha256}.{first.ext}."
        )
        raise ObjectMissingError(msg, "Put the objects before their results; nothing was written.")


def _count(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return 0 if row is None else int(row[0])
