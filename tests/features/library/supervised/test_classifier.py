"""classifier: predictions that lose a pair, a class or a gap are worse than none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features import ArtifactSpec, NpzLoadSpec, ParquetLoadSpec, StepRef
from mosaic_dagster.features.library.supervised.classifier import Classifier
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
MODEL = StepRef("train", "artifacts/classifier.skops")
FAST = {
    "hist_gradient_boosting": {"n_estimators": 5},
    "random_forest": {"n_estimators": 5},
    "logistic_regression": {},
    "mlp": {"hidden_layer_sizes": (8,), "learning_rate": 0.05},
}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def template_table() -> pl.DataFrame:
    """Class 1 around (0, 0), class 3 around (9, 9); 40 rows to train, 8 to test, 10 unlabelled."""
    rng = np.random.default_rng(0)
    label = np.array([1, 3])[np.arange(58) % 2]
    values = rng.normal(size=(58, 2)) + 4.5 * (label - 1)[:, None]
    split = ["train"] * 40 + ["test"] * 8 + ["train"] * 10
    table = pl.DataFrame({"a": values[:, 0], "b": values[:, 1], "label": label, "split": split})
    labelled = pl.int_range(pl.len()) < 48
    return table.with_columns(label=pl.when(labelled).then(pl.col("label")))


def write(folder: Path, table: pl.DataFrame) -> dict[str, Path]:
    path = folder / "templates.parquet"
    path.write_bytes(encode_table(table))
    return {"templates": path}


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    return write(tmp_path, template_table())


def params(**given: object) -> dict[str, object]:
    name = given.get("estimator", "hist_gradient_boosting")
    return {"templates": REF, "default_class": 7, **FAST[name], **given}


def fitted(files: dict[str, Path], **given: object) -> Classifier:
    feature = make_ready(Classifier(params=params(**given)), files)
    assert isinstance(feature, Classifier)
    return feature


def saved(feature: Classifier, folder: Path) -> Path:
    folder.mkdir()
    feature.save_state(folder)
    return folder


@pytest.mark.parametrize("estimator", sorted(FAST))
def test_contract_and_classes(templates, estimator):
    """Rows at the two centres are theirs; a row without values is the default class 7."""
    table = toy_values({"a": [0.0, 9.0, np.nan], "b": [0.0, 9.0, np.nan], "other": [1, 2, 3]})
    result = check_feature(Classifier, table, params(estimator=estimator), state_from=templates)
    values = ["prob_1", "prob_3", "predicted_label"]
    assert result.columns == ["frame", "time", "id", *values, "fps", "group", "sequence"]
    assert result["predicted_label"].to_list() == [1, 3, 7]
    assert np.isnan(result.select("prob_1", "prob_3").row(2)).all()
    np.testing.assert_allclose(result["prob_1"][:2] + result["prob_3"][:2], 1.0)


def test_pairs_keep_their_ids_and_can_be_joined(templates):
    """Without the ids, the rows of different pairs in one frame could not be told apart."""
    pair = {"id1": 4, "id2": 2, "perspective": 1}
    table = toy_values({"a": [0.0, 9.0], "b": [0.0, 9.0]}, identity=pair)
    result = check_feature(Classifier, table, params(), state_from=templates)
    assert result.columns[:5] == ["frame", "time", "id1", "id2", "perspective"]
    with pytest.raises(FeatureError, match="more than one row for id1 4, id2 2, perspective 1"):
        fitted(templates).apply(pl.concat([table, table]))
    other = pl.concat([table, table.with_columns(id1=pl.lit(2, pl.Int64), id2=pl.lit(4, pl.Int64))])
    assert fitted(templates).apply(other).height == 4


def test_frames_may_have_gaps_and_rows_any_order(templates):
    table = toy_values({"a": [0.0, 9.0, 0.0], "b": [0.0, 9.0, 1.0]})
    table = table.with_columns(frame=pl.Series([90, 4, 17]))
    result = fitted(templates).apply(table)
    assert result["frame"].to_list() == [90, 4, 17]
    assert result["predicted_label"].to_list() == [1, 3, 1]


@pytest.fixture(scope="module")
def forests(tmp_path_factory) -> list[Classifier]:
    """One fitted feature of each estimator."""
    files = write(tmp_path_factory.mktemp("forests"), template_table())
    return [fitted(files, estimator=estimator) for estimator in sorted(FAST)]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 9))
def test_a_row_does_not_depend_on_the_others(forests, order, n):
    rng = np.random.default_rng(1)
    table = toy_values({"a": rng.normal(4, 5, 9), "b": rng.normal(4, 5, 9)})
    for feature in forests:
        whole = feature.apply(table)
        some = list(order)[:n]
        assert feature.apply(table[some]).equals(whole[some])


def test_long_recordings_are_predicted_as_short_ones(templates, monkeypatch):
    """Rows are taken in blocks; where a block ends must not show."""
    feature = fitted(templates)
    values = np.linspace(-3, 12, 100)
    table = toy_values({"a": values, "b": values[::-1]})
    whole = feature.apply(table)
    module = sys.modules[Classifier.__module__]
    monkeypatch.setattr(module, "_BLOCK_VALUES", 14)
    assert feature.apply(table).equals(whole)


def test_infinite_values_are_missing_values(templates):
    table = toy_values({"a": [np.inf, np.nan], "b": [9.0, 9.0]})
    made = fitted(templates).apply(table)
    assert made["prob_3"][0] == made["prob_3"][1]
    linear = fitted(templates, estimator="logistic_regression").apply(table)
    assert linear["predicted_label"].to_list() == [7, 7]


def test_only_labelled_training_rows_are_trained_on(templates):
    """40 of 58: 20 of each class; the 10 unlabelled ones and the 8 for testing are no part."""
    assert fitted(templates).state_notes()["n_train"] == {"1": 20, "3": 20}


def test_without_splits_everything_labelled_is_trained_on(tmp_path):
    feature = fitted(write(tmp_path, template_table().drop("split")))
    notes = feature.state_notes()
    assert notes["n_train"] == {"1": 24, "3": 24}
    assert (notes["n_test"], notes["accuracy"], notes["macro_f1"]) == (0, None, None)


def test_reports_are_about_the_test_templates(templates, tmp_path):
    """4 rows of each class, all right."""
    folder = saved(fitted(templates), tmp_path / "state")
    report = json.loads((folder / "reports.json").read_text())
    perfect = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 4}
    assert report == {
        "n_test": 8, "accuracy": 1.0, "macro_f1": 1.0, "classes": {"1": perfect, "3": perfect},
    }  # fmt: skip
    summary = pl.read_csv(folder / "summary.csv")
    assert summary.columns == ["class", "precision", "recall", "f1", "support"]
    assert summary.rows() == [(1, 1.0, 1.0, 1.0, 4), (3, 1.0, 1.0, 1.0, 4)]


def test_a_class_without_test_rows_has_no_score(tmp_path):
    """A zero would say that the classifier fails on it; nobody tried."""
    table = template_table().filter((pl.col("split") == "train") | (pl.col("label") == 1))
    report = fitted(write(tmp_path, table)).report
    assert report["classes"]["3"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert (report["accuracy"], report["macro_f1"], report["n_test"]) == (1.0, 1.0, 4)
    training = template_table().filter(pl.col("split") == "train")
    folder = saved(fitted(write(tmp_path, training)), tmp_path / "state")
    summary = pl.read_csv(folder / "summary.csv")
    assert summary["f1"].null_count() == 2


def test_a_class_that_was_never_trained_counts_as_missed(tmp_path):
    """Class 5 has test rows alone: recall 0, precision undefined."""
    table = template_table().with_columns(
        label=pl.when(pl.col("split") == "test").then(5).otherwise(pl.col("label"))
    )
    report = fitted(write(tmp_path, table)).report
    assert report["classes"]["5"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 8}
    assert report["accuracy"] == 0.0


def test_thresholds_send_doubtful_rows_to_the_default_class(templates):
    """Between the classes neither reaches 0.9; class 3 alone may be asked for it."""
    table = toy_values({"a": [0.0, 4.5, 9.0], "b": [0.0, 4.5, 9.0]})
    strict = fitted(templates, estimator="logistic_regression", decision_threshold=0.9)
    assert strict.apply(table)["predicted_label"].to_list() == [1, 7, 3]
    never = fitted(templates, estimator="logistic_regression", decision_threshold={"3": 1.0})
    assert never.apply(table)["predicted_label"].to_list()[::2] == [1, 1]


def test_a_model_of_another_step_is_applied_without_a_fit(templates, tmp_path):
    """The default class and the thresholds may be changed, the trees may not."""
    source = fitted(templates)
    files = {"model": saved(source, tmp_path / "state") / "classifier.skops"}
    table = toy_values({"a": [0.0, 9.0, np.nan], "b": [0.0, 9.0, np.nan]})
    result = check_feature(Classifier, table, {"model": MODEL}, state_from=files)
    assert result.equals(source.apply(table))
    given = {"model": MODEL, "default_class": -1, "decision_threshold": 1.0}
    changed = check_feature(Classifier, table, given, state_from=files)
    assert changed["predicted_label"].to_list() == [-1, -1, -1]
    assert changed["prob_1"].equals(result["prob_1"], null_equal=True)


def test_the_model_says_which_columns_it_needs(templates):
    feature = fitted(templates)
    assert feature.input_columns() == ("a", "b")
    with pytest.raises(MissingColumnError, match="needs the column"):
        feature.apply(toy_values({"a": [1.0]}))


def test_columns_can_be_chosen_from_the_templates(templates):
    chosen = ArtifactSpec(feature="x", load=ParquetLoadSpec(columns=("b",)))
    assert fitted(templates, templates=chosen).trained.columns == ("b",)
    dropped = ArtifactSpec(feature="x", load=ParquetLoadSpec(drop_columns=("b",)))
    assert fitted(templates, templates=dropped).trained.columns == ("a",)
    absent = ArtifactSpec(feature="x", load=ParquetLoadSpec(columns=("z",)))
    with pytest.raises(MissingColumnError, match="no column 'z'"):
        fitted(templates, templates=absent)


def test_templates_without_labels_are_refused(tmp_path):
    for table in (template_table().drop("label"), template_table().cast({"label": pl.String})):
        with pytest.raises(MissingColumnError, match="no column 'label' of whole numbers"):
            fitted(write(tmp_path, table))
    with pytest.raises(MissingColumnError, match="no numeric column"):
        fitted(write(tmp_path, template_table().select("label", "split")))
    arrays = ArtifactSpec(feature="x", load=NpzLoadSpec(key="k"))
    with pytest.raises(ParamsError, match="column names and labels"):
        fitted(write(tmp_path, template_table()), templates=arrays)
    one = template_table().filter(pl.col("label") == 1)
    with pytest.raises(FitError, match="only class 1"):
        fitted(write(tmp_path, one))


def test_what_is_not_ready_is_refused(templates, tmp_path):
    feature = Classifier(params=params())
    assert feature.output_schema(pl.Schema({"frame": pl.Int64})) is None
    for use in (
        lambda: feature.apply(toy_values({"a": [1.0]})),
        lambda: feature.load_state(None, {}, {}),
    ):
        with pytest.raises(FeatureError, match=r"not fitted|neither the file"):
            use()
    with pytest.raises(FitError, match="no templates"):
        feature.fit(None)
    with pytest.raises(ParamsError, match=r"templates\.parquet is not a classifier"):
        Classifier(params={"model": MODEL}).load_state(None, {"model": templates["templates"]}, {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"templates": REF}, "default_class is needed"),
        ({"default_class": 0}, "neither is given"),
        ({"model": MODEL, "templates": REF, "default_class": 0}, "both are given"),
        ({"model": MODEL, "max_depth": 3}, "max_depth says how to fit, and model is fitted"),
        (params(estimator="mlp", max_depth=3), "mlp takes no max_depth"),
        (params(subsample=0.5), "hist_gradient_boosting takes no subsample"),
        (params(decision_threshold=1.5), "decision_threshold"),
        (params(undersample_ratio=0.0), "undersample_ratio"),
        (params(estimator="mlp", hidden_layer_sizes=()), "hidden_layer_sizes"),
    ],
)
def test_wrong_parameters_are_refused(given, message):
    with pytest.raises(ParamsError, match=message):
        Classifier(params=given)


def test_defaults_that_are_written_out_are_the_same_parameters():
    """Else the same declaration would be computed twice."""
    spelled = {"n_estimators": 100, "max_depth": 6, "learning_rate": 0.1, "colsample_bytree": 0.8}
    short = Classifier(params={"templates": REF, "default_class": 0}).params
    long = Classifier(
        params={"templates": REF, "default_class": 0, **spelled, "subsample": 1}
    ).params
    assert short.identity() == long.identity()
    assert type(short).from_overrides(short.model_dump()).identity() == short.identity()


PROGRAM = """
import hashlib, sys, tempfile
from pathlib import Path
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits
from mosaic_dagster.features import StepRef, get_feature
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import make_ready, toy_values

rng = np.random.default_rng(0)
values = {f"v{i}": rng.normal(size=600) for i in range(6)}
label = (values["v0"] + values["v1"] > 0).astype(int) + (values["v2"] > 1)
path = Path(tempfile.mkdtemp()) / "templates.parquet"
path.write_bytes(encode_table(pl.DataFrame(values | {"label": label})))
digest = hashlib.sha256()
for name, size in (("hist_gradient_boosting", {"n_estimators": 10}), ("mlp", {"max_iter": 20}),
                   ("random_forest", {"n_estimators": 10}), ("logistic_regression", {})):
    params = {"templates": StepRef("t", "t.parquet"), "default_class": 0, "estimator": name}
    feature = get_feature("classifier")(params=params | size)
    with threadpool_limits(1):
        make_ready(feature, {"templates": path})
    folder = Path(tempfile.mkdtemp())
    feature.save_state(folder)
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    digest.update(encode_table(feature.apply(toy_values(values))))
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_fits_and_predictions_have_the_same_bytes_in_another_process_with_other_threads():
    """Other bytes would make every prediction stale; fits run under a thread limit."""
    digests = set()
    for threads in ("1", "4"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env={**os.environ, **limits},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_default_is_what_scikit_learn_calls_it(templates):
    trained = fitted(templates).trained
    assert isinstance(trained.estimators[0], HistGradientBoostingClassifier)
