import numpy as np
import pytest

from mosaic_dagster.store.database.journal import kinds
from mosaic_dagster.store.database.journal.kinds import ARRAYS, CLAIM, PROGRESS
from mosaic_dagster.store.database.journal.records import Record

SHA = "ab" * 32


def _count(con, table):
    ((count,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
    return count


def _claim(artifact_id, at, operator_class="Ridge"):
    return Record(
        CLAIM,
        [artifact_id, f"ab/{SHA}.npy", SHA, operator_class, "model", "npy", 8, at],
    )


def _artifacts(con):
    return con.execute(
        "SELECT artifact_id, operator_class, ref_count, open_claims FROM main.artifacts ORDER BY 1"
    ).fetchall()


def test_each_kind_reaches_its_table(con, prediction, log):
    progress = Record(PROGRESS, ["job", 1, "fit", 0, 3, '{"f1":0.5}', "half", 0])
    kinds.insert(con, [prediction("p", {"y_true": np.ones(2)}), log("l"), _claim("a", 0), progress])
    tables = (
        "main.predictions", "main.prediction_arrays", "main.logs", "main.artifacts",
        "features.training_progress",
    )  # fmt: skip
    assert [_count(con, table) for table in tables] == [1] * 5


@pytest.mark.parametrize("parent", ["failed", "deleted"])
def test_rows_of_a_parent_that_is_gone_vanish(con, prediction, log, parent):
    """Else a pipeline that was taken back shows results again, without what they belong to."""
    arrays = {"y_true": np.ones(2)}
    rows = [prediction("gone", arrays, pipeline_id=parent), log("gone", parent)]
    kinds.insert(con, [*rows, prediction("kept", arrays), log("kept")])
    for table, key in (
        ("predictions", "prediction_id"), ("prediction_arrays", "prediction_id"),
        ("logs", "log_id"),
    ):  # fmt: skip
        assert con.execute(f"SELECT {key} FROM main.{table}").fetchall() == [("kept",)]


def test_rows_of_a_completed_pipeline_are_kept(con, prediction, log):
    """Scores of a finished configuration may come later."""
    kinds.insert(con, [prediction("p", pipeline_id="done"), log("l", "done")])
    assert (_count(con, "main.predictions"), _count(con, "main.logs")) == (1, 1)


def test_predictions_of_a_chain_that_is_gone_vanish(con, prediction):
    """Else a prediction names a chain that nobody can replay."""
    kinds.insert(con, [prediction("a", chain_id="chain"), prediction("b", chain_id="gone")])
    assert con.execute("SELECT prediction_id FROM main.predictions").fetchall() == [("a",)]


def test_arrays_of_a_deleted_prediction_vanish(con):
    kinds.insert(con, [Record(ARRAYS, ["gone"], {"y_true": np.ones(2)})])
    assert _count(con, "main.prediction_arrays") == 0


def test_arrays_may_follow_in_their_own_record(con, prediction):
    """Both may be folded in one go, or one after the other."""
    arrays = Record(ARRAYS, ["p"], {"y_true": np.ones(2), "y_pred": np.zeros(2)})
    kinds.insert(con, [prediction("p"), arrays, prediction("q")])
    kinds.insert(con, [Record(ARRAYS, ["q"], {"sample_indices": np.array([2**40])})])
    assert con.execute(
        "SELECT prediction_id, y_true, y_pred, y_proba, sample_indices, shapes "
        "FROM main.prediction_arrays ORDER BY 1"
    ).fetchall() == [
        ("p", [1.0, 1.0], [0.0, 0.0], None, None, None),
        ("q", None, None, None, [2**40], None),
    ]


def test_first_arrays_stay(con, prediction):
    """Else a row that is folded late overwrites what a reader has seen."""
    kinds.insert(con, [prediction("p", {"y_true": np.array([1.0])})])
    kinds.insert(con, [Record(ARRAYS, ["p"], {"y_true": np.array([2.0])})])
    assert con.execute("SELECT y_true FROM main.prediction_arrays").fetchall() == [([1.0],)]


def test_several_dimensions_are_kept_as_shapes(con, prediction):
    """[[.1, .9], [.7, .3], [.5, .5]] goes in row by row, with its shape beside it."""
    proba = np.asfortranarray([[0.1, 0.9], [0.7, 0.3], [0.5, 0.5]])
    arrays = {"y_true": np.zeros(3), "y_proba": proba}
    kinds.insert(con, [prediction("p", arrays), prediction("q", {"y_proba": np.empty((0, 2))})])
    assert con.execute(
        "SELECT y_proba, shapes FROM main.prediction_arrays ORDER BY prediction_id"
    ).fetchall() == [
        ([0.1, 0.9, 0.7, 0.3, 0.5, 0.5], '{"y_proba":[3,2]}'),
        ([], '{"y_proba":[0,2]}'),
    ]


class TestClaims:
    """Each save is one claim; the labels of the first stay."""

    def test_saves_of_one_artifact_are_counted(self, con):
        """Else the collector removes a model that a second training still needs."""
        kinds.insert(con, [_claim("a", 2, "Later"), _claim("a", 1, "First"), _claim("b", 1)])
        assert _artifacts(con) == [("a", "First", 2, 2), ("b", "Ridge", 1, 1)]

    def test_later_saves_raise_the_count(self, con):
        kinds.insert(con, [_claim("a", 1, "First")])
        kinds.insert(con, [_claim("a", 2, "Later"), _claim("a", 3, "Later")])
        assert _artifacts(con) == [("a", "First", 3, 3)]


@pytest.mark.parametrize("count", [2, 3000])
def test_log_entries_keep_their_order(con, log, count):
    """Those of one time are listed as they were written; a join on the way may shuffle them."""
    names = [f"{count - n:04}" for n in range(count)]
    for _ in range(5):
        con.execute("TRUNCATE main.logs")
        kinds.insert(con, [log(name, ("alive", "done")[int(name) % 2]) for name in names])
        found = con.execute("SELECT log_id FROM main.logs ORDER BY rowid").fetchall()
        assert [name for (name,) in found] == names


def test_nothing_to_write_is_fine(con):
    kinds.insert(con, [])
    assert _count(con, "main.predictions") == 0
