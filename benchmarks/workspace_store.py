"""What the workspace store takes for its acts, beside a plain DuckDB insert, in one run.

    python -m benchmarks.workspace_store --predictions 100000

Every figure is the best of several tries. A rate is in durable, acknowledged calls or rows per
second; beside it stands how many times the rate of the plain insert it is: one row, one
transaction, in a file of its own. A time is in milliseconds; beside it, how many plain inserts
it lasts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from mosaic_dagster.store.workspace import WorkspaceStore

PLAIN = "plain DuckDB insert"
COLUMNS = {
    "pipeline_id": "VARCHAR", "chain_id": "VARCHAR", "dataset_name": "VARCHAR",
    "model_name": "VARCHAR", "model_class": "VARCHAR", "fold_id": "VARCHAR",
    "partition": "VARCHAR", "val_score": "DOUBLE", "test_score": "DOUBLE",
    "train_score": "DOUBLE", "metric": "VARCHAR", "task_type": "VARCHAR", "n_samples": "INTEGER",
    "n_features": "INTEGER", "scores": "JSON", "best_params": "JSON", "branch_id": "INTEGER",
    "branch_name": "VARCHAR", "exclusion_count": "INTEGER", "exclusion_rate": "DOUBLE",
}  # fmt: skip
MEBIBYTE = 1 << 20


@dataclass
class Figure:
    """One measured figure.

    Parameters
    ----------
    what, value, unit
        '/s' counts rows or calls per second, 'ms' is time.
    goal
        At least this rate, or at most this time; None where there is none.
    to_plain
        See the module.
    """

    what: str
    value: float
    unit: str
    goal: float | None = None
    to_plain: float = 0.0

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.unit == "/s" else self.value <= self.goal


@dataclass
class Bench:
    """A workspace to measure in, and the figures so far."""

    folder: Path
    repeats: int
    figures: list[Figure] = field(default_factory=list)

    def rate(
        self, what: str, count: int, work: Callable[[], Any], goal: float | None = None
    ) -> None:
        """Measure how many of ``count`` things are done in a second."""
        self.figures.append(Figure(what, count / self._best(work), "/s", goal))

    def time(self, what: str, work: Callable[[], Any], goal: float | None = None) -> None:
        """Measure how many milliseconds one call takes."""
        self.figures.append(Figure(what, self._best(work) * 1e3, "ms", goal))

    def relate_to_plain(self) -> None:
        """Compare every figure with the plain insert's."""
        plain = next(figure.value for figure in self.figures if figure.what == PLAIN)
        for figure in self.figures:
            rate = figure.unit == "/s"
            figure.to_plain = figure.value / plain if rate else figure.value / 1e3 * plain

    def _best(self, work: Callable[[], Any]) -> float:
        seconds = []
        for _ in range(self.repeats):
            begun = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begun)
        return min(seconds)


@contextmanager
def opened(folder: Path, name: str) -> Iterator[tuple[WorkspaceStore, dict[str, Any]]]:
    """A new workspace with one pipeline, and what every prediction in it is made of."""
    with WorkspaceStore(folder / name) as store:
        yield store, begin(store)


def begin(store: WorkspaceStore) -> dict[str, Any]:
    run = store.begin_run("bench", {}, [{"name": "wheat"}])
    pipeline = store.begin_pipeline(run, "bench", {}, [], "wheat", None)
    return prediction(pipeline)


def prediction(pipeline: str) -> dict[str, Any]:
    return {
        "pipeline_id": pipeline, "chain_id": None, "dataset_name": "wheat", "model_name": "Ridge",
        "model_class": "Ridge", "fold_id": "fold_0", "partition": "val", "val_score": 0.3,
        "test_score": 0.4, "train_score": 0.2, "metric": "rmse", "task_type": "regression",
        "n_samples": 100, "n_features": 200, "scores": {"val": {"rmse": 0.3}},
        "best_params": {"alpha": 1.0}, "branch_id": None, "branch_name": None,
        "exclusion_count": 0, "exclusion_rate": 0.0,
    }  # fmt: skip


def plain_inserts(bench: Bench, count: int) -> None:
    """One row, one transaction, as a program without this package would do it."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    places = ", ".join("?" * (len(COLUMNS) + 1))
    row = prediction("p")
    row |= {name: json.dumps(row[name]) for name in ("scores", "best_params")}
    with duckdb.connect(str(bench.folder / "plain.duckdb")) as con:
        con.execute(f"CREATE TABLE predictions (id VARCHAR PRIMARY KEY, {columns})")
        ids = iter(range(count * bench.repeats))

        def work() -> None:
            for _ in range(count):
                con.execute(
                    f"INSERT INTO predictions VALUES ({places})", [next(ids), *row.values()]
                )

        bench.rate(PLAIN, count, work)


def single_rows(bench: Bench, rows: int, arrays: int) -> None:
    """Calls that acknowledge one row each, with the database free for others in between."""
    values = np.random.default_rng(0).normal(size=(2, 1000))
    with opened(bench.folder, "rows") as (store, row):
        pipeline = row["pipeline_id"]

        def save(count: int, **more: Any) -> list[str]:
            return [store.save_prediction(**row, **more) for _ in range(count)]

        bench.rate("save_prediction", rows, lambda: save(rows), 5_000)
        unsaved = iter([save(arrays) for _ in range(bench.repeats)])

        def save_arrays() -> None:
            for name in next(unsaved):
                store.save_prediction_arrays(name, *values)

        bench.rate("save_prediction_arrays, 2 x 1,000 values", arrays, save_arrays, 1_500)
        both = {"y_true": values[0], "y_pred": values[1]}
        bench.rate(
            "save_prediction with 2 x 1,000 values",
            arrays,
            lambda: save(arrays, arrays=both),
            1_500,
        )

        def log() -> None:
            for _ in range(rows):
                store.log_step(pipeline, 0, "Ridge", "end")

        bench.rate("log_step", rows, log)


def batched_rows(bench: Bench, batch: int) -> None:
    with opened(bench.folder, "batches") as (store, row):
        bench.rate(
            f"save_predictions, {batch:,} at once",
            batch,
            lambda: store.save_predictions([row] * batch),
            20_000,
        )
        portions = max(batch // 1_000, 1)

        def thousands() -> None:
            with store.session():
                for _ in range(portions):
                    store.save_predictions([row] * min(batch, 1_000))

        count = portions * min(batch, 1_000)
        bench.rate("save_predictions, 1,000 at once in a session", count, thousands, 20_000)


def artifacts(bench: Bench, count: int) -> None:
    """Objects of 1 MiB that hardly compress, as fitted numbers do not."""
    draw = np.random.default_rng(1)
    tries = [[draw.normal(size=MEBIBYTE // 8) for _ in range(count)] for _ in range(bench.repeats)]
    with opened(bench.folder, "artifacts") as (store, _):

        def save(objects: list[Any], format_: str) -> None:
            for obj in objects:
                store.save_artifact(obj, "ndarray", "model", format_)

        for format_, new, again in (("joblib", 120, 400), ("npy", None, None)):
            left = iter(tries)

            def save_next(left: Iterator[list[Any]] = left, format_: str = format_) -> None:
                save(next(left), format_)

            bench.rate(f"1 MiB artifact, {format_}", count, save_next, new)
            repeat = partial(save, tries[0], format_)
            bench.rate(f"1 MiB artifact again, {format_}", count, repeat, again)


def questions(bench: Bench, predictions: int, deleted: int) -> None:
    """What is asked of a workspace with many predictions, inside a session."""
    with opened(bench.folder, "questions") as (store, row):
        rows = [
            {**row, "model_class": f"m{number % 20}", "val_score": float(number * 7919 % 10_007)}
            for number in range(predictions)
        ]
        with store.session():
            for start in range(0, predictions, 20_000):
                store.save_predictions(rows[start : start + 20_000])
        chain, spectra = five_folds(store, row["pipeline_id"])
        with store.session():
            bench.time(f"query_predictions, all {predictions:,}", store.query_predictions, 80)
            bench.time(
                f"top_predictions by group of {predictions:,}",
                lambda: store.top_predictions(5, group_by="model_class"),
                20,
            )
            store.replay_chain(chain, spectra)
            bench.time(
                "replay, 3 steps x 5 folds, warm", lambda: store.replay_chain(chain, spectra), 3
            )
        runs = iter([filled_run(store, deleted) for _ in range(bench.repeats)])
        with store.session():
            bench.time(
                f"delete_run with {deleted:,} predictions",
                lambda: store.delete_run(next(runs)),
                300,
            )
        bench.time("get_run, one call in shared access", lambda: store.get_run("none"))


def five_folds(store: WorkspaceStore, pipeline: str) -> tuple[str, np.ndarray[Any, Any]]:
    """A chain of two fitted transformers and five models, and the samples to replay it on."""
    draw = np.random.default_rng(2)
    spectra, y = draw.normal(size=(60, 20)), draw.normal(size=60)
    steps: list[dict[str, Any]] = []
    shared, prepared = {}, spectra
    for index, operator in enumerate((StandardScaler(), MinMaxScaler())):
        prepared = operator.fit_transform(prepared)
        name = type(operator).__name__
        shared[str(index)] = [store.save_artifact(operator, name, "transformer")]
        steps.append({"step_idx": index, "operator_class": name, "params": {}, "stateless": False})
    models = {
        f"fold_{fold}": store.save_artifact(Ridge(fold + 1.0).fit(prepared, y), "Ridge")
        for fold in range(5)
    }
    steps.append({"step_idx": 2, "operator_class": "Ridge", "params": {}, "role": "model"})
    chain = store.save_chain(pipeline, steps, 2, "Ridge", "", "per_fold", models, shared)
    return chain, spectra


def filled_run(store: WorkspaceStore, count: int) -> str:
    row = begin(store)
    arrays = {"y_true": np.zeros(100), "y_pred": np.ones(100)}
    store.save_predictions([{**row, "arrays": arrays}] * count)
    return str((store.get_pipeline(row["pipeline_id"]) or {})["run_id"])


def several_writers(bench: Bench, writers: int, rows: int) -> None:
    """Processes that save row by row in one workspace, while this one reads.

    The rate counts from a common start until the last of them has closed its store.
    """
    context = multiprocessing.get_context("spawn")
    with opened(bench.folder, f"writers_{writers}") as (store, row):
        start = context.Barrier(writers + 1)
        processes = [
            context.Process(target=write, args=(store.workspace_path, row, rows, start))
            for _ in range(writers)
        ]
        for process in processes:
            process.start()
        start.wait(timeout=120)
        begun = time.perf_counter()
        waits = []
        while any(process.is_alive() for process in processes):
            asked = time.perf_counter()
            store.get_prediction("none")
            waits.append(time.perf_counter() - asked)
            time.sleep(0.01)
        for process in processes:
            process.join()
        seconds = time.perf_counter() - begun
        stored = store.query_predictions().height
    if stored != writers * rows:
        msg = f"{stored} of {writers * rows} acknowledged rows are there."
        raise RuntimeError(msg)
    named = f"{writers} processes"
    bench.figures.append(Figure(f"{named}: save_prediction, in all", stored / seconds, "/s"))
    bench.figures.append(Figure(f"{named}: longest wait of a reader", max(waits) * 1e3, "ms"))


def write(workspace: Path, row: dict[str, Any], rows: int, start: Barrier) -> None:
    """Save predictions one by one; what each writing process does."""
    with WorkspaceStore(workspace) as store:
        start.wait(timeout=120)
        for _ in range(rows):
            store.save_prediction(**row)


def measure(given: argparse.Namespace, folder: Path) -> list[Figure]:
    """All figures, in the order in which they are printed."""
    bench = Bench(folder, given.repeats)
    plain_inserts(bench, given.plain)
    single_rows(bench, given.rows, given.arrays)
    batched_rows(bench, given.batch)
    artifacts(bench, given.artifacts)
    questions(bench, given.predictions, given.deleted)
    for writers in given.writers:
        several_writers(bench, writers, given.rows)
    bench.relate_to_plain()
    return bench.figures


def line_of(figure: Figure) -> str:
    """One line of the table."""
    goal, verdict = "", ""
    if figure.goal is not None:
        sign = ">=" if figure.unit == "/s" else "<="
        goal = f"{sign} {figure.goal:,.0f} {figure.unit}"
        verdict = "" if figure.met else "missed"
    return (
        f"{figure.what:<46} {figure.value:>10,.1f} {figure.unit:<2}  {goal:>12}  "
        f"{figure.to_plain:>7.1f} x  {verdict}"
    ).rstrip()


def main() -> None:
    """Run the benchmark and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plain", type=int, default=300, help="rows of the plain insert")
    parser.add_argument("--rows", type=int, default=5_000, help="rows saved one by one")
    parser.add_argument("--arrays", type=int, default=1_000, help="predictions with arrays")
    parser.add_argument("--batch", type=int, default=20_000, help="rows saved at once")
    parser.add_argument("--artifacts", type=int, default=100, help="objects of 1 MiB")
    parser.add_argument("--predictions", type=int, default=100_000, help="rows to ask about")
    parser.add_argument("--deleted", type=int, default=10_000, help="predictions of a deleted run")
    parser.add_argument("--writers", type=int, nargs="*", default=[2, 4], help="processes")
    parser.add_argument("--repeats", type=int, default=3, help="tries, the best of which counts")
    parser.add_argument("--folder", type=Path, help="where to make the workspaces")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mosaic-bench-", dir=given.folder) as folder:
        figures = measure(given, Path(folder))
    if given.json:
        print(json.dumps([{**asdict(figure), "met": figure.met} for figure in figures]))
        return
    print(f"{'':<46} {'measured':>13}  {'goal':>12}  to plain")
    for figure in figures:
        print(line_of(figure))


if __name__ == "__main__":
    main()
