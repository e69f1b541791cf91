"""Two mice together: from keypoints and labels to behaviour maps, clusters and a classifier.

The recordings of ``social`` are scripted, so that every frame's behaviour is known
(``recordings/social/SOURCE.md``). :func:`map_behavior` declares the same steps for any lab's pairs
of animals.
"""

from collections.abc import Sequence

from assets.social_pictures import (
    compare_clusters,
    draw_diagram,
    draw_maps,
    draw_predictions,
    draw_tracks,
)
from mosaic_dagster import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.features import GroundTruthLabelsSource, StepRef
from mosaic_dagster.models.behavior_classifier import train_behavior_classifier
from mosaic_dagster.pipeline.overview import step_kinds

TEMPLATES = "templates.parquet"
LABELS = "labels/behavior"
FAR_APART = {"templates": StepRef("ftmpl", TEMPLATES)}
"""What maps and clusters are fitted on: rows that lie far apart."""

DATASET = DatasetDeclaration(
    name="social",
    fps=30.0,
    unit="px",
    keypoints=("nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail"),
    sources=(
        SourceRule(path="recordings/social", format="calms21_json"),
        SourceRule(path="recordings/social", format="calms21_annotations_json", labels="behavior"),
    ),
)


def map_behavior(
    name: str,
    *,
    default_class: int,
    neck: str = "neck",
    tail: str = "tail",
    k: Sequence[int] = (50, 100),
    cuts: Sequence[int] = (25, 50, 100),
    n_templates: int = 2000,
    per_class: int = 500,
    perplexity: float = 50.0,
    n_folds: int = 4,
) -> Pipeline:
    """Declare the pipeline for pairs of animals with labels of the kind ``behavior``.

    Posture and egocentric motion of each pair are turned into wavelet power, scaled and mapped
    (t-SNE), clustered (k-means, Ward), compared with the labels, and learned from, with the
    neighbouring frames beside each frame.

    Parameters
    ----------
    name
        Name of the pipeline.
    default_class
        Number of the class that is predicted where nothing else is likely.
    neck, tail
        Keypoints that give the heading.
    k, cuts
        Numbers of clusters, each a step of its own.
    n_templates, per_class
        Rows that maps and clusters are fitted on, and labelled rows of each class.
    perplexity, n_folds
        Of the map, and of the training.
    """
    pipeline = Pipeline(name=name, description="Maps, clusters and classes of pairs of animals.")
    _add_map(pipeline, neck, tail, n_templates, perplexity)
    clusterings = _add_clusterings(pipeline, k, cuts)
    _add_classifiers(pipeline, default_class, per_class, n_folds)
    pipeline.add(CallbackStep("maps", draw_maps, ["tsne", clusterings[0], "clf", LABELS]))
    pipeline.add(CallbackStep("held_out", draw_predictions, ["clf", "ltmpl", LABELS]))
    pipeline.add(CallbackStep("pictures", draw_tracks, ["tracks"]))
    graph = {"steps": pipeline.dag(), "kinds": step_kinds(pipeline)}
    return pipeline.add(CallbackStep("overview", draw_diagram, params=graph))


def _add_map(pipeline: Pipeline, neck: str, tail: str, n_templates: int, perplexity: float) -> None:
    """Wavelet power of posture and motion, scaled, and a map of it."""
    waves = ["wave_social", "wave_ego"]
    far_apart = {"strategy": "farthest_first", "pool": {"size": 2 * n_templates}}
    (
        pipeline.add(FeatureStep("pose", "pair-posedistance-pca", {"n_components": 6}))
        .add(FeatureStep("ego", "pair-egocentric", {"neck_idx": neck, "tail_base_idx": tail}))
        .add(FeatureStep("wave_social", "pair-wavelet", {}, ["pose"]))
        .add(FeatureStep("wave_ego", "pair-wavelet", {}, ["ego"]))
        .add(FeatureStep("tmpl", "extract-templates", {"n_templates": n_templates}, waves))
        .add(FeatureStep("scaled", "global-scaler", {"templates": StepRef("tmpl", TEMPLATES)},
                         waves))
        .add(FeatureStep("ftmpl", "extract-templates", {"n_templates": n_templates} | far_apart,
                         ["scaled"]))
        .add(FeatureStep("tsne", "global-tsne", {"perplexity": perplexity} | FAR_APART,
                         ["scaled"]))
    )  # fmt: skip


def _add_clusterings(pipeline: Pipeline, k: Sequence[int], cuts: Sequence[int]) -> list[str]:
    """Clusters of several sizes, and how they agree with the labels; gives their names."""
    steps = [
        FeatureStep(f"kmeans_{n}", "global-kmeans", {"k": n} | FAR_APART, ["scaled"]) for n in k
    ]
    steps += [
        FeatureStep(f"ward_{n}", "global-ward", {"n_clusters": n} | FAR_APART, ["scaled"])
        for n in cuts
    ]
    for step in steps:
        pipeline.add(step)
    names = [step.name for step in steps]
    pipeline.add(CallbackStep("agreement", compare_clusters, [*names, LABELS]))
    return names


def _add_classifiers(pipeline: Pipeline, default_class: int, per_class: int, n_folds: int) -> None:
    """One classifier of a split that is made once, and one trained in folds and kept."""
    small = {"n_estimators": 10, "max_depth": 3, "default_class": default_class}
    chosen = {"labels": GroundTruthLabelsSource(), "n_per_class": per_class, "test_fraction": 0.2}
    (
        pipeline.add(FeatureStep("stack", "temporal-stack",
                                 {"half": 2, "skip": 1, "sigma_stack": 2, "add_pool": False},
                                 ["scaled"]))
        .add(FeatureStep("ltmpl", "extract-labeled-templates", chosen, ["stack"]))
        .add(FeatureStep("clf", "classifier", {"templates": StepRef("ltmpl", TEMPLATES)} | small,
                         ["stack"]))
        .add(TrainingStep("behavior", train_behavior_classifier, ["stack", LABELS],
                          params={"features": "stack", "n_folds": n_folds, "max_train_rows": 4000}
                          | small))
        .add(FeatureStep("predicted", "classifier",
                         {"model": StepRef("behavior", "artifacts/classifier.skops")}, ["stack"]))
    )  # fmt: skip


MAPPING = map_behavior("mapping", default_class=0)

SOCIAL = Study(DATASET, [MAPPING])
