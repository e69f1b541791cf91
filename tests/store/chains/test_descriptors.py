import numpy as np
import pytest

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import artifact_ids, checked_chain

STEPS = [
    {"step_idx": 0, "operator_class": "StandardScaler", "params": {}, "artifact_id": "s"},
    {"step_idx": 3, "operator_class": "Ridge", "params": {}, "artifact_id": None, "role": "model"},
]
FOLDS = {"fold_0": "a", "fold_1": "b"}


def check(**changes):
    arguments = {
        "steps": STEPS,
        "model_step_idx": 3,
        "fold_strategy": "per_fold",
        "fold_artifacts": FOLDS,
        "shared_artifacts": {"0": ["s"]},
        "branch_path": None,
        "source_index": None,
        "fold_weights": None,
    }
    return checked_chain(**{**arguments, **changes})


def test_a_chain_takes_one_form():
    """Else readers of stored chains must know every way of writing the same one."""
    chain = check(
        model_step_idx=np.int64(3),
        shared_artifacts={0: "s", "3": [], "_source_map": {0: {0: "s", 1: ["t", "u"]}}},
        branch_path=(1, np.int32(0)),
        source_index=np.int64(2),
        fold_weights={"fold_1": 3, "fold_0": np.float32(1)},
    )
    assert chain.steps == STEPS
    assert chain.model_step_idx == 3
    assert chain.shared_artifacts == {
        "0": ["s"],
        "3": [],
        "_source_map": {"0": {"0": ["s"], "1": ["t", "u"]}},
    }
    assert chain.branch_path == [1, 0]
    assert chain.source_index == 2
    assert chain.fold_weights == {"fold_0": 1.0, "fold_1": 3.0}
    assert list(chain.fold_weights) == list(chain.fold_artifacts)


def test_what_was_given_is_not_changed():
    """Else saving a chain twice saves two different ones."""
    steps, shared = [dict(step) for step in STEPS], {0: "s"}
    check(steps=steps, shared_artifacts=shared).steps[0]["params"] = 1
    assert steps == STEPS
    assert shared == {0: "s"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_step_idx": 1}, "index 1"),
        ({"model_step_idx": 0, "steps": STEPS[1:]}, "index 0"),
        ({"model_step_idx": "3"}, "model_step_idx"),
        ({"model_step_idx": True}, "model_step_idx"),
        ({"steps": [STEPS[1], STEPS[1]]}, "index 3"),
        ({"steps": STEPS[::-1]}, "Sort"),
        ({"steps": [{"operator_class": "Ridge"}]}, "step_idx"),
        ({"steps": [{"step_idx": 3, "role": "scale"}]}, "scale"),
        ({"fold_weights": {"fold_0": 1.0}}, "fold_1"),
        ({"fold_weights": {}}, "fold_1"),
        ({"fold_weights": {"fold_0": 1.0, "fold_1": -1.0}}, "negative"),
        ({"fold_weights": {"fold_0": 0.0, "fold_1": 0.0}}, "positive"),
        ({"fold_weights": {"fold_0": float("nan"), "fold_1": 1.0}}, "finite"),
        ({"fold_weights": {"fold_0": "much", "fold_1": 1.0}}, "number"),
        ({"fold_artifacts": {"fold_0": 7}}, "fold_0"),
        ({"fold_artifacts": ["a"]}, "fold_artifacts"),
        ({"shared_artifacts": {"first": "s"}}, "first"),
        ({"shared_artifacts": {"0": [1]}}, "ids"),
        ({"shared_artifacts": {"_source_map": ["s"]}}, "_source_map"),
        ({"branch_path": "0"}, "branch_path"),
        ({"branch_path": [0.5]}, "branch_path"),
        ({"source_index": "0"}, "source_index"),
        ({"fold_strategy": None}, "fold_strategy"),
        ({"steps": [{"step_idx": 3, "params": [1]}]}, "Step 3 has the params"),
        ({"steps": [{"step_idx": 3, "params": "alpha"}]}, "Step 3 has the params"),
        ({"steps": [{"step_idx": 3, "combined": "x"}]}, "Step 3 has 'x' under combined"),
        ({"steps": [{"step_idx": 3, "combined": {"a": 1}}]}, "under combined"),
        ({"steps": [{"step_idx": 3, "combined": ["x"]}]}, "names no operator_class"),
        ({"steps": [{"step_idx": 3, "combined": [{}]}]}, "names no operator_class"),
        ({"steps": [{"step_idx": 3, "combined": [{"operator_class": "A"}]}]}, "no branch_path"),
        (
            {"steps": [{"step_idx": 3, "combined": [{"operator_class": "A", "branch_path": "0"}]}]},
            "branch_path is '0'",
        ),
    ],
)
def test_a_chain_that_could_not_be_replayed_is_refused(changes, said):
    """Else the fault shows when somebody wants to predict, long after the training."""
    with pytest.raises(StoreValueError, match=said):
        check(**changes)


def test_a_chain_without_a_model_needs_no_step_of_index_0():
    """Else the transforms of a run that trained nothing cannot be saved."""
    chain = check(steps=[{**STEPS[0], "step_idx": 1}], model_step_idx=0, fold_artifacts={})
    assert chain.model_step_idx == 0
    assert check(steps=[], model_step_idx=0, fold_artifacts=None, shared_artifacts=None).steps == []


def test_artifacts_that_were_not_kept_may_be_missing():
    """Else a run without saved artifacts cannot record its chains."""
    chain = check(fold_artifacts={0: None, 1: ""}, fold_weights={0: 1, 1: 2})
    assert chain.fold_artifacts == {"0": None, "1": None}
    assert chain.fold_weights == {"0": 1.0, "1": 2.0}


def test_every_artifact_that_a_chain_names_is_found():
    """Else garbage collection deletes an object that a chain still needs."""
    shared = {"0": ["s", "s"], "1": "t", "2": None, "_source_map": {"0": {"0": ["u"], "1": "v"}}}
    steps = [{"artifact_id": "w"}, {"artifact_ids": ["x", "y"]}, {"artifact_id": None}]
    found = artifact_ids({"fold_0": "a", "fold_1": None, "all": "a"}, shared, steps)
    assert found == {"a", "s", "t", "u", "v", "w", "x", "y"}
    assert artifact_ids(None, None, []) == set()
