"""Artifacts: a fitted model comes back as it was, or the user is told that it does not."""

import os
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from mosaic_dagster.errors import (
    ArtifactCorruptError,
    ObjectMissingError,
    StateError,
    StoreError,
    StoreTypeError,
    StoreValueError,
    UntrustedArtifactError,
)
from mosaic_dagster.store.workspace import WorkspaceStore, artifacts
from mosaic_dagster.store.workspace.opened import OpenWorkspace

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6.0)


def files(store: WorkspaceStore) -> list[str]:
    """All files below artifacts/, temporary ones too."""
    root = store.workspace_path / "artifacts"
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def staged(store: WorkspaceStore, data: bytes, name: str | None = None) -> tuple[str, str]:
    """Put a file below artifacts/; its relative path and hash."""
    digest = sha256(data).hexdigest()
    relative = name or f"{digest[:2]}/{digest}.bin"
    path = store.workspace_path / "artifacts" / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return relative, digest


def register(store: WorkspaceStore, name: str, path: Any, digest: str, **more: Any) -> str:
    return store.register_existing_artifact(name, path, digest, "X", "model", "json", 4, **more)


@pytest.mark.parametrize(
    ("obj", "format", "stored_as", "suffix"),
    [
        (np.arange(3), "auto", "npy", ".npy"),
        (Ridge().fit(X, Y), "auto", "arrays", ".npz"),
        (KNeighborsRegressor(1).fit(X, Y), "auto", "joblib", ".joblib"),
        ({"a": [1, 2.5, None]}, "json", "json", ".json"),
        ({"a": {1, 2}}, "pickle", "pickle", ".pkl"),
        ({"a": {1, 2}}, "cloudpickle", "cloudpickle", ".pkl"),
    ],
)
def test_an_object_is_kept_in_one_file_named_by_its_bytes(
    store: WorkspaceStore, obj: Any, format: str, stored_as: str, suffix: str
):
    artifact = store.save_artifact(obj, "my.Class", "model", format)
    path = store.get_artifact_path(artifact)
    digest = sha256(path.read_bytes()).hexdigest()
    assert artifact == f"art_{digest}"
    assert path == store.workspace_path / "artifacts" / digest[:2] / (digest + suffix)
    row = store.list_artifacts().row(0, named=True)
    row.pop("created_at")
    assert row == {
        "artifact_id": artifact,
        "artifact_path": f"{digest[:2]}/{digest}{suffix}",
        "content_hash": digest,
        "operator_class": "my.Class",
        "artifact_type": "model",
        "format": stored_as,
        "size_bytes": path.stat().st_size,
        "ref_count": 1,
        "open_claims": 1,
    }
    loaded = store.load_artifact(artifact)
    assert type(loaded) is type(obj)
    if hasattr(obj, "predict"):
        np.testing.assert_array_equal(loaded.predict(X), obj.predict(X))
    else:
        np.testing.assert_equal(loaded, obj)


def test_equal_bytes_are_one_file_and_one_row_with_the_labels_of_the_first(store: WorkspaceStore):
    """Five folds with one scaler would be five scalers on the disk."""
    first = store.save_artifact([1], "First", "model", "json")
    assert store.save_artifact([1], "Second", "encoder", "json") == first
    row = store.list_artifacts().row(0, named=True)
    assert store.list_artifacts().height == 1
    assert (row["operator_class"], row["artifact_type"]) == ("First", "model")
    assert (row["ref_count"], row["open_claims"]) == (2, 2)
    assert len(files(store)) == 1


def test_equal_bytes_in_two_formats_are_one_file(store: WorkspaceStore):
    """The second extension would lie there as an orphan for ever, or its row without a file."""
    first = artifacts.save_bytes(store._open, b"[1]", "json", "X", "model", "json")
    again = artifacts.save_bytes(store._open, b"[1]", "npy", "X", "model", "npy")
    assert again == first
    assert files(store) == [store.list_artifacts()["artifact_path"].item()]
    assert store.load_artifact(first) == [1]
    assert not any(store.verify(hashes=True).values())


def test_a_lost_file_is_told_and_written_again_by_the_next_save(store: WorkspaceStore):
    artifact = store.save_artifact(X, "X", "model", "npy")
    store.load_artifact(artifact)
    store.get_artifact_path(artifact).unlink()
    with pytest.raises(ObjectMissingError, match=artifact):
        store.load_artifact(artifact)
    with pytest.raises(FileNotFoundError):
        store.load_artifact(artifact)
    assert store.save_artifact(X, "X", "model", "npy") == artifact
    np.testing.assert_array_equal(store.load_artifact(artifact), X)


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "empty"])
def test_altered_bytes_are_never_deserialised(
    store: WorkspaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
):
    """A pickle that someone replaced would run their code."""
    artifact = store.save_artifact({"a": 1}, "X", "model", "joblib")
    path = store.get_artifact_path(artifact)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(
        {"flipped": b"\0" + data[1:], "cut": data[:-1], "longer": data + b"\0", "empty": b""}[how]
    )
    monkeypatch.setattr(artifacts, "decode", pytest.fail)
    with pytest.raises(ArtifactCorruptError, match=artifact):
        store.load_artifact(artifact)


def test_an_altered_file_is_mended_by_the_next_save(store: WorkspaceStore):
    artifact = store.save_artifact([1, 2], "X", "model", "json")
    path = store.get_artifact_path(artifact)
    path.chmod(0o644)
    path.write_bytes(b"[9,9]")
    store.save_artifact([1, 2], "X", "model", "json")
    assert store.load_artifact(artifact) == [1, 2]


def test_what_a_caller_does_to_a_loaded_object_stays_with_them(store: WorkspaceStore):
    """A refitted model must not come back in place of the one that was stored."""
    artifact = store.save_artifact({"a": [1]}, "X", "model", "joblib")
    store.load_artifact(artifact)["a"].append(2)
    assert store.load_artifact(artifact) == {"a": [1]}


@pytest.mark.parametrize("act", ["load_artifact", "get_artifact_path"])
def test_unknown_artifacts_are_told(store: WorkspaceStore, act: str):
    with pytest.raises(KeyError, match="art_nobody"):
        getattr(store, act)("art_nobody")


@pytest.mark.parametrize("format", ["joblib", "pickle", "cloudpickle", "npy", "json", "arrays"])
def test_without_allow_pickle_nothing_that_runs_code_is_loaded(store: WorkspaceStore, format: str):
    objects = {"npy": X, "arrays": Ridge().fit(X, Y)}
    artifact = store.save_artifact(objects.get(format, {"a": 1}), "X", "model", format)
    with WorkspaceStore(store.workspace_path, allow_pickle=False) as careful:
        if format in ("npy", "json", "arrays"):
            careful.load_artifact(artifact)
            return
        with pytest.raises(UntrustedArtifactError):
            careful.load_artifact(artifact)
        with pytest.raises(PermissionError):
            careful.load_artifact(artifact)


@pytest.mark.parametrize(
    ("obj", "format"),
    [
        (threading.Lock(), "joblib"),
        (lambda: 0, "pickle"),
        ({"a": {1}}, "json"),
        (np.array([object()]), "npy"),
        (KNeighborsRegressor(), "arrays"),
        ([1], "zip"),
        ([1], ""),
    ],
)
def test_what_a_format_cannot_hold_leaves_nothing(store: WorkspaceStore, obj: Any, format: str):
    with pytest.raises(ValueError, match=r"."):
        store.save_artifact(obj, "X", "model", format)
    assert store.list_artifacts().is_empty()
    assert files(store) == []


@pytest.mark.parametrize("labels", [(Ridge, "model"), ("X", 5), ("\ud800", "model")])
def test_labels_of_other_types_leave_nothing(store: WorkspaceStore, labels: tuple[Any, Any]):
    """A class in place of its name once reached the journal, and stopped every later lease."""
    with pytest.raises((StoreTypeError, StoreValueError)):
        store.save_artifact([1], *labels, "json")
    assert store.list_artifacts().is_empty()
    assert files(store) == []


def test_a_store_that_only_reads_writes_no_file(store: WorkspaceStore):
    known = store.save_artifact([1], "X", "model", "json")
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        before = files(store)
        for act in (
            lambda: reader.save_artifact([2], "X", "model", "json"),
            lambda: register(reader, "x", *staged(store, b"[1]", before[0])),
            lambda: reader.release_artifact(known),
            lambda: reader.gc_artifacts(stale_claims_after=0),
        ):
            with pytest.raises(StoreError):
                act()
        assert files(store) == before
        assert reader.load_artifact(known) == [1]


def test_a_file_that_a_collector_takes_before_the_claim_is_written_again(
    store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch
):
    """The save was acknowledged; without this its row would have no file."""
    append = OpenWorkspace.append

    def take_file_then_append(self: OpenWorkspace, *values: Any) -> None:
        (self.objects.root / files(store)[0]).unlink()
        append(self, *values)

    monkeypatch.setattr(OpenWorkspace, "append", take_file_then_append)
    artifact = store.save_artifact([1], "X", "model", "json")
    assert store.load_artifact(artifact) == [1]


def test_registering_names_a_file_with_one_claim(store: WorkspaceStore):
    relative, digest = staged(store, b"[1]")
    assert register(store, "0001_pls$ab:0", relative, digest) == "0001_pls$ab:0"
    row = store.list_artifacts().row(0, named=True)
    assert (row["ref_count"], row["open_claims"], row["size_bytes"]) == (1, 1, 4)
    assert store.load_artifact("0001_pls$ab:0") == [1]


def test_registering_again_is_a_no_op_only_for_the_same_content(store: WorkspaceStore):
    """The other content would be loaded under a name that was given to the first."""
    first, second = staged(store, b"[1]"), staged(store, b"[2]")
    copy = staged(store, b"[1]", "elsewhere/copy.json")
    register(store, "x", *first)
    register(store, "x", *first)
    for other in (second, copy):
        with pytest.raises(StateError, match="'x'"):
            register(store, "x", *other)
    row = store.list_artifacts().row(0, named=True)
    assert (row["content_hash"], row["ref_count"], row["open_claims"]) == (first[1], 1, 1)


def test_replacing_needs_to_be_asked_for_and_an_artifact_that_no_chain_names(
    store: WorkspaceStore, pipeline: str
):
    first, second = staged(store, b"[1]"), staged(store, b"[2]")
    register(store, "x", *first)
    assert store.load_artifact("x") == [1]
    for _ in range(2):
        register(store, "x", *second, replace=True)
        assert store.load_artifact("x") == [2]
        register(store, "x", *first, replace=True)
        assert store.load_artifact("x") == [1]
    steps = [{"step_idx": 0, "operator_class": "X", "params": {}, "stateless": False}]
    store.save_chain(pipeline, steps, 0, "X", "", "per_fold", {"all": "x"}, {})
    with pytest.raises(StateError, match="'x'"):
        register(store, "x", *second, replace=True)
    assert store.load_artifact("x") == [1]
    assert not [k for k, found in store.verify().items() if found and k != "orphan_files"]


@pytest.mark.parametrize(
    "path",
    ["../secret.json", "ab/../../secret.json", "{root}/secret.json", "..\\secret.json",
     "link.json", "folder/secret.json"],
)  # fmt: skip
def test_registering_never_reaches_out_of_the_artifacts(
    store: WorkspaceStore, tmp_path: Path, path: str
):
    """A foreign manifest could otherwise have any file of the machine loaded, or deleted by gc."""
    root = store.workspace_path
    secret = root / "secret.json"
    secret.write_bytes(b"[1]")
    (root / "artifacts" / "link.json").symlink_to(secret)
    (root / "artifacts" / "folder").symlink_to(root)
    with pytest.raises(StoreValueError):
        register(store, "x", path.format(root=root), sha256(b"[1]").hexdigest())
    assert store.list_artifacts().is_empty()


def test_registering_checks_file_and_hash(store: WorkspaceStore):
    relative, digest = staged(store, b"[1]")
    with pytest.raises(ObjectMissingError, match="gone"):
        register(store, "x", "ab/gone.json", digest)
    with pytest.raises(FileNotFoundError):
        register(store, "x", relative.split("/")[0], digest)
    for wrong in (digest[:-1], digest[::-1], "", digest.upper()):
        with pytest.raises(StoreValueError, match="hash"):
            register(store, "x", relative, wrong)
    with pytest.raises(StoreTypeError, match="artifact_id"):
        register(store, None, relative, digest)
    assert store.list_artifacts().is_empty()


def test_a_file_that_goes_while_it_is_registered_gets_no_row(
    store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch
):
    """A collector of another process may take it between the check of its bytes and the lease."""
    relative, digest = staged(store, b"[1]")
    digest_file = artifacts.digest_file

    def digest_then_lose(path: Path) -> str:
        found = digest_file(path)
        path.unlink()
        return found

    monkeypatch.setattr(artifacts, "digest_file", digest_then_lose)
    with pytest.raises(ObjectMissingError):
        register(store, "x", relative, digest)
    assert store.list_artifacts().is_empty()


def test_a_workspace_whose_artifacts_lie_on_another_disk_works(tmp_path: Path):
    """Labs move the large folder and leave a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "artifacts").symlink_to(tmp_path / "disk")
    with WorkspaceStore(tmp_path / "workspace") as store:
        register(store, "x", *staged(store, b"[1]"))
        assert store.load_artifact("x") == [1]


def test_a_moved_workspace_still_loads(store: WorkspaceStore, tmp_path: Path):
    artifact = store.save_artifact([1], "X", "model", "json")
    store.close()
    store.workspace_path.rename(tmp_path / "moved")
    with WorkspaceStore(tmp_path / "moved") as moved:
        assert moved.load_artifact(artifact) == [1]


def test_releasing_drops_what_no_chain_names(
    store: WorkspaceStore, pipeline: str, make_chain: Callable[..., str]
):
    relative, digest = staged(store, b"[1]")
    register(store, "x", relative, digest)
    register(store, "y", relative, digest)
    assert store.release_artifact("x") is False
    assert files(store) == [relative]
    assert store.release_artifact("y") is True
    assert files(store) == []
    assert store.release_artifact("nobody") is False
    make_chain(store, pipeline)
    for artifact in store.list_artifacts()["artifact_id"]:
        with pytest.raises(StateError, match="chain"):
            store.release_artifact(artifact)
    assert not any(store.verify(hashes=True).values())


def test_a_path_that_is_not_named_by_its_hash_goes_with_its_last_row(store: WorkspaceStore):
    """A registered file of the user's own name would otherwise stay for ever."""
    relative, digest = staged(store, b"[1]", "v1.2/model.json")
    saved = store.save_artifact([1], "X", "model", "json")
    register(store, "x", relative, digest)
    register(store, "y", relative, digest)
    store.release_artifact("x")
    assert relative in files(store)
    assert store.release_artifact("y") is True
    assert relative not in files(store)
    assert store.load_artifact(saved) == [1]
    assert not any(store.verify(hashes=True).values())


def test_joblib_files_are_what_joblib_reads(store: WorkspaceStore):
    """The file outlives this package."""
    artifact = store.save_artifact({"a": X}, "X", "model", "joblib")
    np.testing.assert_array_equal(joblib.load(store.get_artifact_path(artifact))["a"], X)


def test_objects_are_read_only_on_the_disk(store: WorkspaceStore):
    path = store.get_artifact_path(store.save_artifact([1], "X", "model", "json"))
    assert path.stat().st_mode & 0o222 == 0


def test_saving_again_renews_the_file(store: WorkspaceStore):
    """Its age decides what gc drops as stale or orphaned."""
    path = store.get_artifact_path(store.save_artifact([1], "X", "model", "json"))
    os.utime(path, (1, 1))
    store.save_artifact([1], "X", "model", "json")
    assert time.time() - path.stat().st_mtime < 60
