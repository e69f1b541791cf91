from types import SimpleNamespace

import pytest

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import branch_compatible, chains_from_trace, checked_chain


def step(index, name, ids=(), branch=None, **rest):
    return {
        "step_index": index,
        "operator_class": name,
        "params": {},
        "branch_path": branch,
        "artifact_ids": list(ids),
        **rest,
    }


def model(index, name, branch=None, **rest):
    folds = {0: f"{name}0", 1: f"{name}1"}
    return step(index, name, branch=branch, fold_artifact_ids=folds, **rest)


def check(chain):
    """What a store does with the keywords before it saves them."""
    rest = {k: v for k, v in chain.items() if k not in ("model_class", "preprocessings")}
    return checked_chain(**rest)


@pytest.mark.parametrize(
    ("artifact", "of_model", "compatible"),
    [
        (None, [1], True),
        ([], [1], True),
        ([0], None, True),
        ([0], [], True),
        ([0], [0], True),
        ([0], [0, 2], True),
        ([0], [1], False),
        ([0, 1], [0], False),
        ([0, 1], (0, 1, 3), True),
    ],
)
def test_branches(artifact, of_model, compatible):
    """Else a model is replayed with transforms of another branch."""
    assert branch_compatible(artifact, of_model) is compatible


def test_one_model_takes_the_steps_before_it():
    """Else the chain lacks a step, or holds one that came later."""
    trace = [
        step(1, "sklearn.preprocessing.StandardScaler", ["s"]),
        step(2, "Detrend", skipped=True),
        step(3, "sklearn.preprocessing.Normalizer"),
        step(4, "ShuffleSplit", role="split"),
        model(5, "PLS"),
        step(6, "Chart", role="output"),
    ]
    [chain] = chains_from_trace(trace)
    assert chain == {
        "steps": [
            {
                "step_idx": 1,
                "operator_class": "sklearn.preprocessing.StandardScaler",
                "params": {},
                "artifact_id": "s",
                "stateless": False,
                "role": "transform",
            },
            {
                "step_idx": 3,
                "operator_class": "sklearn.preprocessing.Normalizer",
                "params": {},
                "artifact_id": None,
                "stateless": True,
                "role": "transform",
            },
            {
                "step_idx": 4,
                "operator_class": "ShuffleSplit",
                "params": {},
                "artifact_id": None,
                "stateless": True,
                "role": "split",
            },
            {
                "step_idx": 5,
                "operator_class": "PLS",
                "params": {},
                "artifact_id": None,
                "stateless": False,
                "role": "model",
            },
        ],
        "model_step_idx": 5,
        "model_class": "PLS",
        "preprocessings": "StandardScaler>Normalizer",
        "fold_strategy": "per_fold",
        "fold_artifacts": {"fold_0": "PLS0", "fold_1": "PLS1"},
        "shared_artifacts": {"1": ["s"]},
        "branch_path": None,
        "source_index": None,
    }
    check(chain)


def test_each_branch_has_its_chain():
    """Step 2 ran on both branches; each model gets its own, and what came before the branches."""
    trace = [
        step(1, "Scaler", ["s"]),
        step(2, "SNV", ["n"], [0]),
        model(3, "PLS", [0]),
        step(2, "MSC", ["m"], [1]),
        model(3, "Ridge", [1]),
    ]
    chains = chains_from_trace(trace)
    assert [c["shared_artifacts"] for c in chains] == [
        {"1": ["s"], "2": ["n"]},
        {"1": ["s"], "2": ["m"]},
    ]
    assert [c["branch_path"] for c in chains] == [[0], [1]]
    assert [c["model_class"] for c in chains] == ["PLS", "Ridge"]
    assert [[s["operator_class"] for s in c["steps"]] for c in chains] == [
        ["Scaler", "SNV", "PLS"],
        ["Scaler", "MSC", "Ridge"],
    ]
    for chain in chains:
        check(chain)


def test_a_model_after_a_merge_takes_all():
    """Else artifacts of the branches are collected as garbage while the merged model needs them."""
    trace = [step(1, "SNV", ["n"], [0]), step(1, "MSC", ["m"], [1]), model(2, "PLS")]
    [chain] = chains_from_trace(trace)
    assert chain["shared_artifacts"] == {"1": ["n", "m"]}
    assert chain["steps"][0]["combined"] == [
        {"operator_class": "SNV", "branch_path": [0]},
        {"operator_class": "MSC", "branch_path": [1]},
    ]
    check(chain)


def test_operators_of_one_step_stay_in_order():
    """Else a step of two scalers applies one of them."""
    [chain] = chains_from_trace([step(1, "A", ["a"]), step(1, "B", ["b", "c"]), model(2, "M")])
    assert chain["steps"][0]["artifact_ids"] == ["a", "b", "c"]
    assert "combined" not in chain["steps"][0]


def test_models_in_a_row_do_not_share_folds():
    """The second chain describes the first model, which replay passes over."""
    first, second = chains_from_trace([step(0, "A", ["a"]), model(1, "PLS"), model(2, "Forest")])
    assert first["model_step_idx"] == 1
    assert second["fold_artifacts"] == {"fold_0": "Forest0", "fold_1": "Forest1"}
    assert [s["role"] for s in second["steps"]] == ["transform", "model", "model"]
    assert second["preprocessings"] == "A"


def test_alternatives_at_one_step_have_separate_chains():
    """Else two models of one step make a chain with a step index that comes twice."""
    for chain in chains_from_trace([step(0, "A", ["a"]), model(1, "PLS"), model(1, "Forest")]):
        assert [s["step_idx"] for s in check(chain).steps] == [0, 1]


def test_sources_keep_their_operators():
    """Else a chain over two sources scales both with the objects of one."""
    trace = [step(0, "Scaler", [], by_source={0: ["a"], 1: "b"}), model(1, "PLS")]
    [chain] = chains_from_trace(trace)
    assert chain["shared_artifacts"] == {
        "0": ["a", "b"],
        "_source_map": {"0": {"0": ["a"], "1": ["b"]}},
    }


def test_objects_serve_as_well_as_dicts():
    """Else a recorder of steps must turn its records into dicts."""
    objects = [SimpleNamespace(**item) for item in [step(0, "A", ["a"]), model(1, "PLS")]]
    assert chains_from_trace(objects) == chains_from_trace([step(0, "A", ["a"]), model(1, "PLS")])


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({0: "x", "1": "y"}, ["fold_0", "fold_1"]),
        ({"fold_0": "x", "all": "y"}, ["fold_0", "all"]),
        (["x", "y"], ["fold_0", "fold_1"]),
    ],
)
def test_fold_keys(given, keys):
    """Else weights and predictions of a fold do not find its model."""
    [chain] = chains_from_trace([step(1, "PLS", fold_artifact_ids=given)])
    assert list(chain["fold_artifacts"]) == keys


@pytest.mark.parametrize("trace", [[], [step(1, "A", ["a"])], [model(1, "M", skipped=True)]])
def test_without_a_model_there_is_one_chain(trace):
    """Else the transforms of a run that trained nothing are lost."""
    [chain] = chains_from_trace(trace)
    assert (chain["model_step_idx"], chain["model_class"]) == (0, "")
    assert chain["fold_strategy"] == "shared"
    assert chain["shared_artifacts"] == ({"1": ["a"]} if trace and "A" in str(trace) else {})
    check(chain)


@pytest.mark.parametrize(
    "trace", [[{"operator_class": "A"}], [step(1, "A", ["a"]), model(1, "PLS")]]
)
def test_a_trace_without_an_order_is_refused(trace):
    """Else a transform drops out of the chain and predictions come from other features."""
    with pytest.raises(StoreValueError):
        chains_from_trace(trace)
