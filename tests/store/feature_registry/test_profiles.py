"""Profiles of stored tables: written with their results, gone with them."""

from __future__ import annotations

import math
from dataclasses import replace

import duckdb
import pytest

from mosaic_dagster.errors import ObjectMissingError
from mosaic_dagster.hashing import digest
from mosaic_dagster.store import ContentStore, FeatureRegistry, Outcome, Profile
from mosaic_dagster.store.database.migrations import migrate
from mosaic_dagster.store.database.schemas.features import FEATURES
from mosaic_dagster.store.feature_registry.profiles import SEPARATOR

PROFILE = Profile(
    3, 3, 1, ("speed", "turn"), (0.0, 0.5), (1.0, -1.0), (3.0, math.inf), (2.0, 0.0), (1.0, 0.5)
)
OUTCOME = Outcome(
    pipeline="larvae", step="speed", key="dish/a", run_id="0.1-abc", action_key="k1",
    state="fresh", output_sha256=digest("out"), ext="parquet", rows=3, bytes=9, seconds=0.1,
    error=None, inputs=(), made=True, profile=PROFILE,
)  # fmt: skip


def found_in(registry, *digests):
    """Profiles by digest, read back from the table that the registry gives."""
    lists = ("missing", "low", "high", "mean", "sd")
    return {
        row["output_sha256"]: Profile(
            row["rows"], row["frames"], row["duplicated"],
            tuple(row["layout"].split(SEPARATOR)) if row["layout"] else (),
            *(tuple(row[name]) for name in lists),
        )
        for row in registry.profiles(digests).iter_rows(named=True)
    }  # fmt: skip


def test_a_profile_comes_back_as_it_was(registry):
    """Else a rule would judge other numbers tomorrow than today."""
    registry.commit([OUTCOME])
    assert found_in(registry, digest("out"), digest("other")) == {digest("out"): PROFILE}


def test_missing_numbers_come_back_as_nan(registry):
    """A column without values has no mean, which is not a mean of zero."""
    nothing = Profile(2, 2, 0, ("v",), (1.0,), *(((math.nan,),) * 4))
    registry.put_profiles({"d": nothing, "e": Profile(0, 0, 0)})
    found = found_in(registry, "d", "e")
    assert found["d"].missing == (1.0,)
    assert all(math.isnan(getattr(found["d"], name)[0]) for name in ("low", "high", "mean", "sd"))
    assert found["e"] == Profile(0, 0, 0)


def test_the_first_profile_of_an_object_stays(registry):
    """Equal bytes have equal numbers; two steps with one result must not collide."""
    registry.commit([OUTCOME, replace(OUTCOME, key="dish/b", action_key="k2")])
    registry.put_profiles({digest("out"): Profile(0, 0, 0)})
    assert found_in(registry, digest("out")) == {digest("out"): PROFILE}


def test_nothing_is_written_without_the_object(database, tmp_path):
    """A profile of what is not there would let a check pass for it."""
    objects = ContentStore(tmp_path / "artifacts")
    objects.put(b"something else")
    registry = FeatureRegistry(database, objects)
    with pytest.raises(ObjectMissingError):
        registry.commit([OUTCOME])
    assert found_in(registry, digest("out")) == {}


def test_profiles_go_with_the_last_result_that_has_their_object(registry):
    """Of two results with one object, the profile stays while one of them is there."""
    registry.commit([OUTCOME, replace(OUTCOME, key="dish/b", action_key="k2")])
    registry.drop_results(["k1"])
    assert found_in(registry, digest("out")) == {digest("out"): PROFILE}
    registry.drop_results(["k2"])
    assert found_in(registry, digest("out")) == {}


def test_a_workspace_from_before_has_no_profiles_and_keeps_its_results(tmp_path):
    """An update of the package must not lose what was computed."""
    path = tmp_path / "store.duckdb"
    with duckdb.connect(path) as con:
        con.execute("CREATE SCHEMA features")
        migrate(con, "features", FEATURES[:2])
        con.execute(
            "INSERT INTO features.results VALUES "
            "('k', 'g/a', 'ff', NULL, 'parquet', 3, 9, 0.1, '0.1-a', now()::TIMESTAMP)"
        )
    with duckdb.connect(path) as con:
        migrate(con, "features", FEATURES)
        assert con.execute("SELECT action_key, rows FROM features.results").fetchall() == [("k", 3)]
        assert con.execute("SELECT count(*) FROM features.profiles").fetchall() == [(0,)]
