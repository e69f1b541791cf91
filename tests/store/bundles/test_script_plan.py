import pytest

from mosaic_dagster.errors import ReplayError, StoreValueError
from mosaic_dagster.store.bundles.script_plan import script_plan


def chain(*roles, **fields):
    """Steps with the given roles and the artifacts s0, s1, ..., then a model with folds a, b."""
    steps = [{"step_idx": k, "operator_class": "X", "role": role} for k, role in enumerate(roles)]
    return {
        "steps": [*steps, {"step_idx": len(roles), "role": "model"}],
        "model_step_idx": len(roles),
        "fold_strategy": "per_fold",
        "fold_artifacts": {"fold_0": "a", "fold_1": "b"},
        "shared_artifacts": {str(k): [f"s{k}"] for k in range(len(roles))},
        **fields,
    }


def test_steps_are_applied_in_order_and_targets_undone_from_the_last():
    """Else the script scales twice, or undoes the scaling of y in the wrong order."""
    plan = script_plan(chain("transform", "y_transform", "split", None, "y_transform", "augment"))
    assert plan.transforms == ["s0", "s3"]
    assert plan.targets == ["s4", "s1"]
    assert (plan.models, plan.weights) == (["a", "b"], None)
    assert plan.ids == ["s0", "s3", "a", "b", "s4", "s1"]


def test_ids_of_the_descriptor_count_where_no_shared_ones_are():
    """Else chains of other writers lose their transforms."""
    given = chain("transform", shared_artifacts={})
    given["steps"][0]["artifact_ids"] = ["x", "y"]
    assert script_plan(given).transforms == ["x", "y"]


def test_a_fold_of_weight_zero_is_left_out():
    """Else its model is carried, and its NaN predictions spoil the mean."""
    plan = script_plan(chain(fold_weights={"fold_0": 0.0, "fold_1": 3.0}))
    assert (plan.models, plan.weights) == (["b"], [3.0])


@pytest.mark.parametrize(
    ("fields", "models"),
    [
        ({"fold_artifacts": {"all": "m", "fold_0": "a"}}, ["m"]),
        ({"fold_artifacts": {}, "shared_artifacts": {"0": ["m"]}}, ["m"]),
    ],
)
def test_a_shared_model_is_found(fields, models):
    """Else chains with one model on everything cannot become a script."""
    assert script_plan(chain(fold_strategy="shared", **fields)).models == models


@pytest.mark.parametrize("folds", [{}, {"fold_0": None}, {"fold_0": "a", "fold_1": None}])
def test_a_chain_without_its_models_is_refused(folds):
    """Else the script is written and cannot predict, or with fewer folds than were asked."""
    with pytest.raises(ReplayError, match="no fitted model"):
        script_plan(chain(fold_artifacts=folds))


@pytest.mark.parametrize("role", ["transform", "y_transform"])
def test_a_stateless_step_is_refused(role):
    """Else the script predicts from the wrong features without a word."""
    with pytest.raises(StoreValueError, match=r"Step 0 \(X\) has no fitted object"):
        script_plan(chain(role, shared_artifacts={}))


def test_side_by_side_operators_are_refused():
    """Else one of two branches is dropped."""
    given = chain("transform")
    given["steps"][0]["combined"] = [{"operator_class": "A", "branch_path": [0]}]
    with pytest.raises(StoreValueError, match="side by side"):
        script_plan(given)


def test_several_sources_are_refused_and_one_is_carried():
    """Else columns of one source pass through the operators of another."""
    two = {"0": ["l", "r"], "_source_map": {"0": {"0": ["l"], "1": ["r"]}}}
    with pytest.raises(StoreValueError, match="the sources 0, 1"):
        script_plan(chain("transform", shared_artifacts=two))
    assert script_plan(chain("transform", shared_artifacts=two, source_index=1)).transforms == ["r"]
    one = {"_source_map": {"0": {"0": ["l"]}}}
    assert script_plan(chain("transform", shared_artifacts=one)).transforms == ["l"]
