"""The pipeline for pairs of animals on scripted recordings: what it finds, and what it makes anew.

Four of the shipped recordings, with fewer templates than the project's own declaration.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.metrics import f1_score

from assets import scripted_pair
from assets.social import DATASET, SOCIAL, map_behavior
from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.errors import EntryNotFoundError
from mosaic_dagster.features import GroundTruthLabelsSource, StepRef
from mosaic_dagster.models import cluster_agreement
from mosaic_dagster.pipeline import DatasetRun, Engine, StepResult, load_values
from mosaic_dagster.pipeline.execute import draw
from mosaic_dagster.store import WorkspaceStore

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "recordings" / "social"
PAIRS = {"session1": ("pair1", "pair2"), "session2": ("pair5", "pair6")}
ROWS = 2 * scripted_pair.N_FRAMES
"""Rows of a recording: each frame from the side of either mouse."""

FITTED = {"pose", "tmpl", "scaled", "ftmpl", "tsne", "kmeans_3", "kmeans_20", "ward_10",
          "ltmpl", "clf", "behavior"}  # fmt: skip

slow = pytest.mark.slow
pytestmark = pytest.mark.xdist_group("social")  # they share one run of the pipeline


def small(k: tuple[int, ...] = (3, 20)) -> Pipeline:
    """The pipeline as anyone would declare it for fewer recordings."""
    return map_behavior(
        "mapping", default_class=0, k=k, cuts=(10,), n_templates=300, per_class=100,
        perplexity=20.0, n_folds=2,
    )  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A folder with recordings and a workspace."""

    root: Path

    @property
    def dataset(self) -> Dataset:
        return Dataset.ensure(self.root / "workspaces" / "social", DATASET)

    @property
    def exports(self) -> Path:
        return self.dataset.exports / "social_mapping"

    def load(self) -> dict[str, StepResult]:
        return small().load(self.dataset)

    def made(self, pipeline: Pipeline) -> dict[str, int]:
        """Bring it up to date; what each step computed, steps that computed nothing left out."""
        report = draw(DatasetRun(self.dataset, [pipeline], Engine("sequential")))
        report.raise_if_failed()
        return {step.step: step.made for step in report if step.made}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after its first run; not to be changed."""
    root = tmp_path_factory.mktemp("social")
    recordings = root / "recordings" / "social"
    recordings.mkdir(parents=True)
    (root / "dagster.yaml").touch()
    for session, pairs in PAIRS.items():
        content = json.loads((SHIPPED / f"{session}.json").read_text())
        chosen = {session: {pair: content[session][pair] for pair in pairs}}
        (recordings / f"{session}.json").write_text(json.dumps(chosen))
    project = Project(root)
    small().run(project.dataset, engine="sequential")
    return project


@pytest.fixture
def project(base: Project, tmp_path: Path) -> Project:
    """The same, to be changed."""
    return copied(base, tmp_path)


def copied(base: Project, folder: Path) -> Project:
    return Project(Path(shutil.copytree(base.root, folder / "project")))


@pytest.fixture(scope="module")
def grown(
    base: Project, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, dict[str, int]]:
    """Two recordings came: ``pair99`` has labels, ``pair98`` has none; what was then made."""
    project = copied(base, tmp_path_factory.mktemp("grown"))
    labelled, unlabelled = (scripted_pair.scripted_recording(seed) for seed in (99, 98))
    del unlabelled["annotations"]
    content = {"session3": {"pair99": labelled, "pair98": unlabelled}}
    file = project.root / "recordings" / "social" / "session3.json"
    file.write_text(json.dumps(content))
    return project, project.made(small())


def pictures(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, width and height of each PNG file, as its header says."""
    for path in sorted(folder.rglob("*.png")):
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", path.name
        yield path.name, *struct.unpack(">II", data[16:24])


def macro_f1(table: pl.DataFrame, truth: str, predicted: str = "predicted_label") -> float:
    scored = table.drop_nulls(truth)
    assert set(scored[truth]) == {0, 1, 2}
    return float(f1_score(scored[truth], scored[predicted], average="macro"))


@pytest.mark.parametrize("session", scripted_pair.SESSIONS)
def test_the_shipped_recordings_are_those_of_the_script(session: str) -> None:
    """Whoever reads the script to learn what a frame shows would read about other recordings."""
    made = json.dumps(scripted_pair.session(session), separators=(",", ":"))
    assert (SHIPPED / f"{session}.json").read_text() == made


def test_the_declared_pipeline_has_the_size_that_papers_use() -> None:
    """The project's own declaration, which the tests below replace by a smaller one."""
    (mapping,) = SOCIAL.pipelines
    steps = mapping.dag()
    assert {"kmeans_50", "kmeans_100", "ward_25", "ward_50", "ward_100"} < set(steps)
    assert set(small().dag()) - set(steps) == {"kmeans_3", "kmeans_20", "ward_10"}


@slow
def test_wavelets_of_both_perspectives_become_one_table(base: Project) -> None:
    """6 shape components and 15 egocentric values at 25 frequencies are 525 columns; a join that
    mixes up who looks at whom would give rows of (0, 1) twice or lose those of (1, 0)."""
    results = base.load()
    for key, scaled in results["scaled"].tables():
        assert sum(column.startswith("W_") for column in scaled.columns) == 525, key
        sides = scaled.group_by("id1", "id2", "perspective").len().sort("id1").rows()
        assert sides == [(0, 1, 0, ROWS // 2), (1, 0, 1, ROWS // 2)]
    assert len(results["scaled"].keys()) == 4


@slow
def test_a_join_keeps_each_perspective_with_its_own(base: Project) -> None:
    """The speed of the focal mouse differs by who is focal; were the sides mixed, a mouse would be
    told to run when its partner does."""
    columns = [StepRef("ego", column="AB_dist"), StepRef("pose", column="PC0"),
               StepRef("ego", column="A_speed")]  # fmt: skip
    table = load_values(base.dataset, columns, small())
    assert table.height == 4 * ROWS
    assert table.select("group", "sequence", "frame", "id1", "id2").is_unique().all()
    one = table.filter(sequence="pair1")
    results = base.load()
    for reference in columns:
        source = results[reference.step].table("session1/pair1")
        both = one.join(source, on=["frame", "id1", "id2"], suffix="_source")
        assert both.height == ROWS
        assert both[f"{reference.column}_source"].equals(both[reference.column], null_equal=True)
    sides = one.partition_by("id1")
    assert sides[0]["A_speed"].to_list() != sides[1]["A_speed"].to_list()


@slow
def test_map_cluster_prediction_split_and_label_stand_in_one_row(base: Project) -> None:
    """A figure drawn from a table with repeated or missing keys shows frames that never were."""
    results = base.load()
    sources = [
        StepRef("tsne", column="tsne_x"),
        StepRef("kmeans_3", column="cluster"),
        StepRef("clf", column="predicted_label"),
        StepRef("ltmpl", column="split"),
        GroundTruthLabelsSource(),
    ]
    table = load_values(base.dataset, sources, small())
    assert table.height == 4 * ROWS
    assert table.select("group", "sequence", "frame", "id1", "id2").is_unique().all()
    for key, predicted in results["clf"].tables():
        one = table.filter(group=key.group, sequence=key.sequence)
        joined = one.join(predicted, on=["frame", "id1", "id2"], suffix="_clf")
        assert joined["predicted_label"].equals(joined["predicted_label_clf"])
        script = scripted_pair.scripted_recording(int(key.sequence.removeprefix("pair")))
        truth = [script["annotations"][frame] for frame in one["frame"]]
        assert one["labels-behavior"].to_list() == truth
        assert one["split"].n_unique() == 1
    assert set(table["split"]) == {"train", "test"}


@slow
def test_recordings_that_were_held_out_are_recognised(base: Project) -> None:
    """What each frame shows is known: a score of 0.8 or less means that features or classifier
    broke, whatever the real recordings of a lab are like."""
    sources = [
        StepRef("clf", column="predicted_label"),
        StepRef("ltmpl", column="split"),
        GroundTruthLabelsSource(),
    ]
    table = load_values(base.dataset, sources, small()).filter(split="test")
    score = macro_f1(table, "labels-behavior")
    assert score > 0.8
    told = pl.read_csv(base.exports / "held_out.csv")
    assert told["f1"].mean() == pytest.approx(score, abs=1e-9)
    with WorkspaceStore(base.dataset.path) as store:
        folds = store.top_predictions(10)
    assert folds["fold_id"].sort().to_list() == ["fold_0", "fold_1"]
    assert set(folds["metric"]) == {"f1_macro"}
    assert min(folds["val_score"]) > 0.6  # learned from two recordings each
    metrics = json.loads((base.exports / "metrics.json").read_text())
    tested = [key for fold in metrics["folds"] for key in fold["test"]]
    assert sorted(tested) == sorted(map(str, base.dataset.entries()))
    assert metrics["f1_macro"] > 0.8


def motion(*more: FeatureStep) -> Pipeline:
    pipeline = (
        Pipeline(name="motion")
        .add(FeatureStep("ego", "pair-egocentric", {"neck_idx": "neck", "tail_base_idx": "tail"}))
        .add(FeatureStep("waves", "pair-wavelet", {}, ["ego"]))
    )
    for step in more:
        pipeline.add(step)
    return pipeline


@slow
def test_three_clusters_of_egocentric_motion_are_the_three_behaviours(tmp_path: Path) -> None:
    """Wavelets that do not tell rest, orbit and chase apart tell no behaviour of animals apart."""
    (tmp_path / "dagster.yaml").touch()
    shutil.copytree(SHIPPED, tmp_path / "recordings" / "social")
    scaled = {"templates": StepRef("tmpl", "templates.parquet")}
    clusters = {"templates": StepRef("scaled", "scaled_templates.parquet"), "k": 3}
    pipeline = motion(
        FeatureStep("tmpl", "extract-templates", {"n_templates": 2000}, ["waves"]),
        FeatureStep("scaled", "global-scaler", scaled, ["waves"]),
        FeatureStep("kmeans", "global-kmeans", clusters, ["scaled"]),
    )
    dataset = Project(tmp_path).dataset
    results = pipeline.run(dataset, engine="sequential")
    found = cluster_agreement(results["kmeans"].tables(), dataset.labels)
    assert found["n_samples"] == 8 * ROWS
    assert found["ari"] > 0.6


@slow
def test_another_pipeline_finds_what_this_one_computed(project: Project) -> None:
    """A second question about the same recordings must not cost the first one's hours again."""
    assert project.made(motion()) == {}
    assert motion().load(project.dataset)["waves"].counts == {"fresh": 4}


@slow
def test_pictures_and_tables_can_be_opened(base: Project) -> None:
    """An empty or cut-off picture is what people would see of the whole run."""
    drawn = {name: size for name, *size in pictures(base.exports)}
    assert set(drawn) >= {
        "map.png", "held_out_confusion.png", "held_out_ethogram.png", "trajectories.png",
        "diagram.png", "confusion.png", "ethogram.png", "kmeans_3.png", "agreement_ward_10.png",
    }  # fmt: skip
    assert {name: size for name, size in drawn.items() if min(size) <= 150 or size[0] <= 300} == {}
    tables = {p.name: pl.read_csv(p) for p in base.exports.rglob("*.csv")}
    assert set(tables) == {"agreement.csv", "map.csv", "held_out.csv", "per_class.csv"}
    assert all(table.height for table in tables.values())
    agreement = tables["agreement.csv"]
    assert agreement["step"].to_list() == ["kmeans_3", "kmeans_20", "ward_10"]
    assert set(agreement["n_samples"]) == {4 * ROWS}


@slow
def test_a_second_run_computes_nothing(base: Project) -> None:
    """Every nightly run would cost what the first did."""
    assert base.made(small()) == {}
    assert set(small().status(base.dataset)["state"]) == {"fresh"}


@slow
def test_another_k_makes_this_clustering_and_what_shows_it(project: Project) -> None:
    """Trying numbers of clusters must not cost a map and a classifier each time.

    The map is coloured by the first of the clusterings, and the diagram names all of them.
    """
    before = files_of(project.load())
    made = project.made(small(k=(4, 20)))
    assert made == {
        "kmeans_4/model": 1, "kmeans_4": 4, "agreement": 1, "maps": 1, "overview": 1,
    }  # fmt: skip
    after = files_of(small(k=(4, 20)).load(project.dataset))
    same = set(before) & set(after) - {"agreement", "maps", "overview"}
    assert {name for name in same if before[name] != after[name]} == set()
    names = {path.name for path in project.exports.iterdir()}
    assert {"kmeans_4.png", "agreement_kmeans_4.png"} < names
    assert {"kmeans_3.png", "agreement_kmeans_3.png"}.isdisjoint(names)


def files_of(results: dict[str, StepResult]) -> dict[str, dict[str, str]]:
    """Objects of each step's fit, or of what its callback made, by name."""
    return {
        step: {name: path.name for name, path in result.artifacts().items()}
        for step, result in results.items()
    }


@slow
def test_new_recordings_refit_what_is_fitted_and_nothing_else(
    grown: tuple[Project, dict[str, int]],
) -> None:
    """A fit that does not see new recordings is out of date; what looks at one recording at a time
    must not be computed again for all the others."""
    project, made = grown
    fits = {step.removesuffix("/model") for step in made if step.endswith("/model")}
    assert fits - {"predicted"} == FITTED
    assert (made["tracks"], made["labels/behavior"]) == (2, 1)
    assert (made["ego"], made["wave_ego"]) == (2, 2)
    applied = {"pose", "wave_social", "scaled", "tsne", "kmeans_3", "ward_10", "stack", "clf"}
    assert {step: made[step] for step in applied} == dict.fromkeys(applied, 6)
    assert project.made(small()) == {}


@slow
def test_a_recording_without_labels_is_mapped_and_predicted_and_never_scored(
    grown: tuple[Project, dict[str, int]],
) -> None:
    """Frames that nobody labelled would count as a class, and spoil scores and training."""
    project, _ = grown
    results = project.load()
    key = "session3/pair98"
    with pytest.raises(EntryNotFoundError, match="behavior"):
        project.dataset.labels(EntryKey.parse(key))
    assert results["ltmpl"].table(key)["split"].null_count() == ROWS
    assert set(pl.read_csv(project.exports / "agreement.csv")["n_samples"]) == {5 * ROWS}
    metrics: dict[str, Any] = json.loads((project.exports / "metrics.json").read_text())
    assert key not in json.dumps(metrics["folds"])
    assert sum(metrics["training"]["labelled"].values()) == 5 * ROWS
    on_map = pl.read_csv(project.exports / "map.csv").filter(sequence="pair98")
    assert (on_map.height, on_map["label"].null_count()) == (ROWS, ROWS)
    assert on_map.select("tsne_x", "cluster", "predicted_label").null_count().row(0) == (0, 0, 0)


@slow
@pytest.mark.parametrize("step", ["clf", "predicted"])
def test_predictions_hold_for_a_recording_without_labels(
    grown: tuple[Project, dict[str, int]], step: str
) -> None:
    """This is what a lab trains a classifier for; the script knows what nobody told it."""
    table = grown[0].load()[step].table("session3/pair98")
    truth = scripted_pair.scripted_recording(98)["annotations"]
    known = table.with_columns(truth=pl.Series([truth[frame] for frame in table["frame"]]))
    assert macro_f1(known, "truth") > 0.8
