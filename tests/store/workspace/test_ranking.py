from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreClosedError, StoreTypeError, StoreValueError
from mosaic_dagster.store.workspace import ranking


@pytest.fixture
def save(store, make_prediction):
    """Saves rows in one transaction, each with a model name and changes."""

    def many(**rows):
        store.save_predictions(
            [make_prediction(model_name=name, **changes) for name, changes in rows.items()]
        )

    return many


def _names(frame):
    return frame["model_name"].to_list()


class TestDirections:
    def test_the_metric_decides(self, store, save):
        """Lower is better for rmse, higher for r2; else the worst model comes first."""
        for metric, best in (("rmse", ["low", "high"]), ("R2", ["high", "low"])):
            dataset = {"dataset_name": metric, "metric": metric}
            save(low={"val_score": 0.1} | dataset, high={"val_score": 0.9} | dataset)
            assert _names(store.top_predictions(2, dataset_name=metric)) == best
            assert _names(store.top_predictions(1, dataset_name=metric)) == best[:1]
            assert _names(
                store.top_predictions(2, ascending=True, dataset_name=metric)
            ) == ["low", "high"]  # fmt: skip
            assert _names(
                store.top_predictions(2, ascending=False, dataset_name=metric)
            ) == ["high", "low"]  # fmt: skip

    @pytest.mark.parametrize("other", ["r2", "own_metric"])
    def test_mixed_or_unknown_metrics_need_an_answer(self, store, save, other):
        save(a={"val_score": 0.1}, b={"val_score": 0.2, "metric": other})
        for n in (0, 1):
            with pytest.raises(StoreValueError, match="ascending=True"):
                store.top_predictions(n)
        assert _names(store.top_predictions(2, ascending=True)) == ["a", "b"]

    def test_only_rows_that_take_part_are_asked(self, store, save):
        """A test row of another metric must not stop the ranking of validation rows."""
        save(a={}, b={"metric": "r2", "partition": "test"}, c={"metric": "x", "dataset_name": "d"})
        assert _names(store.top_predictions(1, dataset_name="larvae")) == ["a"]

    def test_metrics_of_one_direction_may_mix(self, store, save):
        save(a={"val_score": 0.2, "metric": "mae"}, b={"val_score": 0.1, "metric": "rmse"})
        assert _names(store.top_predictions(2)) == ["b", "a"]


class TestWhoTakesPart:
    def test_validation_rows_unless_told_otherwise(self, store, save):
        save(
            v={"val_score": 2.0},
            t={"partition": "test", "val_score": 1.0},
            r={"partition": "train"},
        )
        assert _names(store.top_predictions(5)) == ["v"]
        assert _names(store.top_predictions(5, partition="test")) == ["t"]
        assert _names(store.top_predictions(5, partition=None)) == ["r", "t", "v"]

    def test_a_dataset_by_its_exact_name(self, store, save):
        save(a={"dataset_name": "d%"}, b={"dataset_name": "dx"})
        assert _names(store.top_predictions(5, dataset_name="d%")) == ["a"]

    def test_each_score_column(self, store, save):
        save(
            a={"val_score": 1.0, "test_score": 2.0, "train_score": 3.0},
            b={"val_score": 2.0, "test_score": 3.0, "train_score": 1.0},
        )
        first = {m: _names(store.top_predictions(1, m)) for m in ranking.SCORES}
        assert first == {"val_score": ["a"], "test_score": ["a"], "train_score": ["b"]}

    @pytest.mark.parametrize("ascending", [True, False, None])
    def test_rows_without_a_score_come_last(self, store, save, ascending):
        """In both directions; else a model that crashed wins."""
        save(nothing={"val_score": float("nan")}, bad={"val_score": 9.0}, good={"val_score": 0.0})
        found = _names(store.top_predictions(3, ascending=ascending))
        assert found[2] == "nothing"
        assert len(found) == 3

    @pytest.mark.parametrize("ascending", [True, False])
    def test_among_equals_the_older_then_the_smaller_identifier(
        self, store, make_prediction, ascending
    ):
        """Ages 2, 1, 1 of c, b, a: c is the oldest, then a before b."""
        ids = ["c", "b", "a"]
        store.save_predictions([make_prediction(prediction_id=name) for name in ids])
        with store._open.writing() as con:
            for name, minute in (("c", 0), ("b", 1), ("a", 1)):
                con.execute(
                    "UPDATE main.predictions SET created_at = ? WHERE prediction_id = ?",
                    [datetime(2026, 1, 1) + timedelta(minutes=minute), name],
                )
        for n in (1, 2, 3):
            found = store.top_predictions(n, ascending=ascending)
            assert found["prediction_id"].to_list() == ["c", "a", "b"][:n]


class TestGroups:
    @pytest.mark.parametrize(
        "column", [g for g in ranking.GROUPS if g not in ("run_id", "chain_id")]
    )
    def test_each_column(self, store, make_prediction, run, column):
        """Two values with two rows each: the best row of each is left."""
        other = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        first, second = {
            "branch_id": (0, 1), "pipeline_id": (make_prediction()["pipeline_id"], other),
            "partition": ("test", "val"), "task_type": ("classification", "regression"),
            "metric": ("mae", "rmse"),
        }.get(column, ("a", "b"))  # fmt: skip
        store.save_predictions(
            make_prediction(**{column: value, "val_score": score})
            for value in (first, second) for score in (0.2, 0.1)
        )  # fmt: skip
        found = store.top_predictions(1, partition=None, group_by=column)
        assert sorted(found[column]) == sorted([first, second])
        assert found["val_score"].to_list() == [0.1, 0.1]

    def test_runs_and_chains(self, store, make_prediction, make_chain, pipeline):
        """The run of a row is that of its pipeline; no column of it is in the result."""
        other_run = store.begin_run("other", {}, [{"name": "larvae"}])
        other = store.begin_pipeline(other_run, "p", {}, None, "larvae", None)
        sibling = store.begin_pipeline(other_run, "p", {}, None, "larvae", None)
        chain = make_chain(store, pipeline)
        store.save_predictions(
            make_prediction(pipeline_id=of, chain_id=named, val_score=score)
            for of, named, score in (
                (pipeline, chain, 0.3), (pipeline, None, 0.4), (other, None, 0.2),
                (sibling, None, 0.1),
            )
        )  # fmt: skip
        found = store.top_predictions(1, group_by="run_id")
        assert sorted(found["val_score"]) == [0.1, 0.3]
        assert "run_id" not in found.columns
        found = store.top_predictions(1, group_by=["chain_id"])
        assert sorted(found["val_score"]) == [0.1, 0.3]

    def test_nothing_is_a_value(self, store, save):
        """Rows without a branch are one group; else they would be left out, or all be kept."""
        rows = {f"none{i}": {"val_score": 1.0 + i} for i in range(3)}
        save(**rows, zero={"branch_id": 0, "val_score": 5.0})
        found = store.top_predictions(2, group_by="branch_id")
        assert sorted(_names(found)) == ["none0", "none1", "zero"]

    def test_groups_come_one_after_the_other_with_their_ranks(self, store, save):
        save(
            a2={"fold_id": "a", "val_score": 2.0}, b1={"fold_id": "b", "val_score": 0.5},
            a1={"fold_id": "a", "val_score": 1.0}, b2={"fold_id": "b", "val_score": None},
        )  # fmt: skip
        assert _names(store.top_predictions(5, group_by="fold_id")) == ["a1", "a2", "b1", "b2"]

    @pytest.mark.parametrize(
        "columns", ["val_score", "created_at", "Model_class", "", ["fold_id", "1"], "prediction_id"]
    )
    def test_other_columns_are_refused(self, store, columns):
        with pytest.raises(StoreValueError, match="grouped"):
            store.top_predictions(1, group_by=columns)

    @pytest.mark.parametrize("metric", ["rmse", "n_samples", "VAL_SCORE", "val_score DESC", ""])
    def test_other_scores_are_refused(self, store, metric):
        with pytest.raises(StoreValueError, match="score column"):
            store.top_predictions(1, metric)


@pytest.mark.parametrize("groups", [None, "fold_id"])
def test_numbers(store, save, groups):
    save(a={}, b={})
    assert store.top_predictions(0, group_by=groups).height == 0
    assert store.top_predictions(10**12, group_by=groups).height == 2
    assert store.top_predictions(5000, group_by=groups).height == 2
    with pytest.raises(StoreValueError, match="negative"):
        store.top_predictions(-1, group_by=groups)
    with pytest.raises(StoreTypeError, match="n is"):
        store.top_predictions("1", group_by=groups)


_rows = st.lists(
    st.fixed_dictionaries(
        {
            "val_score": st.none() | st.sampled_from((-1.0, 0.0, 0.5, 2.0)),
            "model_class": st.sampled_from("ab"),
            "branch_id": st.none() | st.integers(0, 1),
            "minute": st.integers(0, 2),
        }
    ),
    max_size=25,
)


def _slowly(rows, n, ascending, groups):
    """Rank in plain Python; groups by their values, null first."""

    def place(row):
        score = row["val_score"]
        known = 0.0 if score is None else score if ascending else -score
        return score is None, known, row["minute"], row["id"]

    def group(row):
        return tuple((row[g] is not None, row[g] if row[g] is not None else 0) for g in groups)

    of_group = {}
    for row in sorted(rows, key=place):
        of_group.setdefault(group(row), []).append(row["id"])
    return [name for key in sorted(of_group) for name in of_group[key][:n]]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    _rows,
    st.integers(0, 6) | st.just(2000),
    st.booleans(),
    st.sampled_from(([], ["model_class"], ["branch_id"], ["branch_id", "model_class"])),
)
def test_a_slow_ranking_agrees(store, make_prediction, rows, n, ascending, groups):
    """Ties, nulls, small groups and bounds: the rule holds whatever makes it fast."""
    for number, row in enumerate(rows):
        row["id"] = f"{number:02}"
    with store.session():
        store.save_predictions(
            make_prediction(
                prediction_id=row["id"], val_score=row["val_score"],
                model_class=row["model_class"], branch_id=row["branch_id"],
            )
            for row in rows
        )  # fmt: skip
        with store._open.writing() as con:
            for row in rows:
                con.execute(
                    "UPDATE main.predictions SET created_at = ? WHERE prediction_id = ?",
                    [datetime(2026, 1, 1) + timedelta(minutes=row["minute"]), row["id"]],
                )
        found = store.top_predictions(n, ascending=ascending, group_by=groups)
        with store._open.writing() as con:
            con.execute("TRUNCATE main.predictions")
    assert found["prediction_id"].to_list() == _slowly(rows, n, ascending, groups)


@pytest.mark.parametrize("groups", [5, 0, object()])
def test_groups_are_a_column_or_a_list(store, groups):
    """A bare TypeError would not say which argument is meant; 0 is no empty list."""
    with pytest.raises(StoreTypeError, match="group_by"):
        store.top_predictions(1, group_by=groups)


@pytest.mark.parametrize("groups", [[5], [["fold_id"]], [np.array(["fold_id", "metric"])]])
def test_groups_of_other_types_are_refused(store, groups):
    with pytest.raises(StoreValueError, match="grouped"):
        store.top_predictions(1, group_by=groups)


def test_a_closed_store_says_so_before_arguments(store):
    store.close()
    with pytest.raises(StoreClosedError):
        store.top_predictions(None, metric="x", group_by=5)
