"""A behaviour classifier: tried on whole recordings that it has not seen, kept for the feature."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline, TrainingStep
from mosaic_dagster.dataset import Labels
from mosaic_dagster.errors import FitError, ParamsError, ReplayError, ScopeError
from mosaic_dagster.features import StepRef, feature_columns
from mosaic_dagster.features.library.classification import TrainedClassifier
from mosaic_dagster.models.behavior_classifier import train_behavior_classifier
from mosaic_dagster.models.replayable import as_estimator
from mosaic_dagster.pipeline.training import read_trained, training_files
from mosaic_dagster.store import StepOutput, WorkspaceStore
from mosaic_dagster.store.chains.replay import predict_chain

FAST = {"estimator": "logistic_regression", "features": "values"}
PNG = b"\x89PNG"


class Named:
    name = "toy"


def train(features: Any, labels: Any, /, **params: Any) -> StepOutput:
    results = {"values": features, "labels/behavior": labels}
    dataset: Any = Named()
    return train_behavior_classifier(dataset, results, **{**FAST, **params})


def metrics_of(output: StepOutput) -> Any:
    return json.loads(output.files()["metrics.json"])


def test_every_labelled_frame_of_every_recording_is_scored_once(toys: Any) -> None:
    """4 recordings of 55 labelled frames are 220, though only 40 rows were learned from.

    The value 10 · class tells classes apart without fail, so all are right.
    """
    output = train(*toys(4), n_folds=2, max_train_rows=40)
    found = metrics_of(output)
    assert found["labelled"] == 220
    assert found["rows"] == 4 * 120
    assert found["accuracy"] == found["f1_macro"] == found["bout_f1_macro"] == 1.0
    assert found["classes"]["8"]["support"] == 60
    assert sum(found["training"]["sampled"].values()) == 40
    assert found["training"]["labelled"] == {"1": 80, "3": 80, "8": 60}
    assert output.metadata["rows sampled for training"] == 40
    assert output.metadata["labelled rows"] == 220


def test_no_recording_is_tried_by_a_model_that_saw_it(toys: Any) -> None:
    """A recording on both sides would make every score too good."""
    for by in ("entry", "group", "stratified"):
        found = metrics_of(train(*toys(4), n_folds=2, by=by))
        assert sorted(key for fold in found["folds"] for key in fold["test"]) == [
            "g0/s0", "g0/s2", "g1/s1", "g1/s3",
        ]  # fmt: skip
        for fold in found["folds"]:
            assert not set(fold["train"]) & set(fold["test"])
            if by == "group":
                assert len({key.split("/")[0] for key in fold["test"]}) == 1


def test_unlabelled_frames_are_neither_learned_nor_scored(toys: Any) -> None:
    """The second animal and the last five frames are spoiled; nothing changes but their rows."""
    features, labels = toys(4)
    before = metrics_of(train(features, labels, n_folds=2))
    spoiled = (pl.col("id") == 1) | (pl.col("frame") >= 55)
    value = pl.when(spoiled).then(-999.0).otherwise(pl.col("value")).alias("value")
    features.values = {key: table.with_columns(value) for key, table in features.values.items()}
    after = metrics_of(train(features, labels, n_folds=2))
    assert after == before


def test_predictions_say_which_rows_they_are_of(toys: Any) -> None:
    """Two recordings of 120 rows: row 120 is the first of the second one.

    Animal 0 has the even rows, and 55 of them have labels.
    """
    output = train(*toys(2), n_folds=2)
    (chain,) = output.chains
    per_entry = pl.read_parquet(io.BytesIO(output.files()["per_entry.parquet"]))
    assert per_entry["first_row"].to_list() == [0, 120]
    for row in chain.predictions:
        where = per_entry.filter(pl.col("fold") == row["fold_id"]).row(0, named=True)
        arrays = row["arrays"]
        assert arrays["sample_indices"].tolist() == [
            where["first_row"] + 2 * frame for frame in range(55)
        ]
        assert arrays["y_true"].tolist() == arrays["y_pred"].tolist()
        assert arrays["y_proba"].shape == (55, 3)
        assert (row["metric"], row["val_score"], row["n_samples"]) == ("f1_macro", 1.0, 55)


def test_the_kept_model_is_what_the_classifier_feature_reads(toys: Any) -> None:
    """It learned from all recordings, and keeps its classes 1, 3, 8 and its default class."""
    output = train(*toys(2), default_class=3)
    files = training_files(output)
    trained = TrainedClassifier.decode(files["artifacts/classifier.skops"])
    assert trained.classes.tolist() == [1, 3, 8]
    assert trained.columns == ("flat", "value")
    assert trained.counts.tolist() == [40, 40, 30]
    values = np.array([[0.0, 10.0], [0.0, 80.0], [np.nan, np.nan]])
    assert trained.decide(trained.probabilities(values)).tolist() == [1, 8, 3]


@pytest.mark.slow
def test_the_same_training_has_the_same_bytes(toys: Any) -> None:
    """Else everything below it is made again whenever somebody forces a training."""
    asked = {"estimator": "hist_gradient_boosting", "n_estimators": 5}
    first, second = (train(*toys(2), **asked) for _ in range(2))
    assert training_files(first) == training_files(second)
    assert first.files() == second.files()


def test_files_for_people_are_there(toys: Any) -> None:
    files = train(*toys(2), prefix="stack_").files()
    assert sorted(files) == [
        f"stack_{name}"
        for name in (
            *("confusion.png", "ethogram.png", "metrics.json"),
            *("per_class.csv", "per_class.parquet", "per_entry.parquet"),
        )
    ]
    assert files["stack_confusion.png"].startswith(PNG)
    assert files["stack_ethogram.png"].startswith(PNG)
    table = pl.read_parquet(io.BytesIO(files["stack_per_class.parquet"]))
    assert table["name"].to_list() == ["rest", "walk", "rear"]


def test_a_class_that_a_fold_never_saw_is_noted_and_no_score_is_invented(toys: Any) -> None:
    """Only the first recording rears: whoever is tried on it has not learned it, recall 0.

    Class 9 is named and never labelled: no score at all. A threshold for it stops nothing.
    """
    features, labels = toys(2)
    names = {1: "rest", 3: "walk", 8: "rear", 9: "jump"}
    first, second = features.keys()
    whole = labels.values[first]
    labels.values[first] = Labels(whole.events, names)
    labels.values[second] = Labels(whole.events.filter(pl.col("label") != 8), names)
    output = train(features, labels, decision_threshold={8: 0.1, 9: 0.5})
    found = metrics_of(output)
    assert "class 8 (rear) has no frame to train fold_" in output.metadata["notes"]
    assert found["classes"]["8"]["recall"] == 0.0
    assert found["classes"]["9"]["f1"] is None
    assert found["classes"]["9"]["average_precision"] is None
    assert "f1 jump" not in output.metadata


def test_explicit_splits_and_too_few_recordings(toys: Any) -> None:
    """Three recordings asked for five folds get three, and it is said."""
    output = train(*toys(3))
    assert output.metadata["folds"] == 3
    assert "3 folds instead of 5: 3 labelled recordings" in output.metadata["notes"]
    split = {"g0/s0": "test", "g1/s1": "train", "g0/s2": "train"}
    (fold,) = metrics_of(train(*toys(3), split=split))["folds"]
    assert fold["test"] == ["g0/s0"]
    with pytest.raises(ScopeError, match="does not name 'g0/s2'"):
        train(*toys(3), split={"g0/s0": "test", "g1/s1": "train"})
    with pytest.raises(FitError, match="1 labelled recordings"):
        train(*toys(1))


def test_wrong_settings_say_what_is_wrong(toys: Any) -> None:
    with pytest.raises(ParamsError, match="max_dpeth is not a known name"):
        train(*toys(2), max_dpeth=3)
    with pytest.raises(ParamsError, match="default_class is 2"):
        train(*toys(2), default_class=2)
    features, labels = toys(2)
    ones = Labels.per_frame([1] * 60, {1: "rest"}, id1=0)
    labels.values = dict.fromkeys(features.keys(), ones)
    with pytest.raises(FitError, match=r"fold_0: .*only class 1.*by='stratified'"):
        train(features, labels)


def noisy(toys: Any) -> Any:
    """Recordings whose classes overlap, so that estimators are of different minds."""
    features, labels = toys(2)
    rng = np.random.default_rng(0)
    for key, table in features.values.items():
        features.values[key] = table.with_columns(
            value=table["value"] + pl.Series(rng.normal(0.0, 25.0, table.height)),
            flat=pl.Series(rng.normal(0.0, 1.0, table.height)),
        )
    return features, labels


@pytest.mark.parametrize(
    "estimator", ["hist_gradient_boosting", "random_forest", "logistic_regression", "mlp"]
)
def test_the_estimators_of_the_folds_say_what_the_classifier_says(
    toys: Any, estimator: str
) -> None:
    """A chain that is replayed must not answer with the numbers 0, 1, 2 for 1, 3, 8."""
    small = {"n_estimators": 5} if estimator in ("hist_gradient_boosting", "random_forest") else {}
    output = train(*noisy(toys), estimator=estimator, class_weight=None, **small)
    files = training_files(output)
    trained = TrainedClassifier.decode(files["artifacts/classifier.skops"])
    values = np.random.default_rng(1).normal(20.0, 30.0, (50, 2))
    model = as_estimator(trained)
    assert model.classes_.tolist() == [1, 3, 8]
    expected = trained.probabilities(values)
    assert model.predict(values).tolist() == trained.decide(expected).tolist()
    assert model.predict_proba(values) == pytest.approx(expected, abs=1e-9)


def test_one_against_the_rest_is_scored_and_not_replayed(toys: Any) -> None:
    """Answers that were never scored are worse than none.

    What is kept of a fold is a classifier that the feature reads, class by class as it was scored.
    """
    output = train(*noisy(toys), strategy="one_vs_rest")
    (chain,) = output.chains
    stored = {"steps": chain.steps, "model_step_idx": 0, "fold_artifacts": chain.fold_artifacts}
    values = np.random.default_rng(1).normal(20.0, 30.0, (5, 2))
    with pytest.raises(ReplayError, match="one_vs_rest of LogisticRegression"):
        predict_chain(stored, lambda name: output.artifacts[name][0], values)
    files = training_files(output)
    fold = TrainedClassifier.decode(files["artifacts/classifier_fold_0.skops"])
    assert fold.strategy == "one_vs_rest"
    with pytest.raises(ReplayError, match="multiclass"):
        as_estimator(fold)


def test_what_was_left_out_is_told(toys: Any) -> None:
    """Scores of three recordings must not be taken for those of four."""
    features, labels = toys(4)
    lost = EntryKey("g1", "s3")
    labels.values[lost] = Labels.per_frame([1, 3], {1: "rest", 3: "walk"}, id1=99)
    output = train(features, labels, background=0)
    assert "excluded: g1/s3 (their labels match no row)" in metrics_of(output)["notes"]
    assert output.metadata["recordings whose labels match no row"] == "g1/s3"
    assert metrics_of(output)["classes"]["0"]["name"] == "background"


def test_a_class_lost_by_sampling_is_blamed_on_sampling(toys: Any) -> None:
    """Label more, somebody would read, though the labels were there.

    Of 3 rows each class has one; whichever fold is without it has seen none.
    """
    with pytest.raises(FitError, match=r"no row of them was sampled[.] Raise max_train_rows"):
        train(*toys(4), n_folds=2, max_train_rows=3)
    notes = train(*toys(4), n_folds=4, max_train_rows=5).metadata["notes"]
    assert "since none of its frames was sampled; raise max_train_rows" in notes


def test_a_threshold_for_a_class_that_is_not_is_refused(toys: Any) -> None:
    """A mistyped class would silently have no threshold."""
    with pytest.raises(ParamsError, match=r"names 77, which is no class.*3 \(walk\)"):
        train(*toys(2), decision_threshold={77: 0.5})


def test_mistyped_inputs_and_folds_say_what_is_right(toys: Any) -> None:
    with pytest.raises(ParamsError, match=r"features is 'value'.*'values'.*labels/behavior"):
        train(*toys(2), features="value")
    with pytest.raises(ParamsError, match=r"labels is 'behavior'.*inputs are: values"):
        train(*toys(2), labels="behavior")
    with pytest.raises(ParamsError, match=r"n_folds is '2'.*whole number"):
        train(*toys(2), n_folds="2")
    with pytest.raises(ParamsError, match=r"split is .*mapping"):
        train(*toys(2), split=["g0/s0", "g1/s1"])
    with pytest.raises(ParamsError, match=r"split is .*mapping"):
        train(*toys(2), split={EntryKey("g0", "s0"): "test"})
    with pytest.raises(ParamsError, match="assigned to"):
        train(*toys(2), split={"g0/s0": ["test"], "g1/s1": "train"})


@pytest.mark.slow
def test_in_a_pipeline_it_trains_once_and_the_feature_takes_the_model(tmp_path: Any) -> None:
    """Animals that rest or run: trained, remembered, replayed, and applied to the recordings."""
    dataset = Dataset.create(tmp_path / "w", name="toy", meta={"fps_default": 10.0})
    runs = np.tile(np.repeat([0.0, 5.0], 20), 3)
    for number in range(4):
        key = EntryKey("g", f"s{number}")
        x = np.cumsum(runs) + 0.01 * number
        rows = {"frame": range(len(x)), "id": 0, "X": x, "Y": 0.0}
        dataset.add_tracks(key, pl.DataFrame(rows))
        labels = Labels.per_frame((runs > 0).astype(int), {0: "rest", 1: "run"}, id1=0)
        dataset.add_labels(key, labels)
    params = {"features": "speed", "n_folds": 2, "estimator": "logistic_regression"}
    model = StepRef("behavior", "artifacts/classifier.skops")
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("speed", "speed-angvel", {}))
        .add(
            TrainingStep(
                "behavior", train_behavior_classifier, ["speed", "labels/behavior"], params=params
            )
        )
        .add(FeatureStep("predicted", "classifier", {"model": model}, ["speed"]))
    )
    results = pipeline.run(dataset)
    trained = read_trained(results["behavior"].artifacts())
    assert trained is not None
    assert set(trained.scores()["metric"]) == {"f1_macro"}
    table = results["predicted"].table("g/s0")
    truth = pl.Series((runs > 0).astype(int))
    assert (table["predicted_label"] == truth).mean() > 0.9
    with WorkspaceStore(dataset.path) as store:
        best = store.top_predictions(1)
        answers = store.replay_chain(best["chain_id"][0], _values(results["speed"].table("g/s0")))
        assert (answers == truth.to_numpy()[1:-1]).mean() > 0.9
        assert not any(store.verify(hashes=True).values())
    assert pipeline.plan(dataset)["n_to_compute"].sum() == 0


def _values(table: pl.DataFrame) -> Any:
    """Values of all frames but the first and the last, which have no speed."""
    return table.select(feature_columns(table)).to_numpy()[1:-1]
