"""What a code location declares: loadable, named as the design says, and honest about errors."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster import Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration import EngineResource, WorkspaceResource, build_definitions
from mosaic_dagster.orchestration.partitions import range_tags, register_entries

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

Refresh = Callable[..., Any]


def node(lab: Any, *parts: str, **options: Any) -> Any:
    lab.options = options
    return lab.definitions().resolve_asset_graph().get(lab.key(*parts))


def test_definitions_are_loadable(lab: Any) -> None:
    """What `dagster dev` does first; a failure here is a UI with a red banner and no asset."""
    dg.Definitions.validate_loadable(lab.definitions())


def test_the_repository_declares_a_loadable_code_location() -> None:
    """The README's first command loads it, without a warning that a lab could not understand."""
    from assets.definitions import definitions

    dg.Definitions.validate_loadable(definitions)
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {"larvae/tracks", "larvae/crawling/clusters/model", "larvae/crawling/report"} <= keys
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert {"refresh", "larvae", "larvae_crawling"} <= names


def test_the_module_of_definitions_only_gathers() -> None:
    """Logic there would run at every load of the code location, in each of Dagster's processes."""
    source = Path(__file__).parents[2] / "assets" / "definitions.py"
    body = ast.parse(source.read_text()).body
    allowed = ast.Import | ast.ImportFrom | ast.Assign | ast.Expr
    assert [type(item) for item in body if not isinstance(item, allowed)] == []


def test_asset_keys(lab: Any) -> None:
    """The keys under which a lab finds its results; a renamed key loses its history."""
    keys = lab.definitions().resolve_asset_graph().get_all_asset_keys()
    steps = ["shift", "mean", "mean/model", "scaled", "scaled/model", "above", "side", "pictures"]
    expected = {"toy/tracks", "toy/layered/report", *(f"toy/layered/{step}" for step in steps)}
    assert {key.to_user_string() for key in keys} == expected


def test_what_an_asset_says_about_itself(lab: Any) -> None:
    """Group, kinds, owner, code version, description: how the UI is searched and read."""
    owner = "team:neuro"
    mean = node(lab, "layered", "mean", owners=[owner])
    assert mean.group_name == "toy_layered"
    assert mean.owners == [owner]
    assert {"polars", "parquet"} <= set(mean.kinds)
    assert "Subtracts the mean over all entries" in mean.description
    assert node(lab, "tracks").group_name == "toy"
    model = node(lab, "layered", "mean", "model")
    assert "fitted on the entries of its scope" in model.description
    assert not model.is_partitioned
    assert "picture of one pixel" in node(lab, "layered", "pictures").description


def test_the_code_version_follows_what_changes_results(lab: Any) -> None:
    """Another parameter is another code version; where to write the log is not."""
    before = node(lab, "layered", "shift").code_version
    lab.params["shift"] = {"log": "elsewhere.txt"}
    assert node(lab, "layered", "shift").code_version == before
    lab.params["shift"] = {"by": 3.0}
    assert node(lab, "layered", "shift").code_version != before


def test_all_steps_share_one_partition_definition(lab: Any) -> None:
    """Else one recording would be a partition here and none there, and no job could span them."""
    graph = lab.definitions().resolve_asset_graph()
    definitions = {n.partitions_def for n in graph.asset_nodes if n.is_partitioned}
    assert definitions == {dg.DynamicPartitionsDefinition(name="toy_entries")}


def test_dependencies_in_the_graph(lab: Any) -> None:
    """The graph in the UI is what is computed: every reference in a parameter is an edge."""
    graph = lab.definitions().resolve_asset_graph()

    def parents(*parts: str) -> set[str]:
        return {"/".join(k.path[1:]) for k in graph.get(lab.key(*parts)).parent_keys}

    assert parents("layered", "shift") == {"tracks"}
    assert parents("layered", "mean", "model") == {"layered/shift"}
    assert parents("layered", "mean") == {"layered/shift", "layered/mean/model"}
    assert parents("layered", "scaled", "model") == {"layered/mean/model"}
    assert parents("layered", "above") == {"layered/mean", "layered/mean/model"}
    assert "layered/side" in parents("layered", "report")


def test_a_dataset_without_a_workspace_is_refused(lab: Any) -> None:
    """The most frequent slip in a lab's own resources: say which name is missing."""
    with pytest.raises(ProjectError, match="'toy' has no workspace"):
        build_definitions([lab.study()], {"other": lab.resources()["toy"]})


def test_something_else_than_a_workspace_is_refused(lab: Any) -> None:
    """A path, or Dagster's own DuckDB resource, would fail late and strangely."""
    with pytest.raises(ProjectError, match="WorkspaceResource"):
        build_definitions([lab.study()], {"toy": "workspaces/toy"})


def test_two_studies_on_one_dataset_are_refused(lab: Any) -> None:
    """Two assets of one key: Dagster's own message would not say what to do."""
    with pytest.raises(ProjectError, match="one study"):
        build_definitions([lab.study(), lab.study()], lab.resources())


def test_a_study_without_pipelines(lab: Any) -> None:
    """The first day of a lab: recordings, and nothing to compute yet."""
    study = Study(lab.study().dataset, [])
    definitions = build_definitions([study], lab.resources())
    dg.Definitions.validate_loadable(definitions)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("refresh")
        assert job.execute_in_process(instance=instance).success


def test_assets_and_resources_of_a_labs_own(lab: Any) -> None:
    """What is under another name is passed on for them."""
    definitions = lab.definitions(scale=EngineResource(backend="sequential"))
    assert "scale" in definitions.resources


@pytest.fixture
def pair(project: Path, make_lab: Any) -> tuple[Any, Any, dg.Definitions]:
    """Two datasets in one code location, and one pipeline on both."""
    first, second = make_lab(project, "toy", 2), make_lab(project, "wild", 3)
    shared = first.pipeline()
    studies = [Study(member.study().dataset, [shared]) for member in (first, second)]
    resources = first.resources() | second.resources()
    return first, second, build_definitions(studies, resources)


def test_one_pipeline_on_two_datasets(
    pair: tuple[Any, Any, dg.Definitions], instance: dg.DagsterInstance
) -> None:
    """Each has its own keys, partitions and workspace; nothing of one is taken for the other."""
    first, second, definitions = pair
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = definitions.resolve_job_def("refresh")
    assert job.execute_in_process(instance=instance, run_config=quiet).success
    assert list(instance.get_dynamic_partitions("toy_entries")) == ["g/s0", "g/s1"]
    assert list(instance.get_dynamic_partitions("wild_entries")) == ["g/s0", "g/s1", "g/s2"]
    for lab, count in ((first, 2), (second, 3)):
        told = instance.fetch_materializations(lab.key("layered", "scaled"), limit=100).records
        assert len(told) == count
    assert "toy-mean:fit:s0+s1+s2" in first.log.take()


def test_only_one_of_two_datasets(
    pair: tuple[Any, Any, dg.Definitions], instance: dg.DagsterInstance
) -> None:
    """`datasets`, and `entries` of one of them, leave the other alone."""
    first, _, definitions = pair
    job = definitions.resolve_job_def("refresh")

    def refresh(**config: Any) -> Any:
        ops = {"bring_up_to_date": {"config": config}}
        return job.execute_in_process(
            instance=instance, run_config={"ops": ops}, raise_on_error=False
        )

    asked = refresh(datasets=["wild"], entries=["g/s2"], steps=["side"])
    assert asked.success
    assert first.log.take() == ["toy-whole:s2"]
    unclear = refresh(entries=["g/s0"])
    assert not unclear.success
    (failed,) = [event for event in unclear.all_events if event.is_step_failure]
    assert "of which dataset" in str(failed.step_failure_data.error)
    assert refresh(force_from="side", steps=["side"]).success


# Partitions.


def test_a_range_follows_the_order_of_registration(instance: dg.DagsterInstance) -> None:
    """b, a, c: the range over a and c is a to c; in sorted order it would lose or add entries."""
    register_entries(instance, "toy", ["g/b", "g/a", "g/c"])
    assert register_entries(instance, "toy", ["g/a", "g/d"]) == ["g/d"]
    tags = range_tags(instance, "toy", ["g/c", "g/b"])
    assert list(tags.values()) == ["g/b", "g/c"]


@pytest.mark.parametrize("count", [2_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_many_entries_register_in_batches(instance: dg.DagsterInstance, count: int) -> None:
    """Large archives: a database refuses a statement with more than some 32,000 variables."""
    keys = [f"g{i // 100:03d}/s{i:05d}" for i in range(count)]
    assert register_entries(instance, "toy", keys) == keys
    assert list(instance.get_dynamic_partitions("toy_entries")) == keys
    assert register_entries(instance, "toy", keys) == []


def test_a_workspace_of_another_dataset_fails_clearly(
    lab: Any, refresh: Refresh, instance: dg.DagsterInstance, capsys: Any
) -> None:
    """Two datasets with one database path, a slip of copying: none is overwritten."""
    refresh()
    declared = DatasetDeclaration(name="other", fps=10.0, unit="mm")
    resources = {"other": WorkspaceResource(database=str(lab.workspace / "store.duckdb"))}
    definitions = build_definitions([Study(declared, [Pipeline(name="empty")])], resources)
    done = definitions.resolve_job_def("refresh").execute_in_process(
        instance=instance, raise_on_error=False
    )
    assert not done.success
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    told = str(failed.step_failure_data.error)
    assert "'toy'" in told
    assert "'other'" in told
