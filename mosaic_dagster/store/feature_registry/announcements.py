"""What each Dagster instance was last told about each asset and entry."""

from __future__ import annotations

from collections.abc import Iterable

from mosaic_dagster.store.database.bulk import TEXT, fetch_columns, rows_as
from mosaic_dagster.store.database.connection import Database

_COLUMNS = dict.fromkeys(("instance", "asset", "key", "output_sha256"), TEXT)


def get(database: Database, instance: str) -> dict[tuple[str, str], str]:
    """Digest last announced by (asset, entry key)."""
    with database.lease() as con:
        assets, keys, digests = fetch_columns(
            con.execute(
                "SELECT asset, key, output_sha256 FROM features.announced WHERE instance = ?",
                [instance],
            )
        )
    return dict(zip(zip(assets, keys, strict=True), digests, strict=True))


def put(database: Database, instance: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """Note (asset, entry key, digest) as announced, over what was noted before."""
    values = {(asset, key): (instance, asset, key, digest) for asset, key, digest in rows}
    if not values:
        return
    with database.transaction() as con, rows_as(con, "told", _COLUMNS, list(values.values())):
        con.execute("INSERT OR REPLACE INTO features.announced BY NAME SELECT * FROM told")
