"""Which runs a run was computed from.

Rows of ``dependencies`` with role ``run``, whose action keys are ``run:<feature>/<run id>``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from mosaic_dagster.store.database.connection import Database
from mosaic_dagster.store.feature_registry.runs import checked_names

_PREFIX = "run:"

Run = tuple[str, str]
"""Feature and run id."""


def record(database: Database, run: Run, upstream: Run) -> None:
    """Record that a run reads another; once is enough.

    Raises
    ------
    StoreError
        A feature or run id is empty or holds a slash.
    """
    names = [_PREFIX + checked_names(*run), _PREFIX + checked_names(*upstream)]
    with database.transaction() as con:
        con.execute(
            """
            INSERT INTO features.dependencies
            SELECT $1, 'run', NULL, $2
            WHERE NOT EXISTS (FROM features.dependencies
                              WHERE action_key = $1 AND role = 'run' AND input_action_key = $2)
            """,
            names,
        )


def upstream_of(database: Database, run: Run) -> list[Run]:
    """Return the runs that a run reads, sorted."""
    return _upstream(database).get(run, [])


def lineage(database: Database, run: Run) -> dict[str, Any]:
    """All that a run was computed from.

    Returns
    -------
    dict
        ``{"feature", "run_id", "upstream": [the same for each run that it reads]}``. A run that
        would contain itself ends there with an empty list.
    """
    return _tree(run, _upstream(database), {}, frozenset())


def _tree(
    run: Run,
    upstream: dict[Run, list[Run]],
    done: dict[Run, dict[str, Any]],
    above: frozenset[Run],
) -> dict[str, Any]:
    # Shared branches are built once, or a ladder of diamonds would double at every rung.
    if run not in done:
        below = above | {run}
        parts = [
            _node(part, []) if part in below else _tree(part, upstream, done, below)
            for part in upstream.get(run, [])
        ]
        done[run] = _node(run, parts)
    return done[run]


def _node(run: Run, upstream: list[dict[str, Any]]) -> dict[str, Any]:
    return {"feature": run[0], "run_id": run[1], "upstream": upstream}


def _upstream(database: Database) -> dict[Run, list[Run]]:
    with database.lease() as con:
        rows = con.execute(
            "SELECT DISTINCT action_key, input_action_key FROM features.dependencies "
            "WHERE role = 'run' ORDER BY ALL"
        ).fetchall()
    found = defaultdict(list)
    for below, above in rows:
        found[_run(below)].append(_run(above))
    return dict(found)


def _run(name: str) -> Run:
    feature, _, run_id = name.removeprefix(_PREFIX).partition("/")
    return feature, run_id
