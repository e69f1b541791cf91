import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mosaic_dagster.store import Database
from mosaic_dagster.store.database.journal.kinds import COLUMNS, LOG, PREDICTION
from mosaic_dagster.store.database.journal.records import Record

FIRST_ROWS = """
INSERT INTO main.runs (run_id, name, created_at) VALUES ('run', 'run', now()::TIMESTAMP);
INSERT INTO main.pipelines (pipeline_id, run_id, name, dataset_name, status, created_at) VALUES
    ('alive', 'run', 'p', 'larvae', 'running', now()::TIMESTAMP),
    ('done', 'run', 'p', 'larvae', 'completed', now()::TIMESTAMP),
    ('failed', 'run', 'p', 'larvae', 'failed', now()::TIMESTAMP);
INSERT INTO main.chains (chain_id, pipeline_id, steps, model_step_idx, model_class, created_at)
    VALUES ('chain', 'alive', '[]', 0, 'Ridge', now()::TIMESTAMP);
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the journals of the database below lie."""
    return tmp_path / "journal"


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with a run, pipelines 'alive', 'done' and 'failed', and a chain."""
    with database.lease() as con:
        con.execute(FIRST_ROWS)
    return database


@pytest.fixture
def con(filled: Database) -> Any:
    """A connection of our own to that database, so that nothing folds behind our back."""
    with duckdb.connect(str(filled.path)) as opened:
        yield opened


@pytest.fixture
def prediction() -> Callable[..., Record]:
    """Makes the record of a prediction under the pipeline 'alive'."""

    def make(prediction_id: str, arrays: Any = None, **changes: Any) -> Record:
        values = dict.fromkeys(COLUMNS[PREDICTION]) | {
            "prediction_id": prediction_id,
            "pipeline_id": "alive",
            "dataset_name": "larvae",
            "model_name": "ridge",
            "model_class": "Ridge",
            "fold_id": "fold_0",
            "partition": "val",
            "metric": "rmse",
            "task_type": "regression",
            "created_at": time.time_ns() // 1000,
        }
        return Record(PREDICTION, list((values | changes).values()), arrays or {})

    return make


@pytest.fixture
def log() -> Callable[..., Record]:
    """Makes the record of a log entry under the pipeline 'alive'."""

    def make(log_id: str, pipeline_id: str = "alive") -> Record:
        values = [log_id, pipeline_id, 0, None, "end", 5, None, None, "info", 0]
        return Record(LOG, values)

    return make
