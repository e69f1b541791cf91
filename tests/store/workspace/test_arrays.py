import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.workspace.arrays import checked_arrays

NAMES = ("y_true", "y_pred", "y_proba", "sample_indices", "weights")


class TestRoundTrip:
    """What was saved is read, by either way in."""

    @pytest.fixture(params=["with the row", "afterwards", "with many", "given id"])
    def saved(self, request, store, make_prediction):
        """Saves arrays in one of the ways and returns the prediction as it is read."""

        def save(arrays):
            match request.param:
                case "with the row":
                    name = store.save_prediction(**make_prediction(), arrays=arrays)
                case "afterwards":
                    name = store.save_prediction(**make_prediction())
                    store.save_prediction_arrays(
                        name, **({"y_true": None, "y_pred": None} | arrays)
                    )
                case "with many":
                    (name,) = store.save_predictions([make_prediction(arrays=arrays)])
                case _:
                    row = make_prediction(prediction_id="mine", arrays=arrays)
                    name = store.save_prediction(**row)
            return store.get_prediction(name, load_arrays=True)

        return save

    def test_all_five(self, saved):
        """Shapes of several dimensions and indices above 2**31 come back, values exactly."""
        arrays = {
            "y_true": np.array([1.0, np.nan, -0.1]),
            "y_pred": np.array([[1.0, 2.0], [3.0, np.inf], [5.0, 6.0]]),
            "y_proba": np.asfortranarray(np.arange(12.0).reshape(3, 2, 2)),
            "sample_indices": np.array([3_000_000_000, 2**62, -1]),
            "weights": np.array([0.1, 0.2, 0.7]),
        }
        found = saved(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == (np.int64 if name == "sample_indices" else np.float64)

    def test_those_not_given_are_none(self, saved):
        found = saved({"y_true": np.array([0.5])})
        assert [found[name] is None for name in NAMES] == [False, True, True, True, True]

    def test_no_samples(self, saved):
        """A fold without rows is no error, and keeps the number of classes."""
        found = saved({"y_true": [], "y_pred": np.empty(0), "y_proba": np.empty((0, 3))})
        assert found["y_true"].shape == found["y_pred"].shape == (0,)
        assert found["y_proba"].shape == (0, 3)

    def test_other_numbers_and_containers(self, saved):
        """Lists, flags, integers and series are numbers too; masked values are missing."""
        masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
        found = saved(
            {"y_true": [True, False], "y_pred": np.array([1, 2], np.uint8),
             "y_proba": masked, "weights": pl.Series([0.5, None]),
             "sample_indices": np.array([4.0, 5.0])}
        )  # fmt: skip
        np.testing.assert_array_equal(found["y_true"], [1.0, 0.0])
        np.testing.assert_array_equal(found["y_pred"], [1.0, 2.0])
        np.testing.assert_array_equal(found["y_proba"], [1.0, np.nan])
        np.testing.assert_array_equal(found["weights"], [0.5, np.nan])
        np.testing.assert_array_equal(found["sample_indices"], [4, 5])


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 5), st.lists(st.integers(1, 3), max_size=2), st.data())
def test_any_arrays_of_one_length(store, make_prediction, length, rest, data):
    floats = arrays_of.arrays(np.float64, (length, *rest))
    integers = arrays_of.arrays(np.int64, (length,))
    given_arrays = {
        "y_proba": data.draw(floats),
        "y_true": data.draw(arrays_of.arrays(np.float64, (length,))),
        "sample_indices": data.draw(integers),
    }
    with store.session():
        name = store.save_prediction(**make_prediction(), arrays=given_arrays)
        found = store.get_prediction(name, load_arrays=True)
    for key, array in given_arrays.items():
        np.testing.assert_array_equal(found[key], array)


class TestRefusals:
    """Refused before anything is written; else wrong numbers are found later, or never."""

    @pytest.mark.parametrize(
        "value",
        [["a", "b"], [1, None], [1 + 2j, 0], np.array(["2026"], "M8[D]"), [object()], [b"1"]],
    )
    def test_no_numbers(self, value):
        with pytest.raises(StoreTypeError, match=r"y_pred.*not numbers.*labels"):
            checked_arrays({"y_pred": value})

    def test_an_unknown_name(self):
        with pytest.raises(StoreTypeError, match="y_hat"):
            checked_arrays({"y_hat": [1.0]})

    def test_no_mapping(self):
        with pytest.raises(StoreTypeError, match="mapping"):
            checked_arrays([1.0])

    def test_a_single_number(self):
        with pytest.raises(StoreValueError, match="single number"):
            checked_arrays({"y_true": 3.0})

    def test_rows_of_different_lengths(self):
        with pytest.raises(StoreValueError, match=r"y_proba.*different lengths"):
            checked_arrays({"y_proba": [[0.1, 0.9], [1.0]]})

    @pytest.mark.parametrize("other", NAMES[1:])
    def test_different_numbers_of_samples(self, other):
        with pytest.raises(StoreValueError, match=rf"y_true 2, {other} 3"):
            checked_arrays({"y_true": [1, 2], other: [1, 2, 3]})

    @pytest.mark.parametrize(
        "indices",
        [[0.5], [np.nan], [np.inf], [1e19], [2.0**63], np.array([2**64 - 1], np.uint64)],
    )
    def test_indices_that_are_none(self, indices):
        """Cast, they would point to other samples."""
        with pytest.raises(StoreValueError, match=r"sample_indices.*whole"):
            checked_arrays({"sample_indices": indices})

    def test_a_prediction_is_not_saved_without_its_refused_arrays(self, store, make_prediction):
        for arrays in ({"y_true": ["a"]}, {"y_true": [1.0], "y_pred": [1.0, 2.0]}):
            with pytest.raises((StoreTypeError, StoreValueError)):
                store.save_prediction(**make_prediction(), arrays=arrays)
            with pytest.raises((StoreTypeError, StoreValueError)):
                store.save_predictions([make_prediction(), make_prediction(arrays=arrays)])
        assert store.query_predictions().is_empty()
