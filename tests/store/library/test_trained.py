"""Trained pipelines: what is kept by name predicts as the store did, and survives the store."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.linear_model import Ridge

from mosaic_dagster.errors import LibraryNameTakenError, UnknownIdError
from mosaic_dagster.store.bundles import load_bundle
from mosaic_dagster.store.library import PipelineLibrary
from mosaic_dagster.store.workspace.store import WorkspaceStore

CONFIG = {"model": {"alpha": 1.0, "max_features": 1.0}}
ROWS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 4.0]])


@dataclass
class Trained:
    """A workspace with one run of two pipelines; the first has a chain, the second nothing."""

    workspace: Path
    library: PipelineLibrary
    run_id: str
    pipeline_id: str
    empty_id: str
    chain_id: str
    model: Ridge


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    model = Ridge().fit(ROWS, [0.0, 1.0, 2.0])
    with WorkspaceStore(tmp_path / "ws") as store, store.session():
        run_id = store.begin_run("night", {"seed": 1}, [{"name": "larvae"}])
        pipeline_id = store.begin_pipeline(run_id, "ridge", CONFIG, {"a": 1}, "larvae", "hash")
        empty_id = store.begin_pipeline(run_id, "other", {}, {}, "larvae", "hash")
        artifact = store.save_artifact(model, "sklearn.linear_model.Ridge", "model", "auto")
        step = {"step_idx": 0, "operator_class": "Ridge", "params": {}, "artifact_id": artifact,
                "stateless": False, "role": "model"}  # fmt: skip
        chain_id = store.save_chain(
            pipeline_id, [step], 0, "Ridge", "", "per_fold", {"fold_0": artifact}, {}
        )
        store.save_prediction(
            pipeline_id, chain_id, "larvae", "Ridge", "Ridge", "fold_0", "val", 0.5, None, None,
            "r2", "regression", 3, 2, {}, {}, None, None, 0, 0.0,
        )  # fmt: skip
        store.complete_pipeline(pipeline_id, 0.5, float("nan"), "r2", 12)
    library = PipelineLibrary(tmp_path / "ws")
    return Trained(tmp_path / "ws", library, run_id, pipeline_id, empty_id, chain_id, model)


def contents(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def read(path: Path) -> dict:
    # JSON is YAML, and this reader is not the one under test.
    return yaml.safe_load(path.read_text())


class TestFiltered:
    def test_configuration_and_metrics_are_kept(self, trained: Trained) -> None:
        """Else a run that is deleted takes the way to its best result along."""
        path = trained.library.save_filtered(trained.pipeline_id, "Best Ridge", "of May")
        assert path == trained.workspace / "library" / "trained" / "filtered" / "best_ridge"
        assert contents(path) == ["library_metadata.json", "metrics.json", "pipeline.json"]
        assert read(path / "pipeline.json") == {
            "name": "ridge",
            "dataset_name": "larvae",
            "dataset_hash": "hash",
            "expanded_config": CONFIG,
            "generator_choices": {"a": 1},
        }
        assert '"alpha": 1.0' in (path / "pipeline.json").read_text()
        assert read(path / "metrics.json") == {
            "status": "completed",
            "metric": "r2",
            "best_val": 0.5,
            "best_test": None,
            "duration_ms": 12,
        }

    def test_metadata_name_ids_and_no_paths(self, trained: Trained) -> None:
        """Else a workspace that was moved or zipped points to where it was."""
        trained.library.save_filtered(trained.pipeline_id, "Best Ridge", "of May")
        (listed,) = trained.library.list_filtered()
        assert listed.pop("saved_at").endswith("+00:00")
        assert listed == {
            "name": "best_ridge",
            "description": "of May",
            "type": "filtered",
            "source": trained.pipeline_id,
            "n_features": 2,
        }
        for path in (trained.workspace / "library").rglob("*.json"):
            assert str(trained.workspace) not in path.read_text()

    def test_a_pipeline_without_predictions_has_no_count_of_features(
        self, trained: Trained
    ) -> None:
        trained.library.save_filtered(trained.empty_id, "empty")
        assert trained.library.list_filtered()[0]["n_features"] is None


class TestPipelineFull:
    def test_each_chain_predicts_after_the_run_is_gone(self, trained: Trained) -> None:
        """Else the library holds a name and no model."""
        path = trained.library.save_pipeline_full(trained.pipeline_id, "best")
        assert contents(path) == [
            f"chains/{trained.chain_id}.n4a",
            "library_metadata.json",
            "metrics.json",
            "pipeline.json",
        ]
        with WorkspaceStore(trained.workspace) as store:
            store.delete_run(trained.run_id)
            store.gc_artifacts()
        bundle = load_bundle(path / "chains" / f"{trained.chain_id}.n4a")
        np.testing.assert_allclose(bundle.predict(ROWS), trained.model.predict(ROWS), atol=1e-9)
        assert [each["type"] for each in trained.library.list_pipelines()] == ["pipeline"]

    def test_a_failing_export_leaves_what_was_there(self, trained: Trained) -> None:
        """Else saving again over a good model, with an artifact gone, destroys it."""
        path = trained.library.save_pipeline_full(trained.pipeline_id, "best")
        before = {name: (path / name).read_bytes() for name in contents(path)}
        for artifact in (trained.workspace / "artifacts").rglob("*.npz"):
            artifact.unlink()
        with pytest.raises(FileNotFoundError):
            trained.library.save_pipeline_full(trained.pipeline_id, "best", overwrite=True)
        assert {name: (path / name).read_bytes() for name in contents(path)} == before
        with pytest.raises(FileNotFoundError):
            trained.library.save_pipeline_full(trained.pipeline_id, "second")
        assert len(trained.library.list_pipelines()) == 1

    def test_no_code_is_run_where_that_is_not_allowed(self, trained: Trained) -> None:
        """Else a workspace of strangers runs its pickles when somebody saves from it."""
        with WorkspaceStore(trained.workspace) as store:
            pickled = store.save_artifact(trained.model, "Ridge", "model", "pickle")
            step = {"step_idx": 0, "role": "model"}
            chain_id = store.save_chain(
                trained.pipeline_id, [step], 0, "Ridge", "", "shared", {"all": pickled}, {}
            )
        for allowed, kept in ((True, False), (False, True)):
            library = PipelineLibrary(trained.workspace, allow_pickle=allowed)
            path = library.save_pipeline_full(trained.pipeline_id, "best", overwrite=True)
            entries = load_bundle(path / "chains" / f"{chain_id}.n4a").manifest["artifacts"]
            assert (entries[pickled]["format"] == "pickle") == kept


class TestFullRun:
    def test_everything_of_a_run_is_kept(self, trained: Trained) -> None:
        path = trained.library.save_fullrun(trained.run_id, "Night 1")
        assert contents(path) == [
            f"chains/{trained.chain_id}.n4a",
            "library_metadata.json",
            "predictions.parquet",
            "run.yaml",
        ]
        assert pl.read_parquet(path / "predictions.parquet")["val_score"].to_list() == [0.5]
        assert read(path / "run.yaml")["name"] == "night"
        (listed,) = trained.library.list_fullruns()
        assert (listed["type"], listed["source"]) == ("fullrun", trained.run_id)
        assert listed["n_features"] == 2


class TestNames:
    def test_a_taken_name_is_kept_unless_told_otherwise(self, trained: Trained) -> None:
        """Else somebody's saved model disappears under another of the same name."""
        library = trained.library
        calls = {
            library.save_filtered: (trained.pipeline_id, library.list_filtered),
            library.save_pipeline_full: (trained.pipeline_id, library.list_pipelines),
            library.save_fullrun: (trained.run_id, library.list_fullruns),
        }
        for save, (source, listed) in calls.items():
            save(source, "best", "first")
            with pytest.raises(LibraryNameTakenError, match="has 'best' already"):
                save(source, "BEST", "second")
            assert [each["description"] for each in listed()] == ["first"]
            save(source, "BEST", "third", overwrite=True)
            assert [each["description"] for each in listed()] == ["third"]

    def test_an_unknown_id_is_an_error_that_names_it(self, trained: Trained) -> None:
        """Else an empty entry stands for the model somebody meant to keep."""
        library = trained.library
        for save in (library.save_filtered, library.save_pipeline_full, library.save_fullrun):
            with pytest.raises(UnknownIdError, match="'nothing'"):
                save("nothing", "best")
        assert not (trained.workspace / "library").exists()

    def test_lists_are_sorted_and_show_what_is_damaged(self, trained: Trained) -> None:
        for name in ("c", "a", "b"):
            path = trained.library.save_filtered(trained.pipeline_id, name)
        (path / "library_metadata.json").write_text("{")
        listed = trained.library.list_filtered()
        assert [each["name"] for each in listed] == ["a", "b", "c"]
        assert ["error" in each for each in listed] == [False, True, False]
        assert "library_metadata.json" in listed[1]["error"]
