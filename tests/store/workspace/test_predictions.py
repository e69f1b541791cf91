import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import (
    StateError,
    StoreClosedError,
    StoreError,
    StoreTypeError,
    StoreValueError,
    UnknownIdError,
)
from mosaic_dagster.store.workspace import WorkspaceStore, predictions

Y = {"y_true": np.array([1.0, 2.0]), "y_pred": np.array([1.5, 2.5])}


@pytest.fixture(params=["one", "given id", "many"])
def save(request, store):
    """Saves one prediction, in each of the ways there are."""

    def one(row):
        if request.param == "many":
            return store.save_predictions([row])[0]
        chosen = {"prediction_id": "chosen"} if request.param == "given id" else {}
        return store.save_prediction(**(chosen | row))

    return one


class TestSaving:
    def test_every_value_is_read_as_it_was_given(self, store, save, make_prediction, make_chain):
        """Else a figure in a paper cannot be traced to what was saved."""
        row = make_prediction(
            branch_id=2,
            branch_name="snv",
            exclusion_count=4,
            exclusion_rate=0.25,
            preprocessings="SNV|PLS",
            scores={"val": {"rmse": 0.5, "r2": float("nan")}, "train": {}},
            best_params={"alpha": np.float64(0.1), "n": np.int64(3), "range": (1, 2)},
        )
        row["chain_id"] = make_chain(store, row["pipeline_id"])
        found = store.get_prediction(save(row))
        assert found["prediction_id"]
        created = found.pop("created_at")
        assert created.tzinfo is None
        expected = row | {
            "prediction_id": found["prediction_id"],
            "scores": {"val": {"rmse": 0.5, "r2": None}, "train": {}},
            "best_params": {"alpha": 0.1, "n": 3, "range": [1, 2]},
        }
        assert found == expected

    def test_what_may_be_left_open(self, save, store, make_prediction):
        """Defaults: no chain, preprocessings '', nothing excluded; the rest is null."""
        open_values = dict.fromkeys(
            ("val_score", "test_score", "train_score", "n_samples", "n_features", "scores",
             "best_params", "branch_id", "branch_name", "exclusion_count", "exclusion_rate")
        )  # fmt: skip
        found = store.get_prediction(save(make_prediction(**open_values)))
        expected = open_values | {
            "exclusion_count": 0, "exclusion_rate": 0.0, "preprocessings": "", "chain_id": None,
        }  # fmt: skip
        assert {name: found[name] for name in expected} == expected

    @pytest.mark.parametrize("score", [float("nan"), float("inf"), -np.inf, np.float32("nan")])
    def test_scores_that_are_no_numbers_become_null(self, store, save, make_prediction, score):
        """Else one failed fit wins every ranking."""
        row = make_prediction(val_score=score, test_score=score, train_score=score)
        found = store.get_prediction(save(row))
        assert [found[f"{part}_score"] for part in ("val", "test", "train")] == [None] * 3

    @pytest.mark.parametrize(
        ("name", "value"),
        [("partition", "validation"), ("partition", "VAL"), ("task_type", "ranking"),
         ("n_samples", 2**31), ("branch_id", -(2**31) - 1), ("model_name", "\ud800"),
         ("scores", {"a": "\ud800"}), ("fold_id", 0), ("metric", None), ("dataset_name", None)],
    )  # fmt: skip
    def test_values_that_the_table_does_not_take(self, store, save, make_prediction, name, value):
        """Taken, such a row in the journal would stop every later call of every process."""
        with pytest.raises((StoreValueError, StoreTypeError), match=name):
            save(make_prediction(**{name: value}))
        assert store.query_predictions().is_empty()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("n_samples", "3"), ("n_features", True), ("branch_name", 5), ("preprocessings", 0),
         ("prediction_id", 7), ("val_score", "high"), ("scores", {"a": {1j}}),
         ("best_params", object()), ("arrays", [1.0])],
    )  # fmt: skip
    def test_values_of_another_type(self, store, save, make_prediction, name, value):
        with pytest.raises(StoreTypeError):
            save(make_prediction(**{name: value}))
        assert store.query_predictions().is_empty()

    @pytest.mark.parametrize("task", predictions.TASK_TYPES)
    @pytest.mark.parametrize("partition", predictions.PARTITIONS)
    def test_all_partitions_and_tasks(self, store, make_prediction, task, partition):
        name = store.save_prediction(**make_prediction(task_type=task, partition=partition))
        found = store.get_prediction(name)
        assert (found["task_type"], found["partition"]) == (task, partition)

    def test_unknown_parents(self, store, save, make_prediction):
        """Else rows hang loose and vanish without a word."""
        for name in ("pipeline_id", "chain_id"):
            with pytest.raises(UnknownIdError, match="nowhere") as caught:
                save(make_prediction(**{name: "nowhere"}))
            assert isinstance(caught.value, KeyError)
        assert store.query_predictions().is_empty()

    @pytest.mark.parametrize("parent", ["\ud800", 7, [7]])
    def test_parents_that_no_row_can_be(self, store, save, make_prediction, parent):
        """The same answer as for any other parent that is not there."""
        for name in ("pipeline_id", "chain_id"):
            with pytest.raises(UnknownIdError, match=f"no {name[:-3]}"):
                save(make_prediction(**{name: parent}))
        assert store.query_predictions().is_empty()

    def test_a_pipeline_that_failed_takes_nothing(self, store, save, make_prediction, pipeline):
        store.save_prediction(**make_prediction())
        store.fail_pipeline(pipeline, "no memory")
        with pytest.raises(StateError, match="failed"):
            save(make_prediction())
        assert store.query_predictions().is_empty()

    def test_a_pipeline_that_is_completed_takes_more(self, store, save, make_prediction, pipeline):
        """Test scores may be made long after training."""
        store.complete_pipeline(pipeline, 0.5, 0.6, "rmse", 10)
        assert store.get_prediction(save(make_prediction())) is not None

    def test_an_identifier_is_taken_once(self, store, make_prediction):
        """Else a second training overwrites the first, or is lost."""
        first = store.save_prediction(**make_prediction(prediction_id="mine", model_name="first"))
        journalled = store.save_prediction(**make_prediction())
        assert first == "mine"
        for name in ("mine", journalled):
            with pytest.raises(StoreValueError, match=name):
                store.save_prediction(**make_prediction(prediction_id=name), arrays=Y)
            with pytest.raises(StoreValueError, match=name):
                store.save_predictions([make_prediction(), make_prediction(prediction_id=name)])
        assert store.query_predictions().height == 2
        assert store.get_prediction("mine", load_arrays=True)["model_name"] == "first"
        assert store.get_prediction("mine", load_arrays=True)["y_true"] is None

    def test_large_arrays_go_to_the_tables_at_once(self, store, make_prediction, monkeypatch):
        """Else a journal of a few predictions fills the disk twice."""
        monkeypatch.setattr(predictions, "LARGEST", 100)
        with monkeypatch.context() as patched:
            patched.setattr(store._open.database, "append", None)
            large = np.arange(50.0)
            both = store.save_prediction(**make_prediction(), arrays={"y_true": large})
        later = store.save_prediction(**make_prediction())
        with monkeypatch.context() as patched:
            patched.setattr(store._open.database, "append", None)
            store.save_prediction_arrays(later, large, large)
        for name in (both, later):
            found = store.get_prediction(name, load_arrays=True)
            np.testing.assert_array_equal(found["y_true"], large)

    def test_a_store_that_only_reads_or_is_closed(self, store, make_prediction):
        with WorkspaceStore(store.workspace_path, read_only=True) as reader:
            for call in (
                lambda: reader.save_prediction(**make_prediction()),
                lambda: reader.save_predictions([make_prediction()]),
                lambda: reader.save_predictions([]),
            ):
                with pytest.raises(StoreError, match="read-only"):
                    call()
        store.save_prediction(**make_prediction())
        store.close()
        for call in (
            lambda: store.save_prediction(**make_prediction()),
            lambda: store.save_predictions([]),
            lambda: store.query_predictions(),
            lambda: store.top_predictions(1),
        ):
            with pytest.raises(StoreClosedError):
                call()

    @settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.text(), st.floats(), st.dictionaries(st.text(), st.floats() | st.text(), max_size=3))
    def test_any_text_and_number(self, store, make_prediction, text, score, mapping):
        """No name, however strange, ends up as another one or breaks a statement."""
        row = make_prediction(
            dataset_name=text, model_name=text, branch_name=text, preprocessings=text,
            val_score=score, scores=mapping,
        )  # fmt: skip
        with store.session():
            for name in (store.save_prediction(**row), *store.save_predictions([row])):
                found = store.get_prediction(name)
                for column in ("dataset_name", "model_name", "branch_name", "preprocessings"):
                    assert found[column] == text
                assert found["val_score"] == (score if np.isfinite(score) else None)
                assert found["scores"] == {
                    key: None if isinstance(v, float) and not np.isfinite(v) else v
                    for key, v in mapping.items()
                }
            assert store.query_predictions(dataset_name=text).height >= 2


class TestManyAtOnce:
    def test_identifiers_come_in_order(self, store, make_prediction):
        """Else arrays that follow are saved to the wrong predictions."""
        rows = [make_prediction(n_samples=n, arrays=Y if n % 2 else None) for n in range(50)]
        ids = store.save_predictions(iter(rows))
        for number, name in enumerate(ids):
            found = store.get_prediction(name, load_arrays=True)
            assert found["n_samples"] == number
            assert (found["y_true"] is not None) == bool(number % 2)

    def test_nothing_is_nothing(self, store):
        assert store.save_predictions([]) == []
        assert store.save_predictions(iter(())) == []

    @pytest.mark.parametrize(
        "bad",
        [{"partition": "x"}, {"pipeline_id": "nowhere"}, {"chain_id": "nowhere"}, {"typo": 1},
         {"prediction_id": "twice"}, {"arrays": {"y_true": ["a"]}}, {"n_samples": 2**40}],
    )  # fmt: skip
    @pytest.mark.parametrize("place", [0, 2])
    def test_all_or_nothing(self, store, make_prediction, bad, place):
        """Else half a batch is there after an error, and again after the repetition."""
        rows = [make_prediction(arrays=Y) for _ in range(3)]
        rows.insert(1, make_prediction(prediction_id="twice"))
        rows.insert(place, make_prediction(**bad))
        with pytest.raises((StoreError, KeyError)):
            store.save_predictions(rows)
        assert store.query_predictions().is_empty()
        assert store.verify()["dangling_rows"] == []

    def test_a_failure_in_the_middle_takes_all_back(self, store, make_prediction, monkeypatch):
        """Rows are written before their arrays; a full disk in between must leave neither."""

        def fail(*_):
            msg = "boom"
            raise OSError(msg)

        monkeypatch.setattr(predictions, "insert_arrays", fail)
        with pytest.raises(OSError, match="boom"):
            store.save_predictions([make_prediction(arrays=Y)])
        assert store.query_predictions().is_empty()

    def test_a_pipeline_that_failed(self, store, make_prediction, pipeline, run):
        other = store.begin_pipeline(run, "p", {}, None, "larvae", None)
        store.fail_pipeline(other, "no memory")
        with pytest.raises(StateError):
            store.save_predictions([make_prediction(), make_prediction(pipeline_id=other)])
        assert store.query_predictions().is_empty()

    def test_names_that_are_unknown_or_missing(self, store, make_prediction):
        with pytest.raises(StoreTypeError, match="model_clas"):
            store.save_predictions([make_prediction(model_clas="x")])
        row = make_prediction()
        del row["metric"]
        with pytest.raises(StoreValueError, match="metric"):
            store.save_predictions([row])


class TestArraysAfterwards:
    @pytest.fixture(params=["journalled", "in the table", "of another store"])
    def name(self, request, store, make_prediction):
        """A prediction without arrays."""
        name = store.save_prediction(**make_prediction())
        if request.param == "in the table":
            (name,) = store.save_predictions([make_prediction()])
        if request.param == "of another store":
            with WorkspaceStore(store.workspace_path) as other:
                name = other.save_prediction(**make_prediction())
        return name

    def test_once_and_not_again(self, store, name):
        """Else the second call replaces what a figure was made of, or is lost in silence."""
        store.save_prediction_arrays(name, Y["y_true"], Y["y_pred"])
        for _ in range(2):
            with pytest.raises(StoreValueError, match="already"):
                store.save_prediction_arrays(name, [9.0], [9.0])
        found = store.get_prediction(name, load_arrays=True)
        np.testing.assert_array_equal(found["y_pred"], Y["y_pred"])

    def test_arrays_saved_with_the_row_are_arrays(self, store, make_prediction):
        name = store.save_prediction(**make_prediction(), arrays=Y)
        with pytest.raises(StoreValueError, match="already"):
            store.save_prediction_arrays(name, [9.0], [9.0])

    def test_none_at_all(self, store, name):
        """Else the call seems to have worked, and there is nothing."""
        with pytest.raises(StoreValueError, match="No array"):
            store.save_prediction_arrays(name, None, None)
        store.save_prediction_arrays(name, Y["y_true"], Y["y_pred"])
        assert store.verify()["predictions_without_arrays"] == [
            other for other in store.query_predictions()["prediction_id"] if other != name
        ]

    def test_refused_arrays_can_be_given_again(self, store, name):
        with pytest.raises(StoreTypeError):
            store.save_prediction_arrays(name, ["a"], ["b"])
        store.save_prediction_arrays(name, Y["y_true"], Y["y_pred"])
        assert store.get_prediction(name, load_arrays=True)["y_true"] is not None

    def test_predictions_that_are_not_there(self, store, make_prediction, pipeline, make_chain):
        """Else arrays are acknowledged and never seen again."""
        deleted = store.save_prediction(**make_prediction())
        store.delete_prediction(deleted)
        chain = make_chain(store, pipeline)
        for unknown in ("nowhere", deleted, pipeline, chain):
            with pytest.raises(UnknownIdError, match=unknown):
                store.save_prediction_arrays(unknown, Y["y_true"], Y["y_pred"])


class TestDeleting:
    def test_the_row_goes_with_its_arrays(self, store, make_prediction):
        name = store.save_prediction(**make_prediction(), arrays=Y)
        kept = store.save_prediction(**make_prediction(), arrays=Y)
        assert store.delete_prediction(name) is True
        assert store.delete_prediction(name) is False
        assert store.get_prediction(name, load_arrays=True) is None
        assert store.get_prediction(kept, load_arrays=True)["y_true"] is not None
        assert store.verify()["dangling_rows"] == []


def test_damage_to_a_journal_is_reported(store, make_prediction):
    """Else rows that were acknowledged are missing, and nobody knows."""
    first = store.save_prediction(**make_prediction())
    second = store.save_prediction(**make_prediction())
    third = store.save_prediction(**make_prediction())
    (path,) = (store.workspace_path / "journal").iterdir()
    data = path.read_bytes()
    at = data.index(second.encode())
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"########")
    assert store.verify()["damaged_journals"] == [path.name]
    assert store.query_predictions()["prediction_id"].to_list() == [first]
    assert third.encode() in path.read_bytes()
    store.close()
    with WorkspaceStore(store.workspace_path) as again:
        assert again.verify()["damaged_journals"] == [path.name]
        fourth = again.save_prediction(**make_prediction())
        assert {*again.query_predictions()["prediction_id"]} == {first, fourth}


def test_scores_are_strict_json(store, make_prediction):
    """Else other programs cannot read the column."""
    store.save_prediction(**make_prediction(scores={"a": [float("nan"), np.inf], "b": {2, 1}}))
    text = store.query_predictions()["scores"][0]
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [None, None], "b": [1, 2]}


def test_a_chain_is_no_pipeline(store, pipeline, make_prediction, make_chain):
    """A mixed-up identifier must be refused at once: the row would never get into its table."""
    chain_id = make_chain(store, pipeline)
    with pytest.raises(UnknownIdError):
        store.save_prediction(**make_prediction(pipeline_id=chain_id))
    with pytest.raises(UnknownIdError):
        store.save_prediction(**make_prediction(pipeline_id=pipeline, chain_id=pipeline))
    with pytest.raises(UnknownIdError):
        store.log_step(chain_id, 0, None, "start")


@pytest.mark.parametrize("rows", [["x"], [None], 5, None, "x", {"pipeline_id": "p"}])
def test_rows_that_are_no_list_of_mappings(store, rows):
    """A bare AttributeError would not say which row is wrong."""
    with pytest.raises(StoreTypeError, match=r"Prediction 0|predictions are"):
        store.save_predictions(rows)


def test_the_row_that_is_no_mapping_is_named(store, make_prediction):
    with pytest.raises(StoreTypeError, match="Prediction 1 "):
        store.save_predictions([make_prediction(), "x"])
    assert store.query_predictions().is_empty()


@pytest.mark.parametrize("name", ["\ud800", 5, [5]])
def test_what_is_no_identifier_names_no_prediction(store, name):
    """A name from a broken file must not look like a broken database."""
    with pytest.raises(UnknownIdError, match="no prediction"):
        store.save_prediction_arrays(name, [1.0], [1.0])


def test_the_state_of_the_store_is_told_before_arguments(store):
    """Who used a closed store would mend arguments one by one, and then learn of it."""
    acts = [
        lambda s: s.save_prediction(*[None] * 20),
        lambda s: s.save_predictions(None),
        lambda s: s.save_prediction_arrays([5], None, None),
    ]
    with WorkspaceStore(store.workspace_path, read_only=True) as reader:
        for act in acts:
            with pytest.raises(StoreError, match="read-only"):
                act(reader)
    store.close()
    for act in acts:
        with pytest.raises(StoreClosedError):
            act(store)
