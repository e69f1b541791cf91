"""Tables of the schema ``features``: entries, runs, results, heads, dependencies."""

from __future__ import annotations

from mosaic_dagster.store.database.migrations import Migration

_FEATURES_1 = """
CREATE TABLE features.entries (
    group_name TEXT NOT NULL,
    sequence TEXT NOT NULL,
    key TEXT PRIMARY KEY,
    tracks_sha256 TEXT,
    source_sha256 TEXT,
    state TEXT NOT NULL,
    added_at TIMESTAMP NOT NULL
);
CREATE TABLE features.sources (
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    rule TEXT NOT NULL,
    sha256 TEXT,
    size BIGINT,
    mtime_ns BIGINT,
    inode BIGINT,
    state TEXT NOT NULL,
    seen_at TIMESTAMP NOT NULL,
    PRIMARY KEY (path, key)
);
CREATE TABLE features.feature_runs (
    run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    feature TEXT NOT NULL,
    version TEXT NOT NULL,
    params_hash TEXT NOT NULL,
    params TEXT,
    inputs TEXT,
    status TEXT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    PRIMARY KEY (run_id, attempt)
);
CREATE TABLE features.results (
    action_key TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    output_sha256 TEXT,
    path TEXT,
    ext TEXT NOT NULL,
    rows BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    seconds DOUBLE NOT NULL,
    made_by TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE features.feature_entries (
    pipeline TEXT NOT NULL,
    step TEXT NOT NULL,
    key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    action_key TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (pipeline, step, key)
);
CREATE TABLE features.dependencies (
    action_key TEXT NOT NULL,
    role TEXT NOT NULL,
    input_sha256 TEXT,
    input_action_key TEXT
);
CREATE TABLE features.training_progress (
    job_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    step_type TEXT NOT NULL,
    step_index INTEGER,
    step_total INTEGER,
    metrics TEXT,
    message TEXT,
    "at" TIMESTAMP NOT NULL
);
CREATE TABLE features.selections (
    digest TEXT PRIMARY KEY,
    keys TEXT[] NOT NULL
);
CREATE TABLE features.announced (
    instance TEXT NOT NULL,
    asset TEXT NOT NULL,
    key TEXT NOT NULL,
    output_sha256 TEXT NOT NULL,
    PRIMARY KEY (instance, asset, key)
);
CREATE VIEW features.live_objects AS
    SELECT output_sha256 AS sha256 FROM features.results WHERE output_sha256 IS NOT NULL
    UNION
    SELECT tracks_sha256 FROM features.entries WHERE tracks_sha256 IS NOT NULL
    UNION
    SELECT input_sha256 FROM features.dependencies
    WHERE starts_with(role, 'member:') AND input_sha256 IS NOT NULL;
"""

_FEATURES_2 = """
CREATE TABLE features.sources_of_assets (
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    rule TEXT NOT NULL,
    sha256 TEXT,
    size BIGINT,
    mtime_ns BIGINT,
    inode BIGINT,
    state TEXT NOT NULL,
    seen_at TIMESTAMP NOT NULL,
    asset TEXT NOT NULL,
    PRIMARY KEY (path, key, asset)
);
INSERT INTO features.sources_of_assets SELECT *, 'tracks' FROM features.sources;
DROP TABLE features.sources;
ALTER TABLE features.sources_of_assets RENAME TO sources;
"""

_FEATURES_3 = """
CREATE TABLE features.profiles (
    output_sha256 TEXT PRIMARY KEY,
    rows BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    duplicated BIGINT NOT NULL,
    columns TEXT[] NOT NULL,
    missing DOUBLE[] NOT NULL,
    low DOUBLE[] NOT NULL,
    high DOUBLE[] NOT NULL,
    mean DOUBLE[] NOT NULL,
    sd DOUBLE[] NOT NULL
);
"""

FEATURES: tuple[Migration, ...] = (_FEATURES_1, _FEATURES_2, _FEATURES_3)
