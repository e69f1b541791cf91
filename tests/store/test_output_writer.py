"""Keeping what steps return: every file and every object is found again, none by two owners."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import LabelEncoder, StandardScaler

from mosaic_dagster.errors import (
    StateError,
    StoreError,
    StoreTypeError,
    StoreValueError,
    UnknownIdError,
)
from mosaic_dagster.store import StepOutput, TrainedChain
from mosaic_dagster.store.output_writer import OutputWriter, artifact_type_of
from mosaic_dagster.store.workspace.store import WorkspaceStore

FIRST, SECOND, TWIN = "11111111-aaaa", "22222222-bbbb", "11111111-cccc"


class Keeper:
    """Stands for the workspace's store and remembers what it was asked to keep."""

    def __init__(self, workspace_path: Path) -> None:
        self.workspace_path = workspace_path
        self.saved: list[tuple[Any, str, str, str]] = []
        self.in_session = False

    @contextmanager
    def session(self) -> Iterator[None]:
        self.in_session = True
        yield
        self.in_session = False

    def save_artifact(self, obj: Any, operator_class: str, artifact_type: str, format: str) -> str:
        assert self.in_session
        self.saved.append((obj, operator_class, artifact_type, format))
        return f"art_{len(self.saved)}"


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


@pytest.fixture
def writer(keeper: Keeper) -> OutputWriter:
    return OutputWriter(keeper, "larvae", "speed")


def text(content: str, name: str = "report") -> StepOutput:
    return StepOutput(outputs=[(content, name, "txt")])


def files(folder: Path) -> dict[str, str]:
    """Visible files below a folder and what is in them."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


class TestFiles:
    def test_a_file_lies_where_people_look(self, keeper: Keeper, writer: OutputWriter) -> None:
        """Readable names in ``exports/<dataset>_<pipeline>``, and the owner noted."""
        table = pl.DataFrame({"a": [1]})
        output = StepOutput(
            outputs=[(table, "scores", "csv"), ({"n": 2}, "facts", "json"), (b"\0", "p", "png")],
            metadata={"rows": 1},
        )
        written = writer.write(output, FIRST, 3)
        folder = keeper.workspace_path / "exports" / "larvae_speed"
        assert written.paths == [folder / "scores.csv", folder / "facts.json", folder / "p.png"]
        assert files(folder) == {"scores.csv": "a\n1\n", "facts.json": '{"n":2}', "p.png": "\0"}
        assert (folder / ".pipeline").read_text() == FIRST
        assert written.metadata == {"rows": 1}
        assert written.artifact_ids == {}

    def test_steps_that_share_a_name_both_keep_their_file(self, writer: OutputWriter) -> None:
        """Else the second step's report replaces the first one's."""
        names = [
            writer.write(text(content), FIRST, step).paths[0].name
            for step, content in enumerate(["one", "two", "one", "three", "two"])
        ]
        assert names == ["report.txt", "report_2.txt", "report.txt", "report_3.txt", "report_2.txt"]

    def test_equal_outputs_of_one_step_are_one_path(self, writer: OutputWriter) -> None:
        output = StepOutput(outputs=[("a", "t", "txt"), ("a", "t", "txt"), ("b", "t", "txt")])
        assert [p.name for p in writer.write(output, FIRST, 0).paths] == ["t.txt", "t_2.txt"]

    def test_two_pipelines_never_share_a_folder(self, keeper: Keeper) -> None:
        """Else last week's charts are mixed with today's. A twin's first 8 signs are equal."""
        for pipeline_id in (FIRST, SECOND, TWIN, FIRST):
            writer = OutputWriter(keeper, "larvae", "speed")
            writer.write(text(pipeline_id), pipeline_id, 0)
        folder = keeper.workspace_path / "exports"
        assert files(folder) == {
            "larvae_speed/report.txt": FIRST,
            "larvae_speed_22222222/report.txt": SECOND,
            "larvae_speed_11111111/report.txt": TWIN,
        }

    def test_a_third_twin_has_a_place_too(self, keeper: Keeper) -> None:
        for pipeline_id in (FIRST, TWIN, "11111111-dddd"):
            OutputWriter(keeper, "a", "b").write(text(pipeline_id), pipeline_id, 0)
        assert (keeper.workspace_path / "exports/a_b_11111111-dddd/report.txt").is_file()

    def test_names_that_look_alike_are_still_two_folders(self, keeper: Keeper) -> None:
        """``a`` + ``b_c`` and ``a_b`` + ``c`` make the same folder name."""
        OutputWriter(keeper, "a", "b_c").write(text("x"), FIRST, 0)
        OutputWriter(keeper, "a_b", "c").write(text("y"), SECOND, 0)
        found = files(keeper.workspace_path / "exports")
        assert found == {"a_b_c/report.txt": "x", "a_b_c_22222222/report.txt": "y"}

    def test_no_name_leaves_the_exports(self, keeper: Keeper) -> None:
        """Else a dataset named by a path writes anywhere on the disk."""
        writer = OutputWriter(keeper, "../../etc", "/x" * 100)
        for pipeline_id in (FIRST, SECOND):
            (path,) = writer.write(text("a", "../../b"), pipeline_id, 0).paths
            assert path.parent.parent == keeper.workspace_path / "exports"
            assert not path.parent.name.startswith(".")
            assert len(path.parent.name) <= 120

    def test_files_that_were_there_before_are_not_lost(
        self, keeper: Keeper, writer: OutputWriter
    ) -> None:
        """A folder without owner is taken over, but what a person put there stays."""
        folder = keeper.workspace_path / "exports" / "larvae_speed"
        folder.mkdir(parents=True)
        (folder / "report.txt").write_text("mine")
        writer.write(text("new"), FIRST, 0)
        assert files(folder) == {"report.txt": "mine", "report_2.txt": "new"}

    def test_an_output_that_cannot_be_written_leaves_nothing(
        self, keeper: Keeper, writer: OutputWriter
    ) -> None:
        """Else half of a failed step lies among the results. The message says which step."""
        output = StepOutput(
            artifacts={"model": Ridge()}, outputs=[("a", "good", "txt"), (1.5, "bad", "txt")]
        )
        with pytest.raises(StoreTypeError, match=f"In step 4 of pipeline {FIRST}.*'bad'"):
            writer.write(output, FIRST, 4)
        assert keeper.saved == []
        assert not (keeper.workspace_path / "exports").exists()

    def test_what_is_no_step_output_is_refused(self, writer: OutputWriter) -> None:
        with pytest.raises(StoreTypeError, match=r"A dict came from step 1.*Return a StepOutput"):
            writer.write({"a": 1}, FIRST, 1)  # type: ignore[arg-type]

    def test_exports_that_cannot_be_made_are_our_error(
        self, keeper: Keeper, writer: OutputWriter
    ) -> None:
        (keeper.workspace_path / "exports").write_text("a file")
        with pytest.raises(StoreError, match="exports cannot be written"):
            writer.write(text("a"), FIRST, 0)

    def test_threads_lose_no_file(self, keeper: Keeper) -> None:
        """Six steps write one name at once: six files, each with its own text."""

        def work(number: int) -> None:
            OutputWriter(keeper, "larvae", "speed").write(text(str(number)), FIRST, number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = files(keeper.workspace_path / "exports" / "larvae_speed")
        assert sorted(found.values()) == list("012345")


class TestByName:
    def test_the_next_night_replaces_the_files(self, keeper: Keeper) -> None:
        """Else a pipeline that runs every night leaves a heap of folders."""
        for pipeline_id, content in [(FIRST, "monday"), (SECOND, "tuesday")]:
            writer = OutputWriter(keeper, "larvae", "speed", by_name=True)
            writer.write(text(content), pipeline_id, 0)
        assert files(keeper.workspace_path / "exports") == {"larvae_speed/report.txt": "tuesday"}

    def test_steps_of_one_night_do_not_replace_each_other(self, keeper: Keeper) -> None:
        """Each step has a writer of its own, as when steps run in several processes."""
        for pipeline_id in (FIRST, SECOND):
            for content in ("one", "two", "one"):
                writer = OutputWriter(keeper, "larvae", "speed", by_name=True)
                (path,) = writer.write(text(content + pipeline_id), pipeline_id, 0).paths
                assert path.read_text() == content + pipeline_id
        folder = keeper.workspace_path / "exports" / "larvae_speed"
        assert files(folder) == {"report.txt": "one" + SECOND, "report_2.txt": "two" + SECOND}
        assert (folder / ".pipeline").read_text().splitlines()[0] == SECOND


class TestArtifacts:
    def test_each_object_has_its_id_by_name(self, keeper: Keeper, writer: OutputWriter) -> None:
        """Else a chain cannot be made of what a step fitted."""
        scaler, model = StandardScaler(), Ridge()
        written = writer.write(StepOutput(artifacts={"s": scaler, "m": (model, "skops")}), FIRST, 0)
        assert written.artifact_ids == {"s": "art_1", "m": "art_2"}
        assert keeper.saved == [
            (scaler, "sklearn.preprocessing._data.StandardScaler", "transformer", "auto"),
            (model, "sklearn.linear_model._ridge.Ridge", "model", "skops"),
        ]
        assert not (keeper.workspace_path / "exports").exists()

    def test_a_pair_that_names_no_format_is_the_object(
        self, keeper: Keeper, writer: OutputWriter
    ) -> None:
        writer.write(StepOutput(artifacts={"edges": (0.0, 1.0)}), FIRST, 0)
        assert keeper.saved[0][0] == (0.0, 1.0)

    @pytest.mark.parametrize(
        ("obj", "kind"),
        [
            (Ridge(), "model"),
            (KFold(), "splitter"),
            (LabelEncoder(), "encoder"),
            (StandardScaler(), "transformer"),
            (type("Resampler", (), {"fit_resample": None})(), "transformer"),
            ({"a": 1}, "model"),
            ("a text can be split", "model"),
        ],
    )
    def test_the_kind_follows_from_what_an_object_can_do(self, obj: Any, kind: str) -> None:
        assert artifact_type_of(obj) == kind


class TestFlags:
    OUTPUT = StepOutput(
        artifacts={"model": Ridge()}, outputs=[("a", "t", "txt")], metadata={"n": 1}
    )

    @pytest.mark.parametrize("artifacts", [True, False])
    @pytest.mark.parametrize("charts", [True, False])
    def test_only_what_is_asked_for_is_kept(
        self, keeper: Keeper, artifacts: bool, charts: bool
    ) -> None:
        """Else a dry run leaves objects, or a folder, in the workspace."""
        writer = OutputWriter(keeper, "a", "b", save_artifacts=artifacts, save_charts=charts)
        written = writer.write(self.OUTPUT, FIRST, 0)
        assert (len(keeper.saved), list(written.artifact_ids)) == (
            (1, ["model"]) if artifacts else (0, [])
        )
        assert (keeper.workspace_path / "exports").exists() == charts
        assert len(written.paths) == charts
        assert written.metadata == {"n": 1}


class TestWithTheStore:
    def test_a_fitted_object_comes_back_from_the_store(self, tmp_path: Path) -> None:
        """Else what a step returned cannot be used by a chain."""
        with WorkspaceStore(tmp_path / "ws") as store:
            run = store.begin_run("r", {}, [{"name": "larvae"}])
            pipeline = store.begin_pipeline(run, "speed", {}, {}, "larvae", "hash")
            model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
            output = StepOutput(artifacts={"m": model}, outputs=[("a", "t", "txt")])
            written = OutputWriter(store, "larvae", "speed").write(output, pipeline, 0)
            loaded = store.load_artifact(written.artifact_ids["m"])
            assert loaded.predict([[0.5]]) == model.predict([[0.5]])
            assert written.paths[0].is_relative_to(store.workspace_path)

    def test_a_dry_run_leaves_no_row_and_no_object(self, tmp_path: Path) -> None:
        with WorkspaceStore(tmp_path / "ws") as store:
            writer = OutputWriter(store, "a", "b", save_artifacts=False, save_charts=False)
            output = StepOutput(artifacts={"m": Ridge()}, outputs=[("a", "t", "txt")])
            writer.write(output, FIRST, 0)
            assert store.list_artifacts().height == 0
            assert list((tmp_path / "ws" / "artifacts").iterdir()) == []
            assert not (tmp_path / "ws" / "exports").exists()

    CHAIN = TrainedChain([{"step_idx": 0, "role": "model"}], 0, "Ridge", {"all": "m"})

    @pytest.mark.parametrize(
        ("artifacts", "chains"),
        [
            ({"f": lambda: 1}, ()),
            ({"n": (Ridge(), "nonsense")}, ()),
            ({}, [CHAIN, replace(CHAIN, fold_artifacts={"all": "other"})]),
            ({}, [replace(CHAIN, model_step_idx=1)]),
            ({}, [replace(CHAIN, steps=[{"step_idx": 0, "params": {"a": object()}}])]),
            ({}, [replace(CHAIN, model_class=None)]),
            ({}, [CHAIN, replace(CHAIN, predictions=[{"fold_id": "0", "partition": "all"}])]),
        ],
    )
    def test_what_cannot_be_kept_leaves_nothing_behind(
        self, tmp_path: Path, artifacts: dict[str, Any], chains: list[TrainedChain]
    ) -> None:
        """Else models of a step that failed stay for ever, each with an open claim."""
        with WorkspaceStore(tmp_path / "ws") as store:
            run = store.begin_run("r", {}, [{"name": "larvae"}])
            pipeline = store.begin_pipeline(run, "speed", {}, {}, "larvae", "hash")
            given = {"m": Ridge(), **artifacts}
            output = StepOutput(artifacts=given, outputs=[("a", "t", "txt")], chains=chains)
            with pytest.raises((StoreValueError, StoreTypeError)):
                OutputWriter(store, "a", "b").write(output, pipeline, 0)
            assert store.list_artifacts().height == 0
            assert store.get_chains_for_pipeline(pipeline).height == 0
            assert list((tmp_path / "ws" / "artifacts").iterdir()) == []
            assert not (tmp_path / "ws" / "exports").exists()

    def test_a_pipeline_that_takes_no_chains_takes_no_artifacts(self, tmp_path: Path) -> None:
        """Else each try under a pipeline that failed leaves another claim."""
        with WorkspaceStore(tmp_path / "ws") as store:
            run = store.begin_run("r", {}, [{"name": "larvae"}])
            failed = store.begin_pipeline(run, "speed", {}, {}, "larvae", "hash")
            store.fail_pipeline(failed, "boom")
            output = StepOutput(artifacts={"m": Ridge()}, chains=[self.CHAIN])
            for pipeline, error in ((failed, StateError), ("nowhere", UnknownIdError)):
                with pytest.raises(error, match=pipeline):
                    OutputWriter(store, "a", "b").write(output, pipeline, 0)
            assert store.list_artifacts().height == 0

    def test_a_chain_is_kept_with_its_artifacts(self, tmp_path: Path) -> None:
        """Else the checks refuse what the store takes."""
        with WorkspaceStore(tmp_path / "ws") as store:
            run = store.begin_run("r", {}, [{"name": "larvae"}])
            pipeline = store.begin_pipeline(run, "speed", {}, {}, "larvae", "hash")
            model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
            output = StepOutput(artifacts={"m": model, "n": KFold()}, chains=[self.CHAIN])
            for kept in (True, False):
                writer = OutputWriter(store, "a", "b", save_artifacts=kept)
                (chain,) = writer.write(output, pipeline, 0).chain_ids
                assert (store.get_chain(chain)["fold_artifacts"] != {}) == kept
