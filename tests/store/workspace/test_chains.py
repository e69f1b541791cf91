"""Chains: what is saved here is what predicts later."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import (
    StateError,
    StoreClosedError,
    StoreError,
    StoreTypeError,
    StoreValueError,
    UnknownIdError,
)
from mosaic_dagster.store.workspace import WorkspaceStore
from mosaic_dagster.store.workspace.chains import ensure_known

COLUMNS = [
    "chain_id", "pipeline_id", "steps", "model_step_idx", "model_class", "preprocessings",
    "fold_strategy", "fold_artifacts", "shared_artifacts", "branch_path", "source_index",
    "fold_weights", "created_at",
]  # fmt: skip


def step(index: int, **changes: Any) -> dict[str, Any]:
    """Descriptor of a step without a fitted object."""
    return {
        "step_idx": index,
        "operator_class": "X",
        "params": {},
        "artifact_id": None,
        "stateless": False,
    } | changes


@pytest.fixture
def artifacts(store: WorkspaceStore) -> list[str]:
    """Four saved artifacts, each with one open claim."""
    return [store.save_artifact({"n": n}, "X", "model", "json") for n in range(4)]


def counts(store: WorkspaceStore) -> dict[str, tuple[int, int]]:
    """References and open claims by artifact id."""
    table = store.list_artifacts()
    return {row["artifact_id"]: (row["ref_count"], row["open_claims"]) for row in table.to_dicts()}


def test_a_chain_returns_as_it_was_saved(
    store: WorkspaceStore, pipeline: str, artifacts: list[str]
):
    """A chain that comes back changed predicts something else."""
    a, b, c, d = artifacts
    steps = [
        step(1, artifact_id=a, params={"n": np.int64(3), "range": (0, 1)}),
        step(4, artifact_ids=[b, c], role="transform"),
        step(7, operator_class="Ridge", role="model"),
    ]
    chain = store.save_chain(
        pipeline, steps, 7, "Ridge", "X>X", "per_fold", {"fold_0": c, "fold_1": d},
        {"1": a, 4: [b, c], "_source_map": {4: {0: [b], 1: c}}}, [1, 0], 2,
        fold_weights={"fold_1": 1, "fold_0": 0.25},
    )  # fmt: skip
    found = store.get_chain(chain)
    assert str(uuid.UUID(chain)) == chain
    assert list(found) == COLUMNS
    assert found["created_at"] is not None
    assert found["steps"] == [
        step(1, artifact_id=a, params={"n": 3, "range": [0, 1]}),
        step(4, artifact_ids=[b, c], role="transform"),
        step(7, operator_class="Ridge", role="model"),
    ]
    assert found["fold_artifacts"] == {"fold_0": c, "fold_1": d}
    assert found["shared_artifacts"] == {
        "1": [a],
        "4": [b, c],
        "_source_map": {"4": {"0": [b], "1": [c]}},
    }
    assert (found["branch_path"], found["source_index"]) == ([1, 0], 2)
    assert found["fold_weights"] == {"fold_0": 0.25, "fold_1": 1.0}
    assert (found["model_step_idx"], found["model_class"]) == (7, "Ridge")
    assert (found["preprocessings"], found["fold_strategy"]) == ("X>X", "per_fold")


def test_each_distinct_artifact_is_counted_once_wherever_it_is_named(
    store: WorkspaceStore, pipeline: str, artifacts: list[str]
):
    """Claims 1 each become references; a second chain adds 1 where no claim is open."""
    a, b, c, d = artifacts
    store.save_artifact({"n": 3}, "X", "model", "json")
    for _ in range(2):
        store.save_chain(
            pipeline, [step(0, artifact_id=a), step(1, artifact_ids=[b, b])], 1, "X", "",
            "per_fold", {"fold_0": a, "fold_1": a}, {"0": [a, a], "_source_map": {0: {0: [d, d]}}},
        )  # fmt: skip
    assert counts(store) == {a: (2, 0), b: (2, 0), c: (1, 1), d: (2, 0)}
    assert not any(store.verify().values())


def test_an_unknown_artifact_or_pipeline_refuses_the_chain_whole(
    store: WorkspaceStore, pipeline: str, artifacts: list[str]
):
    """Half a chain would lower counts that it never raised."""
    a, b, *_ = artifacts
    places: list[tuple[dict[str, Any], dict[str, Any], Any]] = [
        ({"fold_0": a, "fold_1": "gone"}, {}, None),
        ({"fold_0": a}, {"0": ["gone"]}, None),
        ({"fold_0": a}, {"_source_map": {0: {0: ["gone"]}}}, None),
        ({"fold_0": a}, {}, "gone"),
    ]
    for folds, shared, own in places:
        with pytest.raises(KeyError, match="gone"):
            store.save_chain(
                pipeline, [step(0, artifact_id=own)], 0, "X", "", "per_fold", folds, shared
            )
    with pytest.raises(KeyError, match="nobody"):
        store.save_chain("nobody", [step(0)], 0, "X", "", "per_fold", {"all": b}, {})
    assert store.get_chains_for_pipeline(pipeline).is_empty()
    assert set(counts(store).values()) == {(1, 1)}


@pytest.mark.parametrize(
    "changes",
    [
        {"model_step_idx": 5},
        {"steps": [step(0), step(0)]},
        {"steps": [step(1), step(0)]},
        {"fold_weights": {"fold_0": 1.0}},
        {"fold_weights": {"fold_0": 1.0, "fold_1": 1.0, "fold_2": 1.0}},
        {"fold_weights": {"fold_0": 1.0, "fold_1": -0.1}},
        {"fold_weights": {"fold_0": 0.0, "fold_1": 0.0}},
        {"fold_weights": {"fold_0": 1.0, "fold_1": float("nan")}},
    ],
)
def test_chains_that_contradict_themselves_are_refused(
    store: WorkspaceStore, pipeline: str, artifacts: list[str], changes: dict[str, Any]
):
    given: dict[str, Any] = {
        "steps": [step(0), step(1)],
        "model_step_idx": 1,
        "fold_weights": None,
    } | changes
    with pytest.raises(StoreValueError):
        store.save_chain(
            pipeline, given["steps"], given["model_step_idx"], "X", "", "per_fold",
            {"fold_0": artifacts[0], "fold_1": artifacts[1]}, {},
            fold_weights=given["fold_weights"],
        )  # fmt: skip
    assert store.get_chains_for_pipeline(pipeline).is_empty()
    assert set(counts(store).values()) == {(1, 1)}


def test_parameters_must_be_json_and_names_text(
    store: WorkspaceStore, pipeline: str, artifacts: list[str]
):
    with pytest.raises(StoreTypeError, match=r"steps\[0\]\.params\.f"):
        store.save_chain(
            pipeline, [step(0, params={"f": print})], 0, "X", "", "per_fold",
            {"all": artifacts[0]}, {},
        )  # fmt: skip
    with pytest.raises(StoreTypeError, match="model_class"):
        store.save_chain(
            pipeline, [step(0)], 0, None, "", "per_fold", {"all": artifacts[0]}, {}
        )  # fmt: skip
    assert set(counts(store).values()) == {(1, 1)}


def test_nothing_is_known_of_an_unknown_chain(store: WorkspaceStore, pipeline: str):
    assert store.get_chain("nobody") is None
    assert store.get_chains_for_pipeline("nobody").is_empty()


def test_chains_are_listed_oldest_first_with_json_as_text(
    store: WorkspaceStore, run: str, pipeline: str, make_chain: Callable[..., str]
):
    """Branches of a pipeline are told apart by their order."""
    other = store.begin_pipeline(run, "other", {}, None, "larvae", None)
    with store.session():
        ids = [make_chain(store, pipeline, folds=1 + n % 2) for n in range(4)]
        make_chain(store, other)
    table = store.get_chains_for_pipeline(pipeline)
    assert table["chain_id"].to_list() == ids
    assert table.columns == COLUMNS
    assert table.schema["steps"] == pl.String
    assert table.schema == store.get_chains_for_pipeline("nobody").schema


def test_a_chain_that_another_process_took_back_is_not_known(
    store: WorkspaceStore, pipeline: str, make_chain: Callable[..., str]
):
    """A prediction that names it could never be replayed."""
    chain = make_chain(store, pipeline)
    with WorkspaceStore(store.workspace_path) as other:
        ensure_known(other._open, chain)
        other.fail_pipeline(pipeline, "x")
        with pytest.raises(KeyError, match=chain):
            ensure_known(other._open, chain)
    with pytest.raises(StateError):
        make_chain(store, pipeline)


@pytest.mark.parametrize("name", ["\ud800", None, 5, [1]])
def test_what_is_no_identifier_names_nothing(
    store: WorkspaceStore, pipeline: str, artifacts: list[str], name: Any
):
    """A name from a broken file must not look like a broken database."""
    assert store.get_chain(name) is None
    assert store.get_chains_for_pipeline(name).is_empty()
    with pytest.raises(UnknownIdError, match="no chain"):
        store.replay_chain(name, np.zeros((1, 1)))
    with pytest.raises(UnknownIdError, match="no pipeline"):
        store.save_chain(name, [step(0)], 0, "X", "", "per_fold", {"all": artifacts[0]}, {})


def test_an_artifact_that_no_row_can_name_is_unknown(store: WorkspaceStore, pipeline: str):
    with pytest.raises(UnknownIdError, match="no artifact"):
        store.save_chain(pipeline, [step(0)], 0, "X", "", "per_fold", {"all": "\ud800"}, {})
    assert store.get_chains_for_pipeline(pipeline).is_empty()


@pytest.mark.parametrize("index", [2**31, 2**40, pytest.param(10**5000, id="huge")])
def test_indices_too_large_for_their_column_are_refused_by_name(
    store: WorkspaceStore, pipeline: str, index: int
):
    """The database's own refusal names neither the chain nor the step."""
    for steps, model, source, name in (
        ([step(0), step(index)], 0, None, "step_idx"),
        ([step(index)], index, None, "step_idx"),
        ([step(0)], 0, index, "source_index"),
    ):
        with pytest.raises(StoreValueError, match=name):
            store.save_chain(pipeline, steps, model, "X", "", "per_fold", {}, {}, None, source)
    assert store.get_chains_for_pipeline(pipeline).is_empty()


def test_the_largest_indices_are_kept(store: WorkspaceStore, pipeline: str):
    top = 2**31 - 1
    chain = store.save_chain(pipeline, [step(top)], top, "X", "", "per_fold", {}, {}, None, top)
    found = store.get_chain(chain)
    assert (found["model_step_idx"], found["source_index"]) == (top, top)


@pytest.mark.parametrize("steps", [None, 5])
def test_steps_are_a_list(store: WorkspaceStore, pipeline: str, steps: Any):
    """A bare TypeError would not say which argument is meant."""
    with pytest.raises(StoreTypeError, match="steps"):
        store.save_chain(pipeline, steps, 0, "X", "", "per_fold", {}, {})


def test_the_state_of_the_store_is_told_before_arguments(store: WorkspaceStore, pipeline: str):
    """Who used a closed store would mend arguments one by one, and then learn of it."""

    def act(user: WorkspaceStore) -> None:
        user.save_chain([5], [step(2**40)], 2**40, None, "", "per_fold", {}, {})

    with (
        WorkspaceStore(store.workspace_path, read_only=True) as reader,
        pytest.raises(StoreError, match="read-only"),
    ):
        act(reader)
    store.close()
    with pytest.raises(StoreClosedError):
        act(store)
