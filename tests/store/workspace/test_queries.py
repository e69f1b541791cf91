from datetime import datetime, timedelta

import polars as pl
import pytest

from mosaic_dagster.errors import StoreClosedError, StoreTypeError, StoreValueError

SCHEMA = {
    "prediction_id": pl.String, "pipeline_id": pl.String, "chain_id": pl.String,
    "dataset_name": pl.String, "model_name": pl.String, "model_class": pl.String,
    "fold_id": pl.String, "partition": pl.String, "val_score": pl.Float64,
    "test_score": pl.Float64, "train_score": pl.Float64, "metric": pl.String,
    "task_type": pl.String, "n_samples": pl.Int32, "n_features": pl.Int32, "scores": pl.String,
    "best_params": pl.String, "preprocessings": pl.String, "branch_id": pl.Int32,
    "branch_name": pl.String, "exclusion_count": pl.Int32, "exclusion_rate": pl.Float64,
    "created_at": pl.Datetime("us"),
}  # fmt: skip

ATTACKS = (
    "' OR 1=1 --",
    "'; DROP TABLE main.predictions; --",
    '"',
    "%",
    "_",
    "a%' OR '1'='1",
    "\0",
)


def _names(frame):
    return sorted(frame["model_name"])


@pytest.fixture
def save(store, make_prediction):
    """Saves rows in one transaction, each with a model name and changes."""

    def many(**rows):
        return store.save_predictions(
            [make_prediction(model_name=name, **changes) for name, changes in rows.items()]
        )

    return many


def test_an_empty_result_has_all_columns(store):
    """Else the first report of a new workspace fails on a missing column."""
    assert store.query_predictions().schema == SCHEMA
    assert store.top_predictions(3).schema == SCHEMA
    assert store.top_predictions(3, group_by=["run_id", "fold_id"]).schema == SCHEMA


def test_a_full_result_has_the_same(store, make_prediction):
    store.save_prediction(**make_prediction(), arrays={"y_true": [1.0]})
    for found in (store.query_predictions(), store.top_predictions(1, group_by="model_class")):
        assert (found.schema, found.height) == (SCHEMA, 1)


def test_get_of_what_is_not_there(store):
    assert store.get_prediction("nowhere") is None
    assert store.get_prediction("nowhere", load_arrays=True) is None


def test_get_gives_arrays_only_when_asked(store, make_prediction):
    name = store.save_prediction(**make_prediction())
    assert list(store.get_prediction(name)) == list(SCHEMA)
    found = store.get_prediction(name, load_arrays=True)
    assert list(found) == [
        *SCHEMA, "y_true", "y_pred", "y_proba", "sample_indices", "weights",
    ]  # fmt: skip


class TestFilters:
    @pytest.mark.parametrize("column", ["dataset_name", "fold_id"])
    @pytest.mark.parametrize("value", ["a%", "%", "a_c", "", " a"])
    def test_text_is_compared_exactly(self, store, save, column, value):
        """A dataset called '100%' must not bring the rows of every other."""
        others = {f"other {i}": {column: v} for i, v in enumerate(("abc", "ABC", "a", "100"))}
        save(asked={column: value}, **others)
        assert _names(store.query_predictions(**{column: value})) == ["asked"]

    def test_case_matters(self, store, save):
        save(a={"dataset_name": "Larvae", "model_class": "PLS"})
        assert store.query_predictions(dataset_name="larvae").is_empty()
        assert store.query_predictions(model_class="pls").is_empty()

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [("sklearn.%", ["a", "b"]), ("%PLS", ["a"]), ("%pls", ["c"]), ("SKLEARN%", []),
         ("sklearn.PLS", ["a"]), ("sklearn_PLS", []), ("sklearn", []), ("%", ["a", "b", "c"])],
    )  # fmt: skip
    def test_a_model_class_may_be_a_pattern(self, store, save, pattern, names):
        classes = {"a": "sklearn.PLS", "b": "sklearn.Ridge", "c": "own.pls"}
        save(**{name: {"model_class": kind} for name, kind in classes.items()})
        assert _names(store.query_predictions(model_class=pattern)) == names

    def test_partition_and_branch(self, store, save):
        save(a={"partition": "test", "branch_id": 0}, b={"branch_id": 1}, c={})
        assert _names(store.query_predictions(partition="test")) == ["a"]
        assert _names(store.query_predictions(branch_id=0)) == ["a"]
        assert _names(store.query_predictions(branch_id=1)) == ["b"]

    def test_pipeline_and_run(self, store, save, make_prediction, pipeline, run):
        """The run of a prediction is that of its pipeline."""
        other_run = store.begin_run("other", {}, [{"name": "larvae"}])
        other = store.begin_pipeline(other_run, "p", {}, None, "larvae", None)
        sibling = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        save(a={}, b={"pipeline_id": sibling}, c={"pipeline_id": other})
        assert _names(store.query_predictions(run_id=run)) == ["a", "b"]
        assert _names(store.query_predictions(run_id=other_run)) == ["c"]
        assert _names(store.query_predictions(pipeline_id=sibling)) == ["b"]
        assert store.query_predictions(pipeline_id=sibling, run_id=other_run).is_empty()

    def test_all_filters_are_joined_by_and(self, store, save):
        base = {"dataset_name": "d", "fold_id": "f", "partition": "test", "branch_id": 1}
        others = {
            f"not {name}": base | {name: value}
            for name, value in (
                ("dataset_name", "x"), ("fold_id", "x"), ("partition", "val"), ("branch_id", 2),
            )
        }  # fmt: skip
        save(both=base, **others)
        assert _names(store.query_predictions(**base)) == ["both"]

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_sql_in_a_filter_is_a_value(self, store, save, attack):
        """Else a name from a file deletes the store."""
        save(a={})
        for name in ("dataset_name", "partition", "fold_id", "pipeline_id", "run_id"):
            assert store.query_predictions(**{name: attack}).is_empty()
        assert store.get_prediction(attack) is None
        assert store.delete_prediction(attack) is False
        assert store.top_predictions(1, dataset_name=attack).is_empty()
        assert store.top_predictions(1, partition=attack).is_empty()
        assert store.get_pipeline_log(attack).is_empty()
        assert store.get_run_log_summary(attack).is_empty()
        assert store.export_best_predictions(attack, store.workspace_path / "best") is None
        for name in ("metric", "group_by"):
            with pytest.raises(StoreValueError):
                store.top_predictions(1, **{name: attack})
        assert store.query_predictions().height == 1

    def test_unknown_filters_and_types(self, store):
        with pytest.raises(TypeError):
            store.query_predictions(model="x")
        with pytest.raises(StoreTypeError, match="model_name"):
            store.export_predictions_parquet(store.workspace_path / "x", model_name="x")
        for name, value in (("fold_id", 0), ("branch_id", "0"), ("model_class", ["a"])):
            with pytest.raises(StoreTypeError, match=name):
                store.query_predictions(**{name: value})


class TestOrder:
    @pytest.fixture
    def at(self, store):
        """Sets the times of predictions, in minutes."""

        def put(times):
            with store._open.writing() as con:
                for name, minutes in times.items():
                    time = datetime(2026, 1, 1) + timedelta(minutes=minutes)
                    con.execute(
                        "UPDATE main.predictions SET created_at = ? WHERE prediction_id = ?",
                        [time, name],
                    )

        return put

    def test_newest_first_then_by_identifier(self, store, make_prediction, at):
        """b and d are of one minute: the order of saving must not matter."""
        for name in "dcba":
            store.save_prediction(**make_prediction(prediction_id=name))
        at({"a": 1, "b": 2, "c": 3, "d": 2})
        assert store.query_predictions()["prediction_id"].to_list() == ["c", "b", "d", "a"]

    def test_the_journal_keeps_the_order(self, store, make_prediction):
        """Rows that wait in the journal lie between those that went to the table."""
        ids = []
        for _ in range(3):
            ids.append(store.save_prediction(**make_prediction()))
            ids += store.save_predictions([make_prediction()])
        assert store.query_predictions()["prediction_id"].to_list() == ids[::-1]

    def test_pages_share_nothing_and_miss_nothing(self, store, make_prediction, at):
        """Ten rows of one time in pages of three: 3 + 3 + 3 + 1."""
        ids = [f"{n:02}" for n in range(10)]
        store.save_predictions([make_prediction(prediction_id=name) for name in ids[::-1]])
        at(dict.fromkeys(ids, 0))
        pages = [store.query_predictions(limit=3, offset=n) for n in (0, 3, 6, 9, 12)]
        assert [page.height for page in pages] == [3, 3, 3, 1, 0]
        assert pl.concat(pages)["prediction_id"].to_list() == ids

    def test_limits(self, store, make_prediction):
        store.save_predictions([make_prediction()] * 3)
        assert store.query_predictions(limit=0).schema == SCHEMA
        assert store.query_predictions(limit=0).height == 0
        assert store.query_predictions(offset=2).height == 1
        for bad in ({"limit": -1}, {"offset": -1}):
            with pytest.raises(StoreValueError, match="negative"):
                store.query_predictions(**bad)


@pytest.mark.parametrize("name", ["\ud800", 5, [1]])
def test_what_is_no_identifier_finds_nothing(store, make_prediction, name):
    """A name from a broken file must not look like a broken database."""
    store.save_prediction(**make_prediction())
    assert store.get_prediction(name, load_arrays=True) is None
    assert store.query_predictions(pipeline_id=name).is_empty()
    assert store.query_predictions(run_id=name).is_empty()


def test_a_closed_store_says_so_before_arguments(store):
    store.close()
    with pytest.raises(StoreClosedError):
        store.query_predictions(fold_id=5, limit=-1)
