"""Tables of the schema ``main``: runs, pipelines, chains, predictions, artifacts, logs.

There are no foreign keys: DuckDB refuses to delete a child and its parent in one transaction
when there are. Writers check parents inside their transactions, and delete children first.
"""

from __future__ import annotations

from mosaic_dagster.store.database.migrations import Migration

_MAIN_1 = """
CREATE TABLE main.runs (
    run_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    config JSON,
    datasets JSON,
    status TEXT NOT NULL DEFAULT 'running',
    created_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    summary JSON,
    error TEXT
);
CREATE TABLE main.pipelines (
    pipeline_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    expanded_config JSON,
    generator_choices JSON,
    dataset_name TEXT NOT NULL,
    dataset_hash TEXT,
    status TEXT NOT NULL DEFAULT 'running',
    created_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,
    best_val DOUBLE,
    best_test DOUBLE,
    metric TEXT,
    duration_ms BIGINT,
    error TEXT
);
CREATE TABLE main.chains (
    chain_id TEXT PRIMARY KEY,
    pipeline_id TEXT NOT NULL,
    steps JSON NOT NULL,
    model_step_idx INTEGER NOT NULL,
    model_class TEXT NOT NULL,
    preprocessings TEXT DEFAULT '',
    fold_strategy TEXT DEFAULT 'per_fold',
    fold_artifacts JSON,
    shared_artifacts JSON,
    branch_path JSON,
    source_index INTEGER,
    fold_weights JSON,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE main.predictions (
    prediction_id TEXT PRIMARY KEY,
    pipeline_id TEXT NOT NULL,
    chain_id TEXT,
    dataset_name TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_class TEXT NOT NULL,
    fold_id TEXT NOT NULL,
    "partition" TEXT NOT NULL,
    val_score DOUBLE,
    test_score DOUBLE,
    train_score DOUBLE,
    metric TEXT NOT NULL,
    task_type TEXT NOT NULL,
    n_samples INTEGER,
    n_features INTEGER,
    scores JSON,
    best_params JSON,
    preprocessings TEXT DEFAULT '',
    branch_id INTEGER,
    branch_name TEXT,
    exclusion_count INTEGER DEFAULT 0,
    exclusion_rate DOUBLE DEFAULT 0.0,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE main.prediction_arrays (
    prediction_id TEXT PRIMARY KEY,
    y_true DOUBLE[],
    y_pred DOUBLE[],
    y_proba DOUBLE[],
    sample_indices BIGINT[],
    weights DOUBLE[],
    shapes JSON
);
CREATE TABLE main.artifacts (
    artifact_id TEXT PRIMARY KEY,
    artifact_path TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    operator_class TEXT,
    artifact_type TEXT,
    format TEXT DEFAULT 'joblib',
    size_bytes BIGINT,
    ref_count INTEGER DEFAULT 1,
    open_claims INTEGER DEFAULT 0,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE main.logs (
    log_id TEXT PRIMARY KEY,
    pipeline_id TEXT NOT NULL,
    step_idx INTEGER NOT NULL,
    operator_class TEXT,
    event TEXT NOT NULL,
    duration_ms BIGINT,
    message TEXT,
    details JSON,
    level TEXT DEFAULT 'info',
    created_at TIMESTAMP NOT NULL
);
CREATE VIEW main.live_objects AS SELECT content_hash AS sha256 FROM main.artifacts;
"""

MAIN: tuple[Migration, ...] = (_MAIN_1,)
