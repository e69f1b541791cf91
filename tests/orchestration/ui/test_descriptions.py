"""What assets say of themselves: what it is, with which parameters, from what, what next."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl
import pytest

from mosaic_dagster import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.dataset import DatasetDeclaration
from mosaic_dagster.features import StepRef, get_feature, list_features
from mosaic_dagster.orchestration.column_words import Recordings, column_words, told_schema
from mosaic_dagster.orchestration.declared import (
    declared_callback,
    declared_labels,
    declared_model,
    declared_predictions,
    declared_report,
    declared_step,
    declared_tracks,
    measures,
    table_schemas,
)
from mosaic_dagster.orchestration.docstrings import field_words, notes_of, told_of

MICE = Recordings("px", ("nose", "tail"))


def learn(dataset: Any, results: Any, **params: Any) -> None:
    """Says nothing new.

    Parameters
    ----------
    dataset
        Not for people who look.
    """


def study(keypoints: tuple[str, ...] = ("nose", "tail")) -> Study:
    """Speeds of two keypoints, scaled by templates of themselves, a training and a picture."""
    pipeline = (
        Pipeline(name="moving", description="How they move.")
        .add(FeatureStep("smooth", "trajectory-smooth", {"savgol_window": 5}))
        .add(FeatureStep("kinematics", "speed-angvel", {}, ["smooth"]))
        .add(FeatureStep("tmpl", "extract-templates", {"n_templates": 10}, ["kinematics"]))
        .add(
            FeatureStep(
                "scaled",
                "global-scaler",
                {"templates": StepRef("tmpl", "templates.parquet")},
                ["kinematics"],
                description="Even units.",
            )
        )
        .add(CallbackStep("pictures", learn, ["tracks", "labels/behavior"], params={"size": 3}))
        .add(TrainingStep("models", learn, ["scaled"]))
    )  # fmt: skip
    return Study(DatasetDeclaration("mice", 30.0, "px", keypoints), [pipeline])


@pytest.fixture
def mice() -> tuple[Study, Pipeline, dict[str, Any]]:
    made = study()
    (pipeline,) = made.pipelines
    return made, pipeline, {step.name: step for step in pipeline.steps}


def test_a_step_says_what_it_is_and_how_it_is_set(mice: Any) -> None:
    """Without it a reader of the page must find the feature's source, and guess its defaults."""
    made, pipeline, steps = mice
    told = declared_step(made, pipeline, steps["smooth"])
    text = told.description
    assert text.startswith("Tracks with jumps taken out, holes filled and coordinates smoothed.\n")
    assert "Feature `trajectory-smooth`, version" in text
    assert "Reads the tracks." in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows[0].startswith("| `savgol_window` | `5` | Odd window in rows")
    assert any(row.startswith("| `max_gap` | none (default) | Longest hole") for row in rows)
    assert "| `fps` | that of the dataset (default) |" in text
    assert "`mosaic why smooth --entry KEY`" in text
    assert told.metadata["feature"] == "trajectory-smooth"
    assert told.metadata["parameters"].value == {"savgol_window": 5}


def test_tags_find_what_belongs_together(mice: Any) -> None:
    """`tag:"mosaic/feature"=speed-angvel` in the catalogue: every place where speeds are made."""
    made, pipeline, steps = mice
    assert declared_step(made, pipeline, steps["kinematics"]).tags == {
        "mosaic/dataset": "mice", "mosaic/pipeline": "moving", "mosaic/step": "kinematics",
        "mosaic/what": "step", "mosaic/feature": "speed-angvel", "mosaic/category": "per-frame",
    }  # fmt: skip
    assert declared_model(made, pipeline, steps["tmpl"]).tags["mosaic/what"] == "model"
    assert declared_callback(made, pipeline, steps["models"]).tags["mosaic/what"] == "model"
    assert declared_labels(made, "who did it?").tags["mosaic/labels"] == "who_did_it_"


def test_all_tags_are_what_dagster_takes(mice: Any) -> None:
    """A tag with a wrong letter keeps the whole code location from loading."""
    made, pipeline, steps = mice
    for told in (
        declared_tracks(made), declared_labels(made, "a/b c" * 30), declared_report(made, pipeline),
        declared_step(made, pipeline, steps["scaled"]),
        declared_predictions(made, pipeline, steps["models"]),
    ):  # fmt: skip
        assert dg.AssetSpec("x", tags=told.tags).tags == told.tags


def test_the_first_line_is_plain(mice: Any) -> None:
    """Lists of assets show it as it is: stars and backticks there look like a mistake."""
    made, pipeline, steps = mice
    firsts = [
        told.description.partition("\n")[0]
        for told in (
            declared_tracks(made), declared_labels(made, "behavior"),
            declared_report(made, pipeline), declared_step(made, pipeline, steps["scaled"]),
            declared_model(made, pipeline, steps["scaled"]),
            declared_callback(made, pipeline, steps["pictures"]),
            declared_predictions(made, pipeline, steps["models"]),
        )
    ]  # fmt: skip
    assert all(first and not set(first) & set("*`#|") for first in firsts), firsts
    assert firsts[3] == "Even units."


def test_the_tracks_say_how_to_find_an_animal(mice: Any) -> None:
    """'Mouse 2 in session 3' is a partition and an id; and what was made of it is elsewhere."""
    text = declared_tracks(mice[0]).description
    assert "the column `id`" in text
    assert "**unit** px" in text
    assert "`mice/moving/report`" in text


def test_the_report_is_the_way_through_a_pipeline(mice: Any) -> None:
    """Each step with its feature and a sentence, in the order in which they are made."""
    made, pipeline, _ = mice
    text = declared_report(made, pipeline).description
    assert "How they move." in text
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [line[0] for line in lines] == [f"| `{step.name}`" for step in pipeline.steps]
    assert [line[1] for line in lines][-2:] == ["own code", "training"]


def test_a_callback_shows_its_parameters_and_no_numpydoc(mice: Any) -> None:
    """A heading made of a docstring's dashes is not for people who look."""
    made, pipeline, steps = mice
    text = declared_callback(made, pipeline, steps["pictures"]).description
    assert "Says nothing new." in text
    assert "| `size` | `3` |" in text
    assert "Not for people" not in text
    assert "Reads the tracks, `labels/behavior`." in text


def test_columns_are_known_before_anything_is_made(mice: Any) -> None:
    """Two keypoints give four coordinates; a scaler's columns have lost their unit."""
    made, pipeline, steps = mice
    schemas = table_schemas(made, pipeline)
    assert schemas["tracks"].names() == [
        "frame", "time", "id", "X", "Y", "poseX0", "poseY0", "poseX1", "poseY1", "fps", "group",
        "sequence",
    ]  # fmt: skip
    assert {"speed", "vx", "vy"} <= set(schemas["kinematics"])
    assert "angvel" not in schemas["kinematics"]

    def words(step: str) -> dict[str, str | None]:
        shown = declared_step(made, pipeline, steps[step]).metadata["dagster/column_schema"]
        return {column.name: column.description for column in shown.columns}

    assert words("kinematics")["speed"] == "speed (px/s)"
    assert words("scaled")["speed"] is None
    assert words("scaled")["frame"] == "number of the frame in the recording"


def test_nothing_is_said_of_columns_that_nobody_declared() -> None:
    """A dataset without keypoints is known when it is read, not before."""
    made = study(())
    assert table_schemas(made, made.pipelines[0]) == {}
    assert "dagster/column_schema" not in declared_tracks(made).metadata


def test_what_measures_is_what_no_fit_stands_above(mice: Any) -> None:
    """'speed (px/s)' beside a speed in standard deviations is worse than nothing."""
    graph = mice[1].graph()
    found = {name: measures(graph, name) for name in ("smooth", "kinematics", "scaled")}
    assert found == {"smooth": True, "kinematics": True, "scaled": False}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("poseX0", "nose: x (px)"),
        ("poseP1", "tail: confidence"),
        ("poseY7", "keypoint 7: y (px)"),
        ("A_v_para", "motion of the focal animal, along and across its heading (px/s)"),
        ("B_ang_speed", "turning rate of its partner (rad/s)"),
        ("cluster", "cluster of the row; empty where there is none"),
        ("my_own", None),
    ],
)
def test_words_of_columns(column: str, words: str | None) -> None:
    """The unit is that of the dataset, the name that of its keypoint, and a guess is not made."""
    assert column_words(column, MICE) == words


def test_without_recordings_nothing_measured_is_told() -> None:
    """Where a column may have been scaled, only its kind is sure."""
    assert column_words("speed") is None
    assert column_words("id1") == "the focal individual of the pair"
    assert column_words("X", Recordings()) == "centre of the individual (unit of the tracks)"


def test_a_wide_table_shows_its_first_columns() -> None:
    """3,000 columns on one event are a page that does not open, stored twice."""
    schema = pl.Schema({f"c{k}": pl.Float64() for k in range(3000)})
    assert len(told_schema(schema).columns) == 300


class Plain:
    """One sentence with ``code`` and :class:`~a.b.Other`.

    Notes
    -----
    Of interest.
    """


def test_docstrings_as_markdown() -> None:
    """Roles and double backticks would be shown as they are."""
    assert told_of(Plain) == "One sentence with `code` and `a.b.Other`."
    assert notes_of(Plain) == "Of interest."
    assert notes_of(learn) == ""


def test_every_parameter_of_the_library_is_explained() -> None:
    """A table of parameters with empty cells sends people to the source."""
    silent = {}
    for name in list_features():
        params = get_feature(name).Params
        missing = set(params.model_fields) - set(field_words(params))
        if missing and not name.startswith("toy-"):
            silent[name] = sorted(missing)
    assert silent == {}
