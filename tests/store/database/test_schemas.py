from mosaic_dagster.store.database.schemas import OWNERS

# What a file of this version holds. A released step is never edited: a change here needs a new
# step, and a higher number.
VERSIONS = {"main": 1, "features": 3, "journal": 1}
COLUMNS = {
    "features.announced": "instance asset key output_sha256",
    "features.dependencies": "action_key role input_sha256 input_action_key",
    "features.entries": "group_name sequence key tracks_sha256 source_sha256 state added_at",
    "features.feature_entries": "pipeline step key run_id action_key state error updated_at",
    "features.feature_runs": (
        "run_id attempt feature version params_hash params inputs status started_at finished_at"
    ),
    "features.live_objects": "sha256",
    "features.meta": "schema_version created_at",
    "features.profiles": ("output_sha256 rows frames duplicated columns missing low high mean sd"),
    "features.results": (
        "action_key key output_sha256 path ext rows bytes seconds made_by created_at"
    ),
    "features.selections": "digest keys",
    "features.sources": "path key rule sha256 size mtime_ns inode state seen_at asset",
    "features.training_progress": ("job_id seq step_type step_index step_total metrics message at"),
    "journal.folded": "file offset",
    "journal.live_objects": "sha256",
    "journal.meta": "schema_version created_at",
    "main.artifacts": (
        "artifact_id artifact_path content_hash operator_class artifact_type format size_bytes "
        "ref_count open_claims created_at"
    ),
    "main.chains": (
        "chain_id pipeline_id steps model_step_idx model_class preprocessings fold_strategy "
        "fold_artifacts shared_artifacts branch_path source_index fold_weights created_at"
    ),
    "main.live_objects": "sha256",
    "main.logs": (
        "log_id pipeline_id step_idx operator_class event duration_ms message details level "
        "created_at"
    ),
    "main.pipelines": (
        "pipeline_id run_id name expanded_config generator_choices dataset_name dataset_hash "
        "status created_at completed_at best_val best_test metric duration_ms error"
    ),
    "main.prediction_arrays": ("prediction_id y_true y_pred y_proba sample_indices weights shapes"),
    "main.predictions": (
        "prediction_id pipeline_id chain_id dataset_name model_name model_class fold_id partition "
        "val_score test_score train_score metric task_type n_samples n_features scores "
        "best_params preprocessings branch_id branch_name exclusion_count exclusion_rate "
        "created_at"
    ),
    "main.runs": ("run_id name config datasets status created_at completed_at summary error"),
    "main.store_meta": "schema_version created_at",
}
KEYS = {
    ("announced", ("instance", "asset", "key")),
    ("entries", ("key",)),
    ("feature_entries", ("pipeline", "step", "key")),
    ("feature_runs", ("run_id", "attempt")),
    ("profiles", ("output_sha256",)),
    ("results", ("action_key",)),
    ("folded", ("file",)),
    ("runs", ("run_id",)),
    ("pipelines", ("pipeline_id",)),
    ("chains", ("chain_id",)),
    ("predictions", ("prediction_id",)),
    ("prediction_arrays", ("prediction_id",)),
    ("artifacts", ("artifact_id",)),
    ("logs", ("log_id",)),
    ("selections", ("digest",)),
    ("sources", ("path", "key", "asset")),
}


def test_versions_are_as_recorded():
    """Else two versions of this package would take different tables for the same number."""
    assert {schema: len(steps) for schema, steps in OWNERS.items()} == VERSIONS


def test_columns_are_as_recorded(database):
    """Else people's own queries, and older files, would break unnoticed."""
    with database.lease() as con:
        rows = con.execute(
            """
            SELECT schema_name || '.' || table_name,
                   string_agg(column_name, ' ' ORDER BY column_index)
            FROM duckdb_columns() WHERE database_name = current_database() AND NOT internal
            GROUP BY ALL
            """
        ).fetchall()
    assert dict(rows) == COLUMNS


def test_keys_are_as_recorded(database):
    """Else a row could be there twice."""
    with database.lease() as con:
        rows = con.execute(
            """
            SELECT table_name, constraint_column_names FROM duckdb_constraints()
            WHERE database_name = current_database() AND constraint_type = 'PRIMARY KEY'
            """
        ).fetchall()
    assert {(table, tuple(columns)) for table, columns in rows} == KEYS
