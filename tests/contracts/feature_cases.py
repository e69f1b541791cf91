"""One working case for each feature: parameters, input, and the files that its parameters name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.dataset.labels import IdTags, Labels
from mosaic_dagster.dataset.labels.files import encode_labels
from mosaic_dagster.features import (
    Feature,
    FeatureTable,
    InputStream,
    StepRef,
    feature_columns,
    get_feature,
    join_inputs,
)
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table

IDS = (0, 1, 2)
N_FRAMES = 40
FPS = 10.0
KEY = EntryKey("toy", "walk")

Artifacts = dict[str, Path]
Lookups = dict[str, dict[EntryKey, Path]]
Table = pl.DataFrame


def tracks(ids: Sequence[int] = IDS, n_frames: int = N_FRAMES) -> Table:
    """Animals that swim in loops of their own, seven keypoints along and beside the body.

    Nothing is missing, and no two numbers are equal by accident.
    """
    rng = np.random.default_rng(7)
    frame = np.repeat(np.arange(n_frames, dtype=np.int64), len(ids))
    animal = np.tile(np.arange(len(ids)), n_frames)
    phase = 0.21 * frame * (1 + 0.1 * animal) + 1.3 * animal
    x = 100 + 9 * animal + 15 * np.cos(phase) + rng.normal(0, 0.2, len(frame))
    y = 80 - 4 * animal + 12 * np.sin(0.8 * phase) + rng.normal(0, 0.2, len(frame))
    angle = np.arctan2(np.sin(phase + 1.4), np.cos(phase + 1.4))
    columns: dict[str, Any] = {"frame": frame, "time": frame / FPS, "id": np.array(ids)[animal]}
    columns |= {"X": x, "Y": y, "ANGLE": angle}
    for k in range(7):
        ahead, aside = 3.0 - k, 0.5 * (k % 3 - 1)
        ahead, aside = ahead + rng.normal(0, 0.1, len(x)), aside + rng.normal(0, 0.1, len(x))
        columns[f"poseX{k}"] = x + ahead * np.cos(angle) - aside * np.sin(angle)
        columns[f"poseY{k}"] = y + ahead * np.sin(angle) + aside * np.cos(angle)
        columns[f"poseP{k}"] = rng.uniform(0.7, 1.0, len(x))
    origin = {"fps": FPS, "group": KEY.group, "sequence": KEY.sequence}
    return pl.DataFrame(columns).with_columns(pl.lit(v).alias(c) for c, v in origin.items())


def apply(feature: Feature[Any], table: Table) -> Table:
    """The table of a result, with or without notes."""
    made = feature.apply(table)
    return made.table if isinstance(made, FeatureTable) else made


def made_by(name: str, table: Table, params: Mapping[str, Any] | None = None) -> Table:
    """What a feature that is not fitted makes of a table."""
    feature = get_feature(name)(params=params)
    assert feature.load_state(None, {}, {})
    return apply(feature, table)


# Inputs.


def speeds(table: Table) -> Table:
    return made_by("speed-angvel", table)


def with_speeds(table: Table) -> Table:
    return join_inputs([table, speeds(table)], ["tracks", "speed"])


def with_neighbors(table: Table) -> Table:
    nearest = made_by("nearest-neighbor", table)
    return join_inputs([table, nearest, speeds(table)], ["tracks", "nn", "speed"])


def with_groups(table: Table) -> Table:
    groups = made_by("ffgroups", table, {"distance_cutoff": 20.0})
    return join_inputs([with_neighbors(table), groups], ["neighbors", "groups"])


def responses(table: Table) -> Table:
    return made_by("nn-delta-response", with_neighbors(table), {"diff_numframes": 2})


def positions_of_pairs(table: Table) -> Table:
    return made_by("pair-position", table)


def facing(table: Table) -> Table:
    return made_by("pair-facing", table, {"dist_thresh": 20.0})


def clusters(table: Table) -> Table:
    """Three clusters that change every third frame, null in every seventh frame."""
    number = ((pl.col("frame") // 3 + pl.col("id").rank("dense")) % 3).cast(pl.Int32)
    cluster = pl.when(pl.col("frame") % 7 != 0).then(number).alias("cluster")
    return table.select("frame", "time", "id", cluster, "fps", "group", "sequence")


# Files.

Files = Callable[[Path, Table, Table], tuple[Artifacts, Lookups]]


def no_files(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    return {}, {}


def templates(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    """Every second complete row."""
    chosen = table.select(feature_columns(table)).drop_nans().gather_every(2)
    path = folder / "templates.parquet"
    path.write_bytes(encode_table(chosen))
    return {"templates": path}, {}


def labelled_templates(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    """The faster half is class 5, the slower one class 2."""
    chosen = table.select(feature_columns(table)).drop_nans()
    fast = pl.col("speed") > pl.col("speed").median()
    chosen = chosen.with_columns(
        label=pl.when(fast).then(5).otherwise(2).cast(pl.Int64), split=pl.lit("train")
    )
    path = folder / "templates.parquet"
    path.write_bytes(encode_table(chosen))
    return {"templates": path}, {}


def scales(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    path = folder / "scale.parquet"
    path.write_bytes(encode_table(made_by("body-scale", recorded)))
    return {}, {"scale": {KEY: path}, "body_scale": {KEY: path}}


def behavior(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    """Class 2 in the first frames, 5 in later ones, the last two unlabelled."""
    classes = [2] * 25 + [5] * (N_FRAMES - 27)
    path = folder / "behavior.parquet"
    path.write_bytes(encode_labels(Labels.per_frame(classes, {2: "rest", 5: "walk"}), KEY))
    return {}, {"labels": {KEY: path}}


def tags(folder: Path, table: Table, recorded: Table) -> tuple[Artifacts, Lookups]:
    ids = recorded["id"].unique().sort()
    tagged = pl.DataFrame({"id": ids, "focal": ids == ids[0], "dose": ids.rank() / 2})
    path = folder / "tags.parquet"
    path.write_bytes(encode_labels(IdTags(tagged), KEY))
    return {}, {"labels": {KEY: path}}


@dataclass(frozen=True)
class Case:
    """How a feature is asked: ``source`` makes its input from tracks."""

    params: Mapping[str, Any] = field(default_factory=dict)
    source: Callable[[Table], Table] = lambda table: table
    files: Files = no_files


_TEMPLATES = {"templates": StepRef("tmpl", "templates.parquet")}


def on_templates(**params: Any) -> Case:
    return Case({**_TEMPLATES, **params}, speeds, templates)


CASES: dict[str, Case] = {
    "approach-avoidance": Case(
        {
            "distance_threshold": 60.0,
            "approacher_velocity_threshold": 0.1,
            "avoider_velocity_threshold": 0.1,
            "cos_approacher_threshold": 0.0,
            "cos_avoider_threshold": 0.0,
            "min_event_length": 3,
            "min_event_count": 2,
            "orientation_gate_cos": -0.5,
            "smooth_window_sec": 0.3,
        }
    ),
    "arhmm": Case({"n_states": 3, "n_iter": 5, "sticky_weight": 1.0}, speeds),
    "attention-target": Case({"id_group_map": {"1": "a", "7": "a"}}, facing),
    "body-scale": Case(),
    "classifier": Case(
        {**_TEMPLATES, "default_class": 2, "n_estimators": 5}, speeds, labelled_templates
    ),
    "cluster-summary": Case({}, clusters),
    "collective-motion-metrics": Case({"max_frame_gap": 1, "speed_col": "speed"}, with_speeds),
    "extract-labeled-templates": Case({"n_per_class": 5}, speeds, behavior),
    "extract-templates": Case({"n_templates": 10}, speeds),
    "ffgroups": Case({"distance_cutoff": 20.0}),
    "ffgroups-metrics": Case({"frame_chunk": 15}, with_groups),
    "frame-aggregate": Case({"column": "speed", "agg": "std"}, speeds),
    "global-hdbscan": on_templates(min_cluster_size=3),
    "global-kmeans": on_templates(k=3),
    "global-pca": on_templates(n_components=2),
    "global-scaler": on_templates(),
    "global-tsne": on_templates(
        perplexity=5.0,
        fit={"exaggeration_iters": 10, "iters": 10},
        mapping={"k": 5, "iters": 5},
    ),
    "global-umap": on_templates(n_neighbors=5),
    "global-ward": on_templates(n_clusters=3),
    "heading": Case({"front_idx": 0, "rear_idx": 6}),
    "id-tag-columns": Case({"fields": ["focal", "dose"]}, files=tags),
    "local-order-metrics": Case(
        {"radius": 3.0, "radius_units": "body_scale", "body_scale": StepRef("scale")}, files=scales
    ),
    "movement-filter-interpolate": Case({"confidence_threshold": 0.6}),
    "movement-smooth": Case({"method": "rolling", "window": 3, "min_periods": 1}),
    "nearest-neighbor": Case(),
    "nn-delta-bins": Case({"nbins": 6, "binmax": 30.0, "max_for_avg": 20.0}, responses),
    "nn-delta-response": Case({"diff_numframes": 2, "emit_backward": True}, with_neighbors),
    "orientation-rel": Case({"scale": StepRef("scale")}, files=scales),
    "pair-egocentric": Case({"sampling": {"smooth_win": 3}}),
    "pair-facing": Case({"dist_thresh": 20.0}),
    "pair-interaction-filter": Case(
        {
            "max_dist": 60.0,
            "require_facing": False,
            "min_run_frames": 3,
            "frame_padding": 0,
            "morphological_structure_size": 1,
        }
    ),
    "pair-posedistance-pca": Case({"n_components": 3}),
    "pair-position": Case({"sampling": {"smooth_win": 3}}),
    "pair-wavelet": Case(
        {"cols": ["AB_dist", "A_speed"], "f_max": 4.0, "n_freq": 4, "coi": True},
        positions_of_pairs,
    ),
    "posture": Case(),
    "scale-to-cm": Case({"cm_per_pixel": 0.1}),
    "social-motion-summary": Case({"compute_burst_coast": True}, with_groups),
    "speed-angvel": Case({"step_size": 3, "smooth_window": 5}),
    "temporal-stack": Case(
        {"half": 4, "skip": 2, "sigma_stack": 1.0, "sigma_pool": 1.0, "pool_stats": ["std"]},
        speeds,
    ),
    "track-subsample": Case({"target_frames": 10}),
    "trajectory-smooth": Case({"savgol_window": 5}),
}  # fmt: skip


def ready(name: str, folder: Path, recorded: Table) -> tuple[Feature[Any], Table]:
    """A feature that was loaded or fitted, and its input."""
    case = CASES[name]
    table = case.source(recorded)
    feature = get_feature(name)(params=case.params)
    artifacts, lookups = case.files(folder, table, recorded)
    if not feature.load_state(None, artifacts, lookups):
        feature.fit(InputStream((KEY,), lambda _: table))
    return feature, table
