"""Labels as assets: read by refresh, partitioned like tracks, inputs of the steps that use them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._time import get_current_datetime

from mosaic_dagster import EntryKey, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration, Labels, SourceRule
from mosaic_dagster.dataset.labels import encode_labels

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

NAMES = {0: "rest", 1: "walk"}


@pytest.fixture
def lab(make_lab: Any, project: Any, toy: Any) -> Any:
    """Recordings s0 to s3, labels of the first two, and two steps that read labels."""

    class LabelledLab(make_lab):
        def label(self, sequence: str, until: int) -> None:
            labels = Labels.from_spans([(0, until, -1, -1, 1)], NAMES)
            path = self.root / "labels" / "g" / f"{sequence}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_labels(labels, EntryKey("g", sequence)))

        def pipeline(self, name: str = "labelled") -> Pipeline:
            given = {"log": str(self.log)}
            return (
                Pipeline(name=name)
                .add(FeatureStep("classes", toy.Labelled, given))
                .add(FeatureStep("count", toy.LabelCount, given))
            )

        def study(self) -> Study:
            tracks = SourceRule(path=f"recordings/{self.name}", format="keypoint_csv")
            labels = SourceRule(path="labels", format="label_parquet", labels="behavior")
            declared = DatasetDeclaration(
                name=self.name, fps=10.0, unit="mm", sources=(tracks, labels)
            )
            return Study(declared, [self.pipeline()])

    made = LabelledLab(project)
    made.label("s0", 2)
    made.label("s1", 1)
    return made


def materialized(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    return set(instance.get_materialized_partitions(key))


def test_refresh_reads_labels_and_what_needs_them(lab, instance, refresh):
    """Else labels would have to be read by hand before every run."""
    done = refresh()
    assert done.success, done.errors
    assert {"tracks", "labels/behavior", "labelled/classes"} <= done.assets
    assert materialized(instance, lab.key("labels", "behavior")) == {"g/s0", "g/s1"}
    assert materialized(instance, lab.key("labelled", "classes")) == {f"g/s{i}" for i in range(4)}
    assert "nothing" in refresh().printed


def test_a_new_label_file_makes_its_entry_and_the_fit_again(lab, instance, refresh):
    """Exactly these: a lab labels while it goes on."""
    refresh()
    lab.label("s2", 3)
    done = refresh()
    assert done.success, done.errors
    assert [line for line in done.computed if line.startswith("toy-labelled:")] == [
        "toy-labelled:s2"
    ]
    assert any(line.startswith("toy-label-count:fit") for line in done.computed)


def test_nothing_that_is_up_to_date_shows_as_stale(lab, instance, refresh):
    """Dagster compares what each event says it was made from; unlabelled entries must be fresh."""
    refresh()
    graph = lab.definitions().resolve_asset_graph()
    now = TemporalContext(effective_dt=get_current_datetime(), last_event_id=None)
    view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
    resolver = CachingStaleStatusResolver(instance, graph, view)
    for step in ("classes", "count"):
        for sequence in ("s0", "s3"):
            status = resolver.get_status(lab.key("labelled", step), f"g/{sequence}")
            assert status == StaleStatus.FRESH, (step, sequence)
    assert resolver.get_status(lab.key("labelled", "count", "model"), None) == StaleStatus.FRESH


def test_a_broken_label_file_is_told_and_stops_its_entry(lab, instance, refresh):
    """The others go on; the run says which file it was."""
    refresh()
    (lab.root / "labels" / "g" / "s1.parquet").write_bytes(b"PAR1 not really PAR1")
    done = refresh()
    assert not done.success
    assert any("s1" in error for error in done.errors)
    assert materialized(instance, lab.key("labelled", "classes")) >= {"g/s0", "g/s2"}
