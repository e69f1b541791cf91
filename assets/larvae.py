"""Crawling larvae: from keypoints to behaviour clusters.

Sixteen *Drosophila* larvae in two dishes, filmed at 16 frames per second, with five keypoints
along the body from head to tail (``recordings/larvae/SOURCE.md``).
"""

from assets.larva_models import train_speed_models
from assets.larva_pictures import draw_pictures
from mosaic_dagster import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.features import StepRef

N_CLUSTERS = 6

DATASET = DatasetDeclaration(
    name="larvae",
    fps=16.0,
    unit="mm",
    keypoints=("head", "neck", "mid", "hind", "tail"),
    sources=(SourceRule(path="recordings/larvae", format="keypoint_csv"),),
)

MOVEMENTS = ("speed", "angvel", "bend_0", "bend_1", "bend_2")

CRAWLING = (
    Pipeline(name="crawling", description="Clusters of crawling and turning from body posture.")
    .add(FeatureStep("smooth", "trajectory-smooth", {"savgol_window": 5, "max_gap": 8,
                                                     "interpolate_pose": True}))
    .add(FeatureStep("heading", "heading", {"front_idx": 0, "rear_idx": 4}, ["smooth"]))
    .add(FeatureStep("kinematics", "speed-angvel", {}, ["smooth", "heading"]))
    .add(FeatureStep("posture", "posture", {}, ["smooth"]))
    .add(FeatureStep("wavelets", "pair-wavelet",
                     {"cols": MOVEMENTS, "log_floor": -6.0, "f_min": 0.5, "f_max": 5.0,
                      "n_freq": 10},
                     ["kinematics", "posture"]))
    .add(FeatureStep("templates", "extract-templates", {"n_templates": 2000}, ["wavelets"]))
    .add(FeatureStep("scaled", "global-scaler",
                     {"templates": StepRef("templates", "templates.parquet")}, ["wavelets"]))
    .add(FeatureStep("components", "global-pca",
                     {"templates": StepRef("scaled", "scaled_templates.parquet"),
                      "n_components": 10}, ["scaled"]))
    .add(FeatureStep("component_templates", "extract-templates",
                     {"n_templates": 2000}, ["components"]))
    .add(FeatureStep("clusters", "global-kmeans",
                     {"templates": StepRef("component_templates", "templates.parquet"),
                      "k": N_CLUSTERS}, ["components"]))
    .add(FeatureStep("summary", "cluster-summary", {"cluster_col": "cluster"}, ["clusters"]))
    .add(CallbackStep("pictures", draw_pictures, ["tracks", "clusters"]))
    .add(TrainingStep("speed_models", train_speed_models, ["kinematics", "posture"]))
)  # fmt: skip

LARVAE = Study(DATASET, [CRAWLING])
