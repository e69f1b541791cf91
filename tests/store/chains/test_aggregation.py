import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.chains import aggregate_by_group

NAN = float("nan")
GROUPS = ["b", "a", "b", "a", "b"]


def listed(result):
    return {key: value.tolist() for key, value in result.items()}


def test_means_by_hand():
    """a holds 2 and 4, b holds 1, 3, 8."""
    result = aggregate_by_group([1.0, 2.0, 3.0, 4.0, 8.0], GROUPS, y_true=[1, 3, 1, 3, 1])
    assert listed(result) == {
        "y_pred": [3.0, 4.0],
        "y_true": [3.0, 1.0],
        "group_ids": ["a", "b"],
        "group_sizes": [2, 3],
    }


def test_median_and_vote_by_hand():
    """a: 2 and 4, median 3, a tie that 2 wins. b: 1, 8, 8, median and vote 8."""
    values = [1.0, 2.0, 8.0, 4.0, 8.0]
    assert aggregate_by_group(values, GROUPS, method="median")["y_pred"].tolist() == [3.0, 8.0]
    assert aggregate_by_group(values, GROUPS, method="vote")["y_pred"].tolist() == [2.0, 8.0]


def test_a_mean_of_whole_numbers_is_a_mean():
    """Else counts of 1 and 2 are reported as 1 for having few distinct values."""
    assert aggregate_by_group([1, 2], [0, 0])["y_pred"].tolist() == [1.5]


def test_labels_can_be_voted_on():
    """Else named behaviours cannot be aggregated."""
    labels = ["rear", "groom", "rear", "groom", "walk"]
    assert aggregate_by_group(labels, GROUPS, method="vote")["y_pred"].tolist() == ["groom", "rear"]
    with pytest.raises(StoreValueError, match="vote"):
        aggregate_by_group(labels, GROUPS)


def test_probabilities_by_hand():
    """a: rows (.2, .4) and (.4, .2), so (.5, .5), the first column. b: (.3, .9), so (.25, .75)."""
    result = aggregate_by_group(
        [0, 1, 1],
        ["a", "a", "b"],
        y_true=[1, 1, 0],
        y_proba=[[0.2, 0.4], [0.4, 0.2], [0.3, 0.9]],
    )
    np.testing.assert_allclose(result["y_proba"], [[0.5, 0.5], [0.25, 0.75]])
    assert result["y_pred"].tolist() == [0, 1]
    assert result["y_true"].tolist() == [1, 0]


def test_a_group_without_any_probability_stays_zero():
    """Else 0/0 fills a group with NaN and warns."""
    result = aggregate_by_group([0], [7], y_proba=[[0.0, 0.0]])
    assert result["y_proba"].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(("threshold", "excluded"), [(0.99, 1), (0.95, 2), (0.90, 3), (0.5, 4)])
def test_outliers_by_hand(threshold, excluded):
    """Deviations from the median 0: five of 1, then 4, 5, 6, 7 and four 0.

    Sorted they are 0 0 0 0 1 1 1 1 1 4 5 6 7, so the MAD is 1 and the scores 2.698, 3.3725, 4.047,
    4.7215: one is above 4.5, two above 3.5, three above 3, all four above 2.5.
    """
    values = [0.0, 0, 0, 0, 1, 1, -1, -1, -1, 4, -5, 6, -7]
    assert np.median(values) == 0
    result = aggregate_by_group(values, ["g"] * 13, exclude_outliers=True, threshold=threshold)
    kept = [v for v in values if abs(v) < {1: 7, 2: 6, 3: 5, 4: 4}[excluded]]
    assert result["outliers_excluded"].tolist() == [excluded]
    assert result["group_sizes"].tolist() == [13 - excluded]
    assert result["y_pred"][0] == pytest.approx(np.mean(kept))


def test_small_and_constant_groups_lose_nothing():
    """Pairs have no outlier; 1, 1, 1, 9 has a MAD of 0."""
    result = aggregate_by_group(
        [0.0, 1000.0, 1.0, 1.0, 1.0, 9.0], [0, 0, 1, 1, 1, 1], exclude_outliers=True
    )
    assert result["outliers_excluded"].tolist() == [0, 0]
    assert result["y_pred"].tolist() == [500.0, 3.0]


def test_excluded_rows_are_out_of_every_column():
    """0, 1, 2, 100: median 1.5, MAD 1; 100 scores 66, so true value and probability 9 go too."""
    result = aggregate_by_group(
        [0.0, 1.0, 2.0, 100.0], [5] * 4, y_true=[3.0, 3.0, 3.0, 9.0], exclude_outliers=True
    )
    assert listed(result) == {
        "y_pred": [1.0],
        "y_true": [3.0],
        "group_ids": [5],
        "group_sizes": [3],
        "outliers_excluded": [1],
    }


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(-50, 50) | st.just(NAN)), min_size=1, max_size=30
    ),
    method=st.sampled_from(["mean", "median"]),
)
def test_groups_agree_with_numpy(rows, method):
    """Else a group's value is not that of its rows, or NaN leaks from one group to another."""
    groups, values = np.array([g for g, _ in rows]), np.array([float(v) for _, v in rows])
    result = aggregate_by_group(values, groups, method=method)
    reduce = getattr(np, method)
    expected = [reduce(values[groups == group]) for group in sorted(set(groups.tolist()))]
    np.testing.assert_allclose(result["y_pred"], expected, rtol=1e-12)


def test_nan_predictions_hide_no_outliers_of_other_groups():
    """Else one NaN frame switches the exclusion off everywhere, or warns."""
    result = aggregate_by_group(
        [NAN, 1.0, 2.0, 0.0, 1.0, 2.0, 100.0], [0, 0, 0, 1, 1, 1, 1], exclude_outliers=True
    )
    assert result["outliers_excluded"].tolist() == [0, 1]
    np.testing.assert_array_equal(result["y_pred"], [NAN, 1.0])


@pytest.mark.parametrize("method", ["mean", "median", "vote"])
def test_no_rows_give_no_groups(method):
    """Else an empty selection ends in an error."""
    result = aggregate_by_group([], [], method=method, exclude_outliers=True)
    assert all(len(value) == 0 for value in result.values())


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (([1.0, 2.0], [0]), {}),
        (([[1.0, 2.0]], [0]), {}),
        (([1.0], [0]), {"y_true": [1.0, 2.0]}),
        (([1.0], [0]), {"y_proba": [0.5]}),
        (([1.0], [0]), {"method": "mode"}),
        (([1.0, 2.0], np.array([1, "a"], dtype=object)), {}),
        ((["a"], [0]), {"method": "vote", "exclude_outliers": True}),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options):
    """Else rows are matched with the wrong groups."""
    with pytest.raises(StoreValueError):
        aggregate_by_group(*arguments, **options)
