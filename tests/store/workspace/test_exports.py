import errno
import json
import os
import zipfile

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.tree import DecisionTreeRegressor

from mosaic_dagster.errors import (
    ObjectMissingError,
    StoreFullError,
    StoreTypeError,
    StoreValueError,
    UnknownIdError,
    UntrustedArtifactError,
)
from mosaic_dagster.store.workspace import WorkspaceStore

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class _Marks:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "exports" / "deep"


class TestNames:
    @pytest.mark.parametrize(
        ("given_name", "name"),
        [("model.v2", "model.v2.json"), ("a.json", "a.json"), ("a", "a.json"),
         ("a.JSON", "a.JSON.json"), ("json", "json.json"), ("ä b", "ä b.json")],
    )  # fmt: skip
    def test_a_suffix_is_appended_unless_it_is_there(self, store, pipeline, out, given_name, name):
        """'model.v2' has a suffix, but not the one that tells what is in the file."""
        path = store.export_pipeline_config(pipeline, str(out / given_name))
        assert path == out / name
        assert path.is_file()
        assert [file.name for file in out.iterdir()] == [name]

    def test_each_kind_has_its_own(self, store, pipeline, run, make_chain, out):
        chain = make_chain(store, pipeline)
        assert [
            store.export_chain(chain, out / "x").name,
            store.export_chain(chain, out / "x", format="n4a.py").name,
            store.export_run(run, out / "x").name,
            store.export_predictions_parquet(out / "x").name,
        ] == ["x.n4a", "x.n4a.py", "x.yaml", "x.parquet"]

    def test_an_old_file_is_replaced_whole(self, store, pipeline, out):
        path = store.export_pipeline_config(pipeline, out / "a")
        path.write_text("x" * 10_000)
        assert json.loads(store.export_pipeline_config(pipeline, out / "a").read_text())

    @pytest.mark.parametrize("call", ["write", "replace"])
    def test_an_old_file_stays_when_writing_fails(
        self, store, pipeline, run, make_chain, make_prediction, out, monkeypatch, call
    ):
        """Else a full disk costs the last good export too."""
        chain = make_chain(store, pipeline)
        store.save_prediction(**make_prediction())
        exports = (
            lambda: store.export_pipeline_config(pipeline, out / "a"),
            lambda: store.export_run(run, out / "a"),
            lambda: store.export_predictions_parquet(out / "a"),
            lambda: store.export_chain(chain, out / "a"),
            lambda: store.export_best_predictions("larvae", out),
        )
        before = {path: path.read_bytes() for path in [export() for export in exports]}
        folders = [out, out / "larvae"]
        files = [sorted(folder.iterdir()) for folder in folders]

        def fail(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            if call == "replace":
                patched.setattr(type(out), "replace", fail)
            for export in exports:
                with pytest.raises(StoreFullError):
                    export()
        assert {path: path.read_bytes() for path in before} == before
        assert [sorted(folder.iterdir()) for folder in folders] == files


class TestUnknown:
    def test_identifiers(self, store, out):
        for export in (store.export_chain, store.export_pipeline_config, store.export_run):
            with pytest.raises(UnknownIdError, match="nowhere"):
                export("nowhere", out / "x")
        assert not out.exists()

    def test_formats_and_filters(self, store, pipeline, make_chain, out):
        with pytest.raises(StoreValueError, match="'zip'"):
            store.export_chain(make_chain(store, pipeline), out / "x", format="zip")
        with pytest.raises(StoreTypeError, match="colour"):
            store.export_predictions_parquet(out / "x", colour="red")
        assert not out.exists()

    def test_a_model_whose_file_is_gone(self, store, pipeline, make_chain, out):
        chain = make_chain(store, pipeline)
        artifact = store.get_chain(chain)["fold_artifacts"]["fold_0"]
        store.get_artifact_path(artifact).unlink()
        with pytest.raises(ObjectMissingError, match=artifact) as caught:
            store.export_chain(chain, out / "x")
        assert isinstance(caught.value, FileNotFoundError)
        assert not out.exists()


class TestConfig:
    def test_it_loads_back_equal_and_can_be_read(self, store, run, out):
        config = {"steps": [{"ö": 1.5e300, "n": None}], "deep": {"a": {"b": [True]}}}
        pipeline = store.begin_pipeline(run, "p", config, None, "larvae", None)
        text = store.export_pipeline_config(pipeline, out / "x").read_text()
        assert json.loads(text) == config
        assert '"ö"' in text
        assert text.count("\n") > 5

    @pytest.mark.parametrize(
        "text", ["\x85", "a\u2028b", "\u2029", "\ufeffa", "no", "1_0", " a\n", "\0"]
    )
    def test_texts_that_yaml_reads_as_something_else(self, store, out, text):
        """Line breaks of other alphabets, words for booleans, numbers and blanks at the ends."""
        run = store.begin_run(text, {text: text, "list": [text]}, [{"name": text}])
        found = yaml.safe_load(store.export_run(run, out / "x").read_bytes())
        assert (found["name"], found["config"]) == (text, {text: text, "list": [text]})

    @settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(_json, _json)
    def test_any_configuration(self, store, out, config, summary):
        """In both files, whatever is in it."""
        with store.session():
            run = store.begin_run("run", config, [{"name": "larvae", "more": summary}])
            pipeline = store.begin_pipeline(run, "p", config, summary, "larvae", None)
            store.complete_run(run, summary)
            as_json = store.export_pipeline_config(pipeline, out / "x")
            as_yaml = store.export_run(run, out / "x")
        assert json.loads(as_json.read_text("utf-8")) == config
        found = yaml.safe_load(as_yaml.read_text("utf-8"))
        assert (found["config"], found["summary"]) == (config, summary)
        assert found["datasets"] == [{"name": "larvae", "more": summary}]
        assert found["pipelines"][0]["expanded_config"] == config
        assert found["pipelines"][0]["generator_choices"] == summary


class TestRun:
    def test_it_holds_run_pipelines_and_chains(self, store, run, pipeline, make_chain, out):
        chain = make_chain(store, pipeline)
        failed = store.begin_pipeline(run, "second", {"a": 1}, [{"b": 2}], "larvae", None)
        store.fail_pipeline(failed, "boom: 'x'")
        store.complete_pipeline(pipeline, 0.5, None, "rmse", 12)
        store.complete_run(run, {"best": 0.5})
        found = yaml.safe_load(store.export_run(run, out / "x").read_text())
        row = store.get_run(run)
        described = found.pop("pipelines")
        assert found == {
            "run_id": run, "name": "run", "status": "completed",
            "created_at": row["created_at"].isoformat(),
            "completed_at": row["completed_at"].isoformat(), "config": {"seed": 1},
            "datasets": [{"name": "larvae"}], "summary": {"best": 0.5}, "error": None,
        }  # fmt: skip
        chains = described[0].pop("chains")
        assert described[1].pop("chains") == []
        assert described == [
            {"pipeline_id": pipeline, "name": "pls", "status": "completed",
             "dataset_name": "larvae", "expanded_config": {"steps": ["scale", "ridge"]},
             "generator_choices": None, "best_val": 0.5, "best_test": None, "metric": "rmse",
             "duration_ms": 12, "error": None},
            {"pipeline_id": failed, "name": "second", "status": "failed",
             "dataset_name": "larvae", "expanded_config": {"a": 1},
             "generator_choices": [{"b": 2}], "best_val": None, "best_test": None,
             "metric": None, "duration_ms": None, "error": "boom: 'x'"},
        ]  # fmt: skip
        expected = store.get_chain(chain)
        expected["created_at"] = expected["created_at"].isoformat()
        assert chains == [expected]

    def test_a_run_without_anything(self, store, run, out):
        found = yaml.safe_load(store.export_run(run, out / "x").read_text())
        assert (found["pipelines"], found["completed_at"]) == ([], None)


class TestPredictions:
    def test_what_a_query_returns(self, store, make_prediction, out):
        for fold in ("fold_0", "fold_1", "fold_0"):
            store.save_prediction(**make_prediction(fold_id=fold), arrays={"y_true": [1.0]})
        for filters in ({}, {"fold_id": "fold_0"}, {"limit": 1, "offset": 1}):
            path = store.export_predictions_parquet(out / "x", **filters)
            assert_frame_equal(pl.read_parquet(path), store.query_predictions(**filters))
            assert pq.read_table(path).num_rows == store.query_predictions(**filters).height

    def test_no_rows(self, store, out):
        """Both readers must find all columns with their types."""
        path = store.export_predictions_parquet(out / "x")
        assert pl.read_parquet(path).schema == store.query_predictions().schema
        table = pq.read_table(path)
        assert (table.num_rows, table.num_columns) == (0, 23)
        assert str(table.schema.field("val_score").type) == "double"


class TestBundles:
    def test_a_bundle_comes_back_as_a_chain(self, store, pipeline, make_chain, out):
        chain = make_chain(store, pipeline)
        path = store.export_chain(chain, out / "x")
        assert zipfile.is_zipfile(path)
        again = store.import_bundle(path, pipeline)
        X = [[0.5, 1.5], [2.0, 0.0]]
        assert store.replay_chain(again, X).tolist() == store.replay_chain(chain, X).tolist()
        assert store.verify(hashes=True)["wrong_ref_counts"] == []

    def test_code_is_not_taken_in_unasked(self, store, pipeline, make_chain, out):
        """Else a model from a colleague runs whatever is in it."""
        chain = make_chain(store, pipeline)
        found = store.get_chain(chain)
        model = store.load_artifact(found["fold_artifacts"]["fold_0"])
        pickled = store.save_artifact(model, "Ridge", "model", "joblib")
        risky = store.save_chain(
            pipeline, found["steps"], 1, "Ridge", "", "shared", {"all": pickled},
            found["shared_artifacts"],
        )  # fmt: skip
        path = store.export_chain(risky, out / "x", artifact_format="keep")
        before = store.list_artifacts().height
        with pytest.raises(UntrustedArtifactError, match="joblib"):
            store.import_bundle(path, pipeline)
        assert store.list_artifacts().height == before
        assert store.get_chain(store.import_bundle(path, pipeline, trusted=True)) is not None

    def test_foreign_types_are_not_taken_in_unasked(self, store, pipeline, out):
        """Else a forged tree is one of our own after the import, and crashes whoever predicts."""
        tree = DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
        model = store.save_artifact(tree, "DecisionTreeRegressor", "model", "skops")
        chain = store.save_chain(
            pipeline,
            [{"step_idx": 0, "role": "model"}],
            0,
            "Tree",
            "",
            "shared",
            {"all": model},
            {},
        )
        path = store.export_chain(chain, out / "x")
        claims = store.list_artifacts()["open_claims"].to_list()
        with pytest.raises(UntrustedArtifactError, match=r"sklearn\.tree\._tree\.Tree"):
            store.import_bundle(path, pipeline)
        assert store.list_artifacts()["open_claims"].to_list() == claims
        again = store.import_bundle(path, pipeline, trusted=True)
        assert store.replay_chain(again, [[1.0]]).tolist() == [1.0]

    def test_a_store_that_runs_no_code_runs_none_when_it_exports(self, store, pipeline, out):
        """Else allow_pickle=False protects whoever loads an artifact, but not whoever exports."""
        model = store.save_artifact(_Marks(out.parent / "ran"), "Marks", "model", "pickle")
        chain = store.save_chain(
            pipeline,
            [{"step_idx": 0, "role": "model"}],
            0,
            "Marks",
            "",
            "shared",
            {"all": model},
            {},
        )
        careful = WorkspaceStore(store.workspace_path, read_only=True, allow_pickle=False)
        with careful:
            path = careful.export_chain(chain, out / "x")
            with pytest.raises(UntrustedArtifactError, match=f"{model}.*allow_pickle"):
                careful.export_chain(chain, out / "x", format="n4a.py")
        assert not (out.parent / "ran").exists()
        with zipfile.ZipFile(path) as file:
            assert f"artifacts/{model.removeprefix('art_')}.pkl" in file.namelist()
