"""Replay through the store: the numbers that come back are those of the models that were saved."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mosaic_dagster.errors import (
    ReplayError,
    StoreClosedError,
    StoreValueError,
    UntrustedArtifactError,
)
from mosaic_dagster.store.workspace import WorkspaceStore, artifacts

Chain = Callable[..., str]
NEW = np.array([[0.5, 0.5], [4.0, 1.0], [np.pi, 2.0]])


def test_a_replay_is_the_mean_of_the_folds_on_scaled_rows(
    store: WorkspaceStore, pipeline: str, make_chain: Chain
):
    """(model_0(scale(X)) + model_1(scale(X))) / 2, from the objects loaded one by one."""
    chain = store.get_chain(make_chain(store, pipeline))
    scaler = store.load_artifact(chain["shared_artifacts"]["0"][0])
    first, second = (store.load_artifact(a) for a in chain["fold_artifacts"].values())
    scaled = scaler.transform(NEW)
    before = NEW.copy()
    predicted = store.replay_chain(chain["chain_id"], NEW)
    np.testing.assert_array_equal(predicted, (first.predict(scaled) + second.predict(scaled)) / 2)
    np.testing.assert_array_equal(before, NEW)
    assert store.replay_chain(chain["chain_id"], NEW[:0]).shape == (0,)


def test_an_unknown_chain_is_told(store: WorkspaceStore):
    with pytest.raises(KeyError, match="nobody"):
        store.replay_chain("nobody", NEW)


def test_rows_must_be_a_matrix(store: WorkspaceStore, pipeline: str, make_chain: Chain):
    with pytest.raises(ValueError, match=r"."):
        store.replay_chain(make_chain(store, pipeline), NEW[0])


def test_a_chain_without_a_model_says_so(store: WorkspaceStore, pipeline: str):
    chain = store.save_chain(pipeline, [], 0, "", "", "shared", {}, {})
    with pytest.raises(ReplayError):
        store.replay_chain(chain, NEW)


def test_a_repeat_does_not_read_the_disk(store: WorkspaceStore, pipeline: str, make_chain: Chain):
    """A service predicts row by row; reading five models for each would take it down."""
    chain = make_chain(store, pipeline)
    first = store.replay_chain(chain, NEW)
    for stored in list(store.objects.all()):
        store.objects.path(stored.digest).unlink()
    np.testing.assert_array_equal(store.replay_chain(chain, NEW), first)
    with (
        WorkspaceStore(store.workspace_path) as other,
        pytest.raises(FileNotFoundError),
    ):
        other.replay_chain(chain, NEW)


@pytest.mark.parametrize("act", ["gc_artifacts", "delete"])
def test_what_was_deleted_is_not_replayed_from_memory(
    store: WorkspaceStore, run: str, pipeline: str, make_chain: Chain, act: str
):
    chain = make_chain(store, pipeline)
    store.replay_chain(chain, NEW)
    if act == "delete":
        store.delete_run(run)
        with pytest.raises(KeyError, match=chain):
            store.replay_chain(chain, NEW)
        return
    for stored in list(store.objects.all()):
        store.objects.path(stored.digest).unlink()
    store.gc_artifacts()
    with pytest.raises(FileNotFoundError):
        store.replay_chain(chain, NEW)


def linear(value: float) -> LinearRegression:
    """A model that predicts one value everywhere."""
    return LinearRegression().fit(np.eye(2), np.full(2, value))


def chain_of(store: WorkspaceStore, pipeline: str, model: str) -> str:
    """A chain of one model and nothing else."""
    step = {"step_idx": 0, "operator_class": "X", "params": {}, "role": "model"}
    return store.save_chain(pipeline, [step], 0, "X", "", "shared", {"all": model}, {})


def test_an_identifier_that_came_to_name_other_content_is_read_anew(
    store: WorkspaceStore, run: str, pipeline: str
):
    """Registry ids are used again by re-runs; the old model must not predict for the new chain.

    This store remembers the first content of 'model', then another store replaces it.
    """

    def begin(user: WorkspaceStore, value: float) -> tuple[str, str]:
        saved = user.get_artifact_path(user.save_artifact(linear(value), "X", "model", "arrays"))
        user.register_existing_artifact(
            "model", f"{saved.parent.name}/{saved.name}", saved.stem, "X", "model", "arrays",
            saved.stat().st_size, replace=True,
        )  # fmt: skip
        owner = user.begin_pipeline(run, "p", {}, None, "d", None)
        return owner, chain_of(user, owner, "model")

    owner, first = begin(store, 1.0)
    np.testing.assert_allclose(store.replay_chain(first, NEW), 1.0)
    with WorkspaceStore(store.workspace_path) as other:
        other.fail_pipeline(owner, "x")
        _, second = begin(other, 2.0)
    np.testing.assert_allclose(store.replay_chain(second, NEW), 2.0)


def test_an_altered_model_never_predicts(store: WorkspaceStore, pipeline: str, make_chain: Chain):
    chain = make_chain(store, pipeline)
    stored = next(iter(store.objects.all()))
    path = store.objects.path(stored.digest)
    path.chmod(0o644)
    path.write_bytes(b"x")
    assert sha256(b"x").hexdigest() != stored.digest
    with pytest.raises(ValueError, match="altered"):
        store.replay_chain(chain, NEW)


def test_a_careful_store_replays_only_what_needs_no_trust(
    store: WorkspaceStore, pipeline: str, make_chain: Chain
):
    chain = make_chain(store, pipeline)
    model = store.save_artifact(linear(1.0), "X", "model", "joblib")
    risky = chain_of(store, pipeline, model)
    with WorkspaceStore(store.workspace_path, allow_pickle=False) as careful:
        assert careful.replay_chain(chain, NEW).shape == (3,)
        with pytest.raises(UntrustedArtifactError):
            careful.replay_chain(risky, NEW)


def test_others_may_use_the_database_while_models_predict(
    store: WorkspaceStore, pipeline: str, make_chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    """A slow model must not keep every other process waiting."""
    chain = make_chain(store, pipeline)
    held: list[Any] = []
    decode = artifacts.decode

    def look(*given: Any, **more: Any) -> Any:
        held.append(store._open.database._gate().con)
        return decode(*given, **more)

    monkeypatch.setattr(artifacts, "decode", look)
    store.replay_chain(chain, NEW)
    assert held == [None, None, None]


@pytest.mark.parametrize("key", ["a", None, (0,), float("nan"), float("inf")])
def test_keys_that_are_no_sources_are_refused_by_name(
    store: WorkspaceStore, pipeline: str, make_chain: Chain, key: Any
):
    """A bare ValueError of int() would not say that X is meant."""
    chain = make_chain(store, pipeline)
    with pytest.raises(StoreValueError, match="X has a key"):
        store.replay_chain(chain, {key: NEW})
    with pytest.raises(StoreValueError, match="wavelengths has a key"):
        store.replay_chain(chain, NEW, {key: [1.0, 2.0]})


def test_two_matrices_for_one_source_are_refused(
    store: WorkspaceStore, pipeline: str, make_chain: Chain
):
    """'0' and 0 are one source: one of both would be left out in silence."""
    chain = make_chain(store, pipeline)
    with pytest.raises(StoreValueError, match="two keys"):
        store.replay_chain(chain, {"0": NEW, 0: NEW + 1})
    np.testing.assert_array_equal(
        store.replay_chain(chain, {"0": NEW}), store.replay_chain(chain, NEW)
    )


def test_a_closed_store_says_so_before_arguments(store: WorkspaceStore):
    store.close()
    with pytest.raises(StoreClosedError):
        store.replay_chain("nobody", {"a": NEW})
