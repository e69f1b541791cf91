"""Pictures and tables of pairs: maps, clusters against labels, held-out predictions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster import Dataset, EntryKey
from mosaic_dagster.charts import cluster_sizes, confusion, diagram, ethogram_pairs, map_2d
from mosaic_dagster.charts import trajectories as draw_trajectories
from mosaic_dagster.dataset import Labels, align_labels
from mosaic_dagster.models import cluster_agreement, evaluate
from mosaic_dagster.pipeline import StepResult
from mosaic_dagster.store import StepOutput

LABELS = "labels/behavior"
PAIR = ["frame", "id1", "id2"]
Results = Mapping[str, StepResult]


def compare_clusters(dataset: Dataset, results: Results) -> StepOutput:
    """How well each clustering agrees with the labels, and how large its clusters are."""
    del dataset
    labels = results[LABELS]
    rows: list[dict[str, Any]] = []
    outputs: list[tuple[Any, str, str]] = []
    for step, result in results.items():
        if step == LABELS:
            continue
        told = cluster_agreement(result.tables(), lambda key: _behavior(labels, key))
        table = told.pop("confusion")
        rows.append({"step": step} | {k: v for k, v in told.items() if k != "mapping"})
        names = _names(labels)
        counts = np.array(table["counts"]).reshape(len(table["classes"]), len(table["clusters"]))
        drawn = confusion(
            counts.T, table["clusters"], [names.get(c, str(c)) for c in table["classes"]],
            f"{step}: share of each class in each cluster", "cluster", "class",
        )  # fmt: skip
        outputs += [
            (drawn, f"agreement_{step}", "png"),
            (cluster_sizes(_sizes(result), f"{step}: size of the clusters"), f"{step}", "png"),
        ]
    scores = pl.DataFrame(rows)
    outputs.append((scores.write_csv().encode(), "agreement", "csv"))
    best = {str(row["step"]): row["ari"] for row in rows}
    return StepOutput(outputs=outputs, metadata={f"ari_{name}": ari for name, ari in best.items()})


def draw_maps(dataset: Dataset, results: Results) -> StepOutput:
    """The map coloured by label, cluster and prediction, and where the animals were."""
    del dataset
    labels = results[LABELS]
    joined = pl.concat(list(_joined(results)))
    names = _names(labels)
    (cluster,) = (name for name in joined.columns if name.startswith("cluster"))
    picture = map_2d(
        joined.drop_nulls("tsne_x"), "tsne_x", "tsne_y", ["label", cluster, "predicted_label"],
        "Frames of all recordings", {"label": names, "predicted_label": names},
    )  # fmt: skip
    outputs = [
        (picture, "map", "png"),
        (joined.write_csv().encode(), "map", "csv"),
    ]
    labelled = joined["label"].count()
    return StepOutput(outputs=outputs, metadata={"frames": joined.height, "labelled": labelled})


def draw_predictions(dataset: Dataset, results: Results) -> StepOutput:
    """Truth against prediction in the recordings that the classifier did not learn from."""
    del dataset
    names = _names(results[LABELS])
    tested = {
        key: _with_truth(results["clf"].table(key), results[LABELS], key)
        for key, table in results["ltmpl"].tables()
        if "test" in set(table["split"].drop_nulls())
    }
    evaluation = evaluate(tested, names)
    drawn = {str(key): table.filter(pl.col("perspective") == 0) for key, table in tested.items()}
    classes = [names[number] for number in evaluation.classes]
    title = "Held-out recordings"
    table = confusion(evaluation.confusion, classes, title=title)
    outputs = [
        (table, "held_out_confusion", "png"),
        (ethogram_pairs(drawn, drawn, title, names=names), "held_out_ethogram", "png"),
        (evaluation.per_class.write_csv().encode(), "held_out", "csv"),
    ]
    return StepOutput(outputs=outputs, metadata={"recordings": len(tested)} | evaluation.scores)


def draw_tracks(dataset: Dataset, results: Results) -> StepOutput:
    """Where the animals of each recording were."""
    tables = {str(key): table for key, table in results["tracks"].tables()}
    picture = draw_trajectories(tables, dataset.manifest.unit or "", column="id")
    return StepOutput(outputs=[(picture, "trajectories", "png")])


def draw_diagram(
    dataset: Dataset, results: Results, steps: Mapping[str, Sequence[str]], kinds: Mapping[str, str]
) -> StepOutput:
    """The steps of the pipeline, and what each reads."""
    del results
    picture = diagram(steps, kinds, f"Steps on {dataset.name!r}")
    return StepOutput(outputs=[(picture, "diagram", "png")])


def _joined(results: Results) -> Iterator[pl.DataFrame]:
    """Map, cluster, prediction and label of each frame and pair, recording by recording."""
    names = [name for name in results if name not in ("tsne", LABELS)]
    for key, table in results["tsne"].tables():
        joined = _with_truth(table, results[LABELS], key)
        for name in names:
            other = results[name].table(key)
            value = "predicted_label" if "predicted_label" in other.columns else "cluster"
            chosen = other.select(*PAIR, pl.col(value).alias(value))
            joined = joined.join(chosen, on=PAIR, how="left")
        yield joined.drop("fps", "time", strict=False)


def _behavior(labels: StepResult, key: EntryKey) -> Labels | None:
    found = labels.labels(key)
    return found if isinstance(found, Labels) else None


def _names(labels: StepResult) -> dict[int, str]:
    names: dict[int, str] = {}
    for key in labels.keys():  # noqa: SIM118 - a result, not a mapping
        found = _behavior(labels, key)
        names |= {} if found is None else found.label_map
    return names


def _sizes(result: StepResult) -> pl.DataFrame:
    counted = [
        table.drop_nulls("cluster")
        .group_by("cluster")
        .len("count")
        .select(pl.lit(key.group or key.sequence).alias("group"), "cluster", "count")
        for key, table in result.tables()
    ]
    return pl.concat(counted).group_by("group", "cluster").agg(pl.col("count").sum()).sort(
        "group", "cluster"
    )  # fmt: skip


def _with_truth(table: pl.DataFrame, labels: StepResult, key: EntryKey) -> pl.DataFrame:
    return table.with_columns(align_labels(table, _behavior(labels, key)).labels.alias("label"))
