import pytest

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import (
    METRIC_DIRECTIONS,
    higher_is_better,
    ranking_ascending,
    register_metric,
)

HIGHER = [
    "r2",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "precision",
    "recall",
    "specificity",
    "auc",
    "roc_auc",
    "kappa",
    "mcc",
    "rpd",
    "rpiq",
    "explained_variance",
]
LOWER = [
    "rmse",
    "mse",
    "mae",
    "mape",
    "nrmse",
    "medae",
    "max_error",
    "sep",
    "log_loss",
    "hinge_loss",
    "error_rate",
]


def test_the_directions_are_these():
    """Else the worst model of a run is shown as its best."""
    assert {name: METRIC_DIRECTIONS[name] for name in HIGHER} == dict.fromkeys(HIGHER, True)
    assert {name: METRIC_DIRECTIONS[name] for name in LOWER} == dict.fromkeys(LOWER, False)


def test_case_does_not_matter():
    """Else 'RMSE', as reports write it, cannot be ranked."""
    assert higher_is_better("R2") is True
    assert higher_is_better("RMSE") is False
    assert higher_is_better("unheard_of") is None


def test_the_directions_are_changed_through_register_alone():
    """Else a typing slip somewhere turns every later ranking round."""
    with pytest.raises(TypeError):
        METRIC_DIRECTIONS["rmse"] = True


def test_a_lab_adds_its_metric():
    """Else scores of a metric of one's own can never be ranked by default."""
    register_metric("Bout_F1", True)
    register_metric("bout_f1", True)
    assert METRIC_DIRECTIONS["bout_f1"] is True
    assert ranking_ascending(["bout_F1", "r2"]) is False


@pytest.mark.parametrize(("name", "higher"), [("rmse", True), ("R2", False), ("  ", True)])
def test_a_known_direction_stays(name, higher):
    """Else one notebook reverses what the same name means elsewhere."""
    with pytest.raises(StoreValueError):
        register_metric(name, higher)
    assert higher_is_better("rmse") is False


def test_ranking_follows_the_metric():
    """Else r2 is ranked from its worst value."""
    assert ranking_ascending(["rmse", "MAE"]) is True
    assert ranking_ascending(["r2", "accuracy"]) is False
    assert ranking_ascending([]) is True


@pytest.mark.parametrize(
    ("names", "named"), [(["rmse", "r2"], "r2"), (["rmse", "unheard_of"], "unheard_of")]
)
def test_a_ranking_without_a_direction_asks(names, named):
    """Else scores that cannot be compared are put in an order that means nothing."""
    with pytest.raises(StoreValueError, match=named) as caught:
        ranking_ascending(names)
    assert "ascending" in str(caught.value)
