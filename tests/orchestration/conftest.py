"""A lab with a small study on csv files, and an instance with the project's own storage.

The features are the toys of ``tests/pipeline/toy.py``: each computation leaves a line in a log.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import dagster as dg
import pytest

from mosaic_dagster import CallbackStep, Dataset, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.orchestration import (
    EngineResource,
    WorkspaceResource,
    build_definitions,
    previews,
)
from mosaic_dagster.store import StepOutput

_TOY = Path(__file__).parents[1] / "pipeline" / "toy.py"
_NAME = "mosaic_toy_orchestration"

CONFIG = """
telemetry: {enabled: false}
python_logs: {python_log_level: ERROR}
storage:
  custom:
    module: mosaic_dagster.orchestration.event_log
    class: MosaicSqliteStorage
    config: {base_dir: workspaces/dagster}
"""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c63000100000500010d0a2db40000000049454e44ae426082"
)


def _load_toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location(_NAME, _TOY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    # Worker processes cannot import it by its name.
    cloudpickle.register_pickle_by_value(module)
    return module


_toy = _load_toy()


def draw(dataset: Dataset, results: Mapping[str, Any]) -> StepOutput:
    """A picture of one pixel, and how many entries there are."""
    count = len(list(results["scaled"].tables()))
    return StepOutput(outputs=[(PIXEL, "pixel", "png")], metadata={"entries": count})


class Lab:
    """Recordings ``g/s1.csv`` …, a pipeline on them, its Dagster definitions and an instance.

    shift -> mean (fitted on entries) -> scaled (fitted on mean's file); above (reads mean's file);
    side and pictures hang on the tracks and on scaled.
    """

    def __init__(self, root: Path, name: str = "toy", entries: int = 4) -> None:
        self.root = root
        self.name = name
        self.folder = root / "recordings" / name / "g"
        self.log = _toy.Log(root.parent / f"{name}.log")
        self.broken = root.parent / f"{name}-broken"
        self.params: dict[str, dict[str, Any]] = {}
        self.backend = "sequential"
        self.options: dict[str, Any] = {}
        for i in range(entries):
            self.record(f"s{i}", 10.0 * i)

    @property
    def workspace(self) -> Path:
        return self.root / "workspaces" / self.name

    @property
    def dataset(self) -> Dataset:
        return WorkspaceResource(database=str(self.workspace / "store.duckdb")).open(
            self.study().dataset
        )

    def record(self, sequence: str, start: float, n_frames: int = 4) -> Path:
        return Path(_toy.write_csv(self.folder / f"{sequence}.csv", start, n_frames))

    def pipeline(self, name: str = "layered") -> Pipeline:
        def given(step: str) -> dict[str, Any]:
            broken = str(self.broken / step) if (self.broken / step).exists() else ""
            return {"log": str(self.log), "broken": broken, **self.params.get(step, {})}

        return (
            Pipeline(name=name)
            .add(FeatureStep("shift", _toy.Shift, given("shift")))
            .add(FeatureStep("mean", _toy.Mean, given("mean"), ["shift"]))
            .add(FeatureStep("scaled", _toy.Scaled, given("scaled"), ["mean"]))
            .add(FeatureStep("above", _toy.Above, given("above"), ["mean"]))
            .add(FeatureStep("side", _toy.Whole, given("side")))
            .add(CallbackStep("pictures", draw, ["scaled"]))
        )

    def break_entry(self, step: str, sequence: str) -> None:
        """Make a step fail for a sequence, as a feature that meets data it cannot handle."""
        self.broken.mkdir(exist_ok=True)
        (self.broken / step).write_text(sequence)

    def break_fit(self, step: str) -> None:
        (self.broken / step).mkdir(parents=True)
        (self.broken / step / "fit").touch()

    def mend(self, step: str) -> None:
        path = self.broken / step
        if path.is_dir():
            (path / "fit").unlink()
            path.rmdir()
        else:
            path.unlink()

    def study(self) -> Study:
        rule = SourceRule(path=f"recordings/{self.name}", format="keypoint_csv")
        declared = DatasetDeclaration(name=self.name, fps=10.0, unit="mm", sources=(rule,))
        return Study(declared, [self.pipeline()])

    def resources(self) -> dict[str, Any]:
        return {
            self.name: WorkspaceResource(database=str(self.workspace / "store.duckdb")),
            "engine": EngineResource(backend=self.backend, workers=2),
        }

    def definitions(self, **more: Any) -> dg.Definitions:
        return build_definitions([self.study()], self.resources() | more, **self.options)

    def key(self, *parts: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, *parts])


class Refreshed:
    """What a refresh did, seen from outside: its run, the inner run, the computations."""

    def __init__(self, lab: Lab, instance: dg.DagsterInstance, done: Any, printed: str) -> None:
        self.success = done.success
        self.printed = printed
        self.errors = [
            event.step_failure_data.user_failure_data.description
            if event.step_failure_data.user_failure_data
            else str(event.step_failure_data.error)
            for event in done.all_events
            if event.is_step_failure
        ]
        inner = instance.get_runs(dg.RunsFilter(tags={"mosaic/started_by": done.run_id}))
        self.runs = inner
        self.run = inner[0] if inner else None
        self.computed = lab.log.take()

    @property
    def assets(self) -> set[str]:
        assert self.run is not None
        return {"/".join(key.path[1:]) for key in self.run.asset_selection or ()}


@pytest.fixture
def toy() -> Any:
    return _toy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, as the current folder."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("MOSAIC_EVENTS", raising=False)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    # Drawing takes longer than everything else that a test does.
    monkeypatch.setattr(previews, "quick_lines", lambda *_: PIXEL)
    (root / "dagster.yaml").write_text(CONFIG)
    return root


@pytest.fixture
def lab(project: Path) -> Lab:
    return Lab(project)


@pytest.fixture
def make_lab() -> type[Lab]:
    return Lab


@pytest.fixture(scope="session")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of an instance in which nothing has run: making them takes half a second."""
    root = tmp_path_factory.mktemp("new_instance")
    home = root / "workspaces" / "dagster"
    config = CONFIG.replace("workspaces/dagster", str(home))
    (root / "dagster.yaml").write_text(config)
    with dg.DagsterInstance.from_config(str(root)) as made:
        made.add_dynamic_partitions("none", ["none"])
        made.get_runs(limit=1)
        made.all_asset_keys()
    return home


@pytest.fixture
def instance(project: Path, new_instance: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(new_instance, project / "workspaces" / "dagster")
    with dg.DagsterInstance.from_config(str(project)) as made:
        yield made


@pytest.fixture
def refresh(
    lab: Lab, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Refreshed]:
    """Runs the job ``refresh`` in this process; keyword arguments are its configuration."""

    def run(**config: Any) -> Refreshed:
        job = lab.definitions().resolve_job_def("refresh")
        given = {"ops": {"bring_up_to_date": {"config": config}}} if config else {}
        given["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
        capsys.readouterr()
        done = job.execute_in_process(instance=instance, run_config=given, raise_on_error=False)
        return Refreshed(lab, instance, done, capsys.readouterr().out)

    return run


@pytest.fixture
def launch(lab: Lab, instance: dg.DagsterInstance) -> Callable[..., Any]:
    """Runs an asset job as the UI and `dagster job execute` do: by tags and asset selection."""

    def run(
        tags: Mapping[str, str] | None = None,
        assets: Sequence[str] | None = None,
        job: str | None = None,
    ) -> Any:
        chosen = None if assets is None else [lab.key(*name.split("/")) for name in assets]
        return (
            lab.definitions()
            .resolve_job_def(job or lab.name)
            .execute_in_process(
                instance=instance,
                tags=dict(tags or {}),
                asset_selection=chosen,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        )

    return run


@pytest.fixture
def events(
    lab: Lab, instance: dg.DagsterInstance
) -> Callable[[str], list[dg.AssetMaterialization]]:
    """The materializations of an asset, oldest first."""

    def look(asset: str) -> list[dg.AssetMaterialization]:
        key = lab.key(*asset.split("/"))
        records = instance.fetch_materializations(key, limit=5000, ascending=True).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    return look


@pytest.fixture
def digests(lab: Lab) -> Callable[[str], dict[str, str | None]]:
    """Output digest of each entry of a step by the registry; the fitted state under ``""``."""

    def look(step: str) -> dict[str, str | None]:
        pipeline = "" if step == "tracks" else "layered"
        heads = lab.dataset.registry.heads(pipeline)
        return {head.key: head.output_sha256 for head in heads if head.step == step}

    return look


@pytest.fixture
def red(lab: Lab, instance: dg.DagsterInstance) -> Callable[[str], dict[str, str | None]]:
    """What the UI shows for each registered entry of an asset."""

    def look(asset: str) -> dict[str, str | None]:
        name = f"{lab.name}_entries"
        keys = list(instance.get_dynamic_partitions(name))
        key, definition = lab.key(*asset.split("/")), dg.DynamicPartitionsDefinition(name=name)
        found = instance.get_status_by_partition(key, keys, definition) or {}
        return {k.rpartition("/")[2]: found[k].value if found.get(k) else None for k in keys}

    return look


__all__ = ["Lab", "Refreshed"]
