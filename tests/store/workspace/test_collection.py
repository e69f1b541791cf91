"""The collector: it must free what nobody needs, and never what somebody needs."""

import math
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.errors import StoreClosedError, StoreError, StoreTypeError, StoreValueError
from mosaic_dagster.store.content import sweep
from mosaic_dagster.store.workspace import WorkspaceStore, collection

HOUR = 3600.0


def save(store: WorkspaceStore, n: int) -> str:
    return store.save_artifact({"n": n}, "X", "model", "json")


def save_chain(store: WorkspaceStore, pipeline: str, *artifacts: str) -> str:
    step = {"step_idx": 0, "operator_class": "X", "params": {}}
    folds = {f"fold_{n}": artifact for n, artifact in enumerate(artifacts)}
    return store.save_chain(pipeline, [step], 0, "X", "", "per_fold", folds, {})


def orphan(store: WorkspaceStore, data: bytes, age: float) -> Path:
    """A file that no row names, as a killed save leaves it."""
    stored = store.objects.put(data, "json")
    path = store.objects.path(stored.digest)
    os.utime(path, (time.time() - age,) * 2)
    return path


def age_row(store: WorkspaceStore, artifact: str, seconds: float) -> None:
    """Make an artifact look as if it had been saved that long ago."""
    os.utime(store.get_artifact_path(artifact), (time.time() - seconds,) * 2)
    with store._open.writing() as con:
        con.execute(
            "UPDATE main.artifacts SET created_at = created_at - to_seconds(?) "
            "WHERE artifact_id = ?",
            [seconds, artifact],
        )


def test_what_is_at_zero_goes_and_what_is_claimed_or_named_stays(
    store: WorkspaceStore, run: str, pipeline: str
):
    """Named by a chain, claimed by a save, given back by a failed pipeline: only the last goes."""
    other = store.begin_pipeline(run, "other", {}, None, "d", None)
    named, claimed, dropped, both = (save(store, n) for n in range(4))
    save_chain(store, pipeline, dropped, both)
    save_chain(store, other, named, both)
    store.fail_pipeline(pipeline, "x")
    path = store.get_artifact_path(dropped)
    assert store.gc_artifacts() == 1
    assert not path.exists()
    assert not path.parent.exists()
    assert set(store.list_artifacts()["artifact_id"]) == {named, claimed, both}
    assert [store.load_artifact(a)["n"] for a in (named, claimed, both)] == [0, 1, 3]
    assert store.gc_artifacts() == 0


def test_rows_that_share_a_file_lose_it_with_the_last(store: WorkspaceStore):
    """If the first row took the file, the others would be rows without one."""
    first = save(store, 1)
    path = store.get_artifact_path(first)
    relative = path.relative_to(store.objects.root).as_posix()
    store.register_existing_artifact("second", relative, path.stem, "X", "model", "json", 7)
    with store._open.writing() as con:
        con.execute(
            "UPDATE main.artifacts SET ref_count = 0, open_claims = 0 WHERE artifact_id = ?",
            [first],
        )
    assert store.gc_artifacts() == 0
    assert store.load_artifact("second") == {"n": 1}
    assert store.gc_artifacts(stale_claims_after=0) == 1
    assert not path.exists()
    assert store.list_artifacts().is_empty()


def test_claims_are_dropped_when_they_are_stale_and_only_then(store: WorkspaceStore, pipeline: str):
    """Crashed work frees its files; a fit that is under way keeps what it saved."""
    old, renewed, young, named = (save(store, n) for n in range(4))
    save(store, 3)
    save_chain(store, pipeline, named)
    for artifact in (old, renewed, named):
        age_row(store, artifact, 2 * HOUR)
    save(store, 1)
    assert store.gc_artifacts(orphan_grace=0) == 0
    assert store.gc_artifacts(stale_claims_after=HOUR) == 1
    table = store.list_artifacts()
    counts = {r["artifact_id"]: (r["ref_count"], r["open_claims"]) for r in table.to_dicts()}
    assert counts == {renewed: (2, 2), young: (1, 1), named: (1, 0)}
    assert not any(store.verify().values())


def test_a_claim_on_an_old_file_that_was_registered_just_now_is_not_stale(store: WorkspaceStore):
    """A notebook registers a model whose file was stored last week."""
    path = orphan(store, b"[1]", 100 * HOUR)
    relative = path.relative_to(store.objects.root).as_posix()
    store.register_existing_artifact("x", relative, path.stem, "X", "model", "json", 3)
    assert store.gc_artifacts(stale_claims_after=HOUR) == 0
    assert store.load_artifact("x") == [1]


def test_a_stale_row_without_its_file_goes_too(store: WorkspaceStore):
    artifact = save(store, 1)
    age_row(store, artifact, 2 * HOUR)
    store.get_artifact_path(artifact).unlink()
    assert store.gc_artifacts(stale_claims_after=HOUR) == 0
    assert store.list_artifacts().is_empty()


def test_orphans_go_when_they_are_older_than_the_grace(store: WorkspaceStore):
    """A young one may be a save of another process that has no row yet."""
    old, young = orphan(store, b"[1]", 3 * HOUR), orphan(store, b"[2]", HOUR)
    assert store.gc_artifacts(orphan_grace=2 * HOUR) == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert store.gc_artifacts(orphan_grace=0) == 1
    assert not young.exists()


@pytest.mark.parametrize("name", ["stale_claims_after", "orphan_grace"])
def test_negative_times_are_refused(store: WorkspaceStore, name: str):
    """A grace of -3600 would take away files of the future too, that is all."""
    path = orphan(store, b"[1]", 0)
    with pytest.raises(StoreValueError, match=name):
        store.gc_artifacts(**{name: -1})
    assert path.exists()


def test_objects_of_the_feature_registry_are_never_taken(store: WorkspaceStore, pipeline: str):
    """Features and models share one folder: the result of days must not go with a model."""
    result, tracks, member = (orphan(store, b"[%d]" % n, 1000 * HOUR) for n in range(3))
    lost = orphan(store, b"[9]", 1000 * HOUR)
    both = save(store, 7)
    with store._open.writing() as con:
        con.execute(
            "INSERT INTO features.results VALUES "
            "('k', 'e', ?, NULL, 'json', 1, 1, 0.1, 'me', now()::TIMESTAMP), "
            "('l', 'e', ?, NULL, 'json', 1, 1, 0.1, 'me', now()::TIMESTAMP)",
            [result.stem, both.removeprefix("art_")],
        )
        con.execute(
            "INSERT INTO features.entries VALUES "
            "('', 's', 's', ?, NULL, 'ok', now()::TIMESTAMP)", [tracks.stem]
        )  # fmt: skip
        con.execute(
            "INSERT INTO features.dependencies VALUES ('k', 'member:a', ?, NULL)", [member.stem]
        )
    assert store.verify()["orphan_files"] == [f"{lost.parent.name}/{lost.name}"]
    save_chain(store, pipeline, both)
    path = store.get_artifact_path(both)
    store.fail_pipeline(pipeline, "x")
    assert store.gc_artifacts(stale_claims_after=0, orphan_grace=0) == 1
    assert [p.exists() for p in (result, tracks, member, path, lost)] == [True] * 4 + [False]
    assert store.list_artifacts().is_empty()


def test_nothing_goes_while_a_schema_does_not_say_what_it_needs(store: WorkspaceStore):
    """A notebook that knows nothing of the catalog must not collect the catalog's files."""
    path = orphan(store, b"[1]", 1000 * HOUR)
    with store._open.writing() as con:
        con.execute("CREATE SCHEMA domain")
        con.execute("CREATE TABLE domain.animals (name TEXT, sha256 TEXT)")
    with pytest.raises(StoreError, match="domain"):
        store.gc_artifacts(orphan_grace=0)
    assert path.exists()
    with store._open.writing() as con:
        con.execute("INSERT INTO domain.animals VALUES ('a', ?)", [path.stem])
        con.execute("CREATE VIEW domain.live_objects AS SELECT sha256 FROM domain.animals")
    assert store.gc_artifacts(orphan_grace=0) == 0
    assert path.exists()


def test_files_that_are_no_objects_are_left_alone(store: WorkspaceStore):
    readme = store.objects.root / "README.txt"
    readme.write_text("mine")
    os.utime(readme, (1, 1))
    assert store.gc_artifacts(orphan_grace=0) == 0
    assert readme.exists()


RACES: list[tuple[str, Callable[[WorkspaceStore, str], Any]]] = [
    ("orphan", lambda store, pipeline: orphan(store, b'{"n":1}', 1000 * HOUR)),
    ("at zero", lambda store, pipeline: [
        save_chain(store, pipeline, save(store, 1)), store.fail_pipeline(pipeline, "x")]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "prepare"), RACES)
@pytest.mark.parametrize("moment", ["before", "after", "last"])
def test_a_save_of_another_process_while_the_collector_works_keeps_its_file(
    store: WorkspaceStore,
    pipeline: str,
    spawn: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    prepare: Callable[[WorkspaceStore, str], Any],
    moment: str,
):
    """The save takes no lease: it finds the file that the collector is about to remove.

    A second process saves the same object just before the file is moved aside, just after, or
    when the collector has looked for claims for the last time. Its save is acknowledged, so row
    and file must be there in the end.
    """
    prepare(store, pipeline)
    code = (
        "import sys\n"
        "from mosaic_dagster.store.workspace import WorkspaceStore\n"
        "store = WorkspaceStore(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(store.save_artifact({'n': 1}, 'X', 'model', 'json'), flush=True)\n"
        "sys.stdin.readline()\n"
        "import os; os._exit(0)\n"
    )
    other = spawn(code, store.workspace_path)
    assert other.stdout.readline() == "ready\n", other.communicate()[1]
    aside, claims = sweep._moved_aside, collection.claimed
    saved: list[str] = []

    def save_elsewhere() -> None:
        other.stdin.write("\n")
        other.stdin.flush()
        saved.append(other.stdout.readline().strip())

    def moved(*given: Any) -> Any:
        if moment == "before":
            save_elsewhere()
        result = list(aside(*given))
        if moment == "after":
            save_elsewhere()
        return result

    def claimed(*given: Any) -> set[str]:
        result = claims(*given)
        if moment == "last":
            save_elsewhere()
        return result

    monkeypatch.setattr(sweep, "_moved_aside", moved)
    monkeypatch.setattr(collection, "claimed", claimed)
    assert store.gc_artifacts(orphan_grace=0) == (1 if moment == "last" else 0)
    assert len(saved) == 1
    assert saved[0] == f"art_{sha256(store.get_artifact_path(saved[0]).read_bytes()).hexdigest()}"
    assert store.load_artifact(saved[0]) == {"n": 1}
    row = store.list_artifacts().row(0, named=True)
    assert (row["artifact_id"], row["ref_count"], row["open_claims"]) == (saved[0], 1, 1)
    assert not any(store.verify(hashes=True).values())


def test_a_save_between_the_rows_and_the_files_keeps_its_file(
    store: WorkspaceStore, pipeline: str, monkeypatch: pytest.MonkeyPatch
):
    """Another thread saves the same object after its row went and before the roots are read."""
    save_chain(store, pipeline, save(store, 1))
    store.fail_pipeline(pipeline, "x")
    live = collection.live_digests

    def save_first(con: Any) -> set[str]:
        monkeypatch.setattr(collection, "live_digests", live)
        save(store, 1)
        return live(con)

    monkeypatch.setattr(collection, "live_digests", save_first)
    store.gc_artifacts()
    assert store.list_artifacts()["open_claims"].to_list() == [1]
    assert not any(store.verify(hashes=True).values())


NEVER = [float("inf"), 1e12, 1e15, pytest.param(10**400, id="huge")]


@pytest.mark.parametrize("never", NEVER)
def test_never_collects_nothing_by_age(store: WorkspaceStore, never: float):
    """inf is how a caller says never; what is at count 0 goes all the same.

    The file is from 1970 and the claim from 1926, older than any that a workspace has.
    """
    path = orphan(store, b"[1]", time.time())
    claimed = save(store, 1)
    age_row(store, claimed, 100 * 365 * 24 * HOUR)
    assert store.gc_artifacts(stale_claims_after=never, orphan_grace=never) == 0
    assert path.exists()
    assert store.load_artifact(claimed) == {"n": 1}


def test_never_spares_no_row_at_zero(store: WorkspaceStore, pipeline: str):
    save_chain(store, pipeline, save(store, 1))
    store.fail_pipeline(pipeline, "x")
    assert store.gc_artifacts(stale_claims_after=math.inf, orphan_grace=math.inf) == 1


@pytest.mark.parametrize("name", ["stale_claims_after", "orphan_grace"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(math.nan, StoreValueError), ("1", StoreTypeError), (True, StoreTypeError)],
)
def test_times_that_are_none_are_refused_by_name(
    store: WorkspaceStore, name: str, value: Any, error: type[Exception]
):
    with pytest.raises(error, match=name):
        store.gc_artifacts(**{name: value})


def test_a_grace_must_be_given(store: WorkspaceStore):
    with pytest.raises(StoreTypeError, match="orphan_grace"):
        store.gc_artifacts(orphan_grace=None)


def test_the_state_of_the_store_is_told_before_arguments(store: WorkspaceStore):
    with (
        WorkspaceStore(store.workspace_path, read_only=True) as reader,
        pytest.raises(StoreError, match="read-only"),
    ):
        reader.gc_artifacts(orphan_grace=-1)
    store.close()
    with pytest.raises(StoreClosedError):
        store.gc_artifacts(orphan_grace=-1)
