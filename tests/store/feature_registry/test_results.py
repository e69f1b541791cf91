from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import ObjectMissingError, StoreError
from mosaic_dagster.hashing import digest
from mosaic_dagster.store import Dependency, FeatureRegistry, Outcome, StoredResult

RAW = Dependency("tracks", digest("tracks"))
FRESH = Outcome(
    pipeline="larvae", step="speed", key="dish/a", run_id="0.1-abc", action_key="k1",
    state="fresh", output_sha256=digest("out"), ext="parquet", rows=300, bytes=19_000,
    seconds=0.25, error=None, inputs=(RAW,), made=True,
)  # fmt: skip
FAILED = replace(
    FRESH, key="dish/b", action_key="k2", state="failed", output_sha256=None, rows=0, bytes=0,
    error='{"type": "ValueError"}',
)  # fmt: skip


def test_a_head_carries_its_result(registry):
    """Else a status would not know what an entry has."""
    registry.commit([FRESH])
    (head,) = registry.heads("larvae")
    assert head[:6] == ("speed", "dish/a", "0.1-abc", "k1", "fresh", None)
    assert head[7:] == (digest("out"), "parquet", 300, 19_000, 0.25)
    assert registry.results(["k1", "none"]) == {
        "k1": StoredResult("k1", digest("out"), "parquet", 300, 19_000, 0.25, "0.1-abc", "dish/a")
    }
    assert registry.heads("other") == []


def test_a_failure_is_recorded_without_a_result(registry):
    """Else a failed entry would look fresh, or its error would be lost."""
    registry.commit([FAILED])
    (head,) = registry.heads("larvae")
    assert (head.state, head.error, head.output_sha256) == (
        "failed",
        '{"type": "ValueError"}',
        None,
    )
    assert (head.ext, head.rows, head.bytes, head.seconds) == ("", 0, 0, 0.0)
    assert registry.results(["k2"]) == {}
    assert registry.dependencies_of(["k2"]) == {}


def test_an_adopted_outcome_writes_its_head_alone(registry):
    """Else a found result would change its maker or its inputs."""
    registry.commit([FRESH])
    adopted = replace(FRESH, step="copy", run_id="0.2-def", rows=1, inputs=(), made=False)
    registry.commit([adopted])
    assert {head.step: head.rows for head in registry.heads("larvae")} == {
        "speed": 300,
        "copy": 300,
    }
    assert registry.results(["k1"])["k1"].made_by == "0.1-abc"
    assert registry.dependencies_of(["k1"]) == {"k1": (RAW,)}


def test_a_new_head_replaces_the_old_and_results_stay(registry):
    """Else an undone edit would not find its old result."""
    edited = replace(FRESH, action_key="k9", output_sha256=digest("new"), run_id="0.1-fff")
    registry.commit([FRESH])
    registry.commit([edited])
    (head,) = registry.heads("larvae")
    assert (head.action_key, head.run_id) == ("k9", "0.1-fff")
    assert set(registry.results(["k1", "k9"])) == {"k1", "k9"}


def test_a_recomputed_result_with_other_bytes_takes_over(registry):
    """Else the row would name an object that is lost, and the entry stay stale for ever."""
    registry.commit([FRESH])
    registry.commit([replace(FRESH, output_sha256=digest("again"), run_id="0.1-new")])
    result = registry.results(["k1"])["k1"]
    assert (result.output_sha256, result.made_by) == (digest("again"), "0.1-new")
    registry.commit([replace(FRESH, output_sha256=digest("again"), run_id="0.1-third")])
    assert registry.results(["k1"])["k1"].made_by == "0.1-new"


def test_the_same_result_twice_in_a_batch(registry):
    """Else two steps that share a result could not be stored together."""
    registry.commit([FRESH, replace(FRESH, step="twin"), FRESH])
    assert len(registry.heads("larvae")) == 2
    assert registry.dependencies_of(["k1"]) == {"k1": (RAW,)}


def test_nothing_is_written_without_its_objects(database, objects):
    """Else a row would name an object that a crash took away."""
    registry = FeatureRegistry(database, objects)
    stored = objects.put(b"table", "parquet")
    good = replace(FRESH, output_sha256=stored.digest)
    with pytest.raises(ObjectMissingError, match=r"1 of 2 results .* 'speed' for 'dish/z'"):
        registry.commit([good, replace(FRESH, key="dish/z", action_key="k3")])
    assert registry.heads("larvae") == []
    assert registry.live_objects() == set()
    registry.commit([good, FAILED])
    assert registry.live_objects() == {stored.digest}


def test_a_wrong_value_writes_nothing(registry):
    """Else half a batch would be there."""
    with pytest.raises(StoreError, match="column rows"):
        registry.commit([FRESH, replace(FRESH, key="dish/b", action_key="k2", rows="many")])
    assert registry.heads("larvae") == []


def test_dropping(registry):
    """Two steps of one pipeline and one of another: dropped by step, then all, then results."""
    registry.commit(
        [
            FRESH,
            replace(FRESH, step="turn", action_key="k3"),
            replace(FRESH, pipeline="other", action_key="k4"),
        ]
    )
    assert registry.pipelines() == [
        ("larvae", "speed", 1),
        ("larvae", "turn", 1),
        ("other", "speed", 1),
    ]
    assert registry.drop_heads("larvae", ["turn", "unknown"]) == 1
    assert [head.step for head in registry.heads("larvae")] == ["speed"]
    assert registry.drop_heads("larvae") == 1
    assert registry.pipelines() == [("other", "speed", 1)]
    assert registry.drop_results(["k1", "k3"]) == 2
    assert set(registry.results(["k1", "k3", "k4"])) == {"k4"}
    assert set(registry.dependencies_of(["k1", "k3", "k4"])) == {"k4"}


def test_live_objects_are_results_tracks_and_members(registry):
    """Else gc would remove a state's files; a raw input is no object of ours."""
    member = Dependency("member:centres.npz", digest("member"))
    registry.commit([replace(FRESH, key="", inputs=(RAW, member))])
    assert registry.live_objects() == {digest("out"), digest("member")}


def test_dependencies_keep_their_makers(registry):
    """Else lineage would end at the first step."""
    parts = (Dependency("a", digest("x"), "k0"), RAW)
    registry.commit([replace(FRESH, inputs=parts)])
    assert registry.dependencies_of(["k1"]) == {"k1": parts}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    names=st.tuples(TEXT, TEXT, TEXT, TEXT),
    error=st.none() | TEXT,
    rows=st.integers(0, 2**62),
    seconds=st.floats(0, 1e9),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_and_number_comes_back(registry, names, error, rows, seconds):
    """Else a name with a quote, a NUL or an emoji would be stored as another."""
    pipeline, step, key, run_id = names
    registry.drop_heads(pipeline)
    registry.drop_results(["any"])
    outcome = replace(
        FRESH, pipeline=pipeline, step=step, key=key, run_id=run_id, action_key="any",
        error=error, rows=rows, seconds=seconds,
    )  # fmt: skip
    registry.commit([outcome])
    (head,) = registry.heads(pipeline)
    assert (head.step, head.key, head.run_id, head.error) == (step, key, run_id, error)
    assert (head.rows, head.seconds) == (rows, seconds)


def test_a_name_that_is_no_unicode_is_refused(registry):
    """Else it would be stored as another name; the message shows it."""
    with pytest.raises(StoreError, match=r"not valid unicode.*Rename"):
        registry.commit([replace(FRESH, key="\udcff")])


_COMMITS = """
import sys, itertools
from dataclasses import replace
from pathlib import Path
from mosaic_dagster.store import ContentStore, Database, Dependency, FeatureRegistry, Outcome
root = Path(sys.argv[1])
objects = ContentStore(root / "artifacts")
registry = FeatureRegistry(Database(root / "store.duckdb"), objects)
for i in itertools.count(int(sys.argv[2])):
    batch = []
    for j in range(20):
        stored = objects.put(f"{i}-{j}".encode())
        batch.append(Outcome("p", "s", f"{i}/{j}", "r", f"{i}-{j}", "fresh", stored.digest, "bin",
                             1, stored.size, 0.0, None, (Dependency("t", stored.digest),), True))
    registry.commit(batch)
    print(i, flush=True)
"""


@pytest.mark.slow
def test_killing_a_commit_leaves_whole_batches(
    tmp_path, database, objects, spawn, kill_after_lines
):
    """Else acknowledged results vanish, or rows name objects that are not there."""
    registry = FeatureRegistry(database, objects)
    acknowledged = set()
    for start, pause in ((0, 0.003), (1000, 0.017)):
        said = kill_after_lines(spawn(_COMMITS, tmp_path, start), 4, pause)
        acknowledged |= {int(line) for line in said}
        heads = registry.heads("p")
        batches = [int(head.key.partition("/")[0]) for head in heads]
        assert set(batches) >= acknowledged
        assert all(batches.count(i) == 20 for i in set(batches))
        assert set(registry.results(head.action_key for head in heads)) == {
            head.action_key for head in heads
        }
        assert len(registry.dependencies_of(head.action_key for head in heads)) == len(heads)
        assert all(objects.exists(head.output_sha256, "bin", head.bytes) for head in heads)
    assert objects.verify().damaged == []
