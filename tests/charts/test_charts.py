"""Pictures are valid, the same for the same table, and there is one for every table."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from mosaic_dagster.charts import (
    cluster_sizes,
    confusion,
    diagram,
    ethogram,
    ethogram_pairs,
    map_2d,
    quick_lines,
    trajectories,
)
from mosaic_dagster.errors import MissingColumnError

SCHEMA = {
    "frame": pl.Int64, "time": pl.Float64, "id": pl.Int64, "X": pl.Float64, "Y": pl.Float64,
    "cluster": pl.Int64, "group": pl.String, "sequence": pl.String,
}  # fmt: skip


def table(clusters: list[int | None], frames: list[int] | None = None) -> pl.DataFrame:
    """One animal on the line X = frame, Y = 2 frame, at 10 frames per second."""
    frames = list(range(len(clusters))) if frames is None else frames
    rows = [
        (f, f / 10, 0, float(f), 2.0 * f, c, "g", "s")
        for f, c in zip(frames, clusters, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def counts(rows: list[tuple[int | None, str, int]]) -> pl.DataFrame:
    schema = {"cluster": pl.Int64, "group": pl.String, "count": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def pairs(truth: pl.DataFrame, prediction: pl.DataFrame) -> tuple[object, ...]:
    return ({"a": truth}, {"a": prediction}, "title", "cluster", "cluster")


EMPTY, ONE = table([]), table([3])
NULLS, GAPS = table([None, 1, None]), table([0, 1, 1, None, 2], [0, 1, 5, 6, 9])
UNPLACED = GAPS.with_columns(X=pl.lit(float("nan")))
TABLES = {"empty": EMPTY, "one row": ONE, "nulls": NULLS, "all null": table([None] * 3),
          "gaps": GAPS, "unplaced": UNPLACED}  # fmt: skip

PICTURES = {
    **{f"trajectories {n}": (trajectories, ({"a": t}, "mm")) for n, t in TABLES.items()},
    "trajectories of nothing": (trajectories, ({},)),
    "trajectories of five": (trajectories, ({str(i): GAPS for i in range(5)},)),
    **{f"ethogram {n}": (ethogram, ({"a": t, "b": GAPS},)) for n, t in TABLES.items()},
    "ethogram of nothing": (ethogram, ({},)),
    "ethogram of one": (ethogram, ({"a": ONE},)),
    **{f"pairs {n}": (ethogram_pairs, pairs(t, GAPS)) for n, t in TABLES.items()},
    "pairs of nothing": (ethogram_pairs, ({}, {})),
    "pairs without prediction": (ethogram_pairs, ({"a": GAPS}, {}, "", "cluster")),
    **{f"map {n}": (map_2d, (t, "X", "Y", ["cluster", "time"])) for n, t in TABLES.items()},
    "map of infinities": (map_2d, (GAPS.with_columns(c=float("inf")), "X", "Y", "c")),
    **{f"lines {n}": (quick_lines, (t, ["X", "Y"], "title")) for n, t in TABLES.items()},
    "lines of no column": (quick_lines, (GAPS, [])),
    "lines without time": (quick_lines, (GAPS.drop("time"), ["X"] * 3)),
    "sizes of nothing": (cluster_sizes, (counts([]),)),
    "sizes of one": (cluster_sizes, (counts([(0, "g", 5)]),)),
    "sizes of none": (cluster_sizes, (counts([(None, "g", 0)]),)),
    "sizes": (cluster_sizes, (counts([(0, "g", 5), (1, "g", 3), (1, "h", 2)]),)),
    "sizes of many groups": (cluster_sizes, (counts([(0, str(i), i) for i in range(70)]),)),
    "confusion of one": (confusion, (np.zeros((1, 1)), ["a"])),
    "confusion of no share": (confusion, (np.zeros((2, 3)), "ab", "xyz")),
    "diagram of nothing": (diagram, ({},)),
    "diagram": (diagram, ({"b": ["a"], "c": ["a", "b"]}, {"b": "tag"}, "t", ["c"])),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_table_has_a_picture_with_bytes_that_depend_on_it_alone(name):
    """A run must not fail at its end on the picture of an odd recording, nor its picture change
    when nothing did."""
    draw, given = PICTURES[name]
    picture = draw(*given)
    pixels = imread(io.BytesIO(picture))
    assert pixels.ndim == 3
    assert min(pixels.shape[:2]) > 50
    assert draw(*given) == picture


OTHERS = {
    "ethogram": [(ethogram, ({"a": table(c)},)) for c in ([0, 1], [1, 0])],
    "pairs": [(ethogram_pairs, pairs(table([0, 1]), table(c))) for c in ([0, 1], [0, 0])],
    "trajectories": [(trajectories, ({"a": table(c)},)) for c in ([0, 1, 1], [1, 0, 0])],
    "map": [(map_2d, (table(c), "X", "Y", "cluster")) for c in ([0, 1, 1], [1, 0, 0])],
    "confusion": [(confusion, (np.array(c), "ab")) for c in ([[1, 0], [0, 1]], [[0, 1], [1, 0]])],
    "sizes": [(cluster_sizes, (counts([(0, "g", a), (1, "g", b)]),)) for a, b in ([5, 3], [3, 5])],
    "diagram": [(diagram, ({"b": ["a"], "c": [need]},)) for need in "ab"],
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_values_give_another_picture(name):
    """Else people look at a picture of something else."""
    first, second = (draw(*given) for draw, given in OTHERS[name])
    assert first != second


LACKING = {
    "trajectories": (trajectories, ({"arena": GAPS.drop("Y")},), "'arena'", "'Y'"),
    "ethogram": (ethogram, ({"dish": GAPS.drop("cluster")},), "'dish'", "'cluster'"),
    "pairs": (ethogram_pairs, ({"dish": GAPS}, {"dish": GAPS}), "truth of 'dish'", "'label'"),
    "prediction": (
        ethogram_pairs, ({}, {"dish": GAPS}), "prediction of 'dish'", "'predicted_label'",
    ),
    "map": (map_2d, (GAPS, "tsne_x", "Y", "cluster"), "map", "'tsne_x'"),
    "lines": (quick_lines, (GAPS, ["speed"]), "table", "'speed'"),
    "sizes": (cluster_sizes, (GAPS,), "sizes", "'count'"),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_a_missing_column_is_named_with_its_place(name):
    """Else a callback fails with the words of another library and nobody knows which table."""
    draw, given, place, column = LACKING[name]
    with pytest.raises(MissingColumnError) as caught:
        draw(*given)
    assert place in caught.value.what
    assert column in caught.value.what
    assert "it has: frame, " in caught.value.what
