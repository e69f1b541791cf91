import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import ChainArtifact, bundle_bytes, read_archive
from mosaic_dagster.store.bundles.writer import safe_artifact
from mosaic_dagster.store.formats import decode, encode

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


def stored(obj, format):
    encoded = encode(obj, format)
    sha256 = digest_bytes(encoded.data)
    return ChainArtifact(f"art_{sha256}", encoded.data, encoded.format, encoded.ext, sha256)


def test_equal_chains_give_equal_bytes(doubled, monkeypatch):
    """Else a bundle under version control changes with every export."""
    chain, artifacts = doubled
    first = bundle_bytes(chain, artifacts, exported_at=NOON)
    assert bundle_bytes(chain, artifacts[::-1], exported_at=NOON) == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(NOON.timestamp())))
    assert bundle_bytes(chain, artifacts) == first


@pytest.mark.slow
def test_another_process_writes_the_same_bytes():
    """Else exports depend on the hash seed of the process; order of sets and dicts counts."""
    code = (
        "import hashlib\n"
        "from datetime import UTC, datetime\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from mosaic_dagster.store.bundles import ChainArtifact, bundle_bytes\n"
        "from mosaic_dagster.store.formats import encode\n"
        "e = encode(StandardScaler().fit([[0.0], [2.0]]), 'joblib')\n"
        "names = [f'a{k}' for k in range(9)]\n"
        "h = hashlib.sha256(e.data).hexdigest()\n"
        "parts = [ChainArtifact(n, e.data, e.format, e.ext, h) for n in names]\n"
        "chain = dict(steps=[dict(step_idx=0)], model_step_idx=0, model_class='M',\n"
        "    preprocessings='', fold_strategy='per_fold', shared_artifacts={},\n"
        "    fold_artifacts={f'fold_{n}': n for n in names})\n"
        "data = bundle_bytes(chain, parts, exported_at=datetime(2024, 1, 1, tzinfo=UTC))\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) == 65


def test_the_manifest_says_what_is_inside(doubled, bundle_file):
    """Else a bundle cannot be told from another, or not be replayed without its workspace."""
    path = bundle_file(
        doubled, exported_at=NOON, task_type="regression", n_features=1, artifact_format="keep"
    )
    manifest = read_archive(path).manifest
    _, artifacts = doubled
    assert manifest["bundle_format_version"] == "2.0"
    assert manifest["producer"] == "mosaic_dagster"
    assert manifest["chain_id"] == "c1"
    assert manifest["model_step_index"] == 1
    assert (manifest["task_type"], manifest["n_features"]) == ("regression", 1)
    assert manifest["exported_at"] == "2024-05-06T12:00:00+00:00"
    assert manifest["artifacts"] == {
        a.artifact_id: {
            "file": f"artifacts/{a.sha256}.joblib",
            "sha256": a.sha256,
            "size": len(a.data),
            "format": "joblib",
            "operator_class": a.operator_class,
        }
        for a in artifacts
    }


@pytest.mark.parametrize("format", ["joblib", "pickle", "skops"])
def test_what_can_be_is_written_without_code(format):
    """Else whoever gets an ordinary bundle must trust it to use it."""
    scaler = StandardScaler().fit([[0.0], [2.0]])
    safe = safe_artifact(stored(scaler, format))
    assert (safe.format, safe.ext) == ("arrays", "npz")
    assert safe.sha256 == digest_bytes(safe.data)
    loaded = decode(safe.data, "arrays", trusted=False)
    assert loaded.transform([[4.0]]).tolist() == [[3.0]]
    assert safe_artifact(stored(np.arange(3.0), format)).format == "npy"


def test_what_cannot_be_is_kept():
    """Else an export fails, or loses a model, because it is no simple one."""
    forest = stored(RandomForestRegressor(n_estimators=1).fit([[0.0]], [0.0]), "joblib")
    json = stored({"a": 1}, "json")
    unknown = ChainArtifact("a", b"cnot_a_module\nthing\n.", "pickle", "pkl", "0" * 64)
    for artifact in (forest, json, unknown):
        assert safe_artifact(artifact) is artifact


def test_without_trust_no_code_is_run(tmp_path):
    """Else a store opened with allow_pickle=False runs a pickle when it exports."""
    target = tmp_path / "ran"
    data = b"cbuiltins\nopen\n(S'" + str(target).encode() + b"'\nS'w'\ntR."
    bomb = ChainArtifact("a", data, "pickle", "pkl", digest_bytes(data))
    assert safe_artifact(bomb, trusted=False) is bomb
    assert not target.exists()
    scaler = stored(StandardScaler().fit([[0.0], [2.0]]), "skops")
    assert safe_artifact(scaler, trusted=False).format == "arrays"


def test_keep_copies_the_bytes(doubled, bundle_file):
    """Else hashes in a bundle are not those that the workspace recorded."""
    _, artifacts = doubled
    archive = read_archive(bundle_file(doubled, artifact_format="keep"))
    assert dict(archive.read_all()) == {a.artifact_id: a.data for a in artifacts}


def test_artifacts_with_equal_bytes_share_a_member(build, bundle_file):
    """Else registered twins double the size of a bundle, or make it unreadable."""
    chain, artifacts = build([], [Ridge().fit([[0.0], [1.0]], [0.0, 1.0])])
    twin = ChainArtifact(
        "my ridge", *(getattr(artifacts[0], f) for f in ("data", "format", "ext", "sha256"))
    )
    chain["fold_artifacts"]["fold_1"] = "my ridge"
    archive = read_archive(bundle_file((chain, [*artifacts, twin])))
    assert {len(data) for _, data in archive.read_all()} == {archive.members["my ridge"].size}
    assert set(archive.members) == {"my ridge", artifacts[0].artifact_id}


def test_wrong_requests_are_said(doubled):
    """Else an incomplete bundle is sent, and fails where nobody can mend it."""
    chain, artifacts = doubled
    with pytest.raises(StoreValueError, match="'zip' is no artifact format"):
        bundle_bytes(chain, artifacts, artifact_format="zip")
    with pytest.raises(StoreValueError, match=artifacts[0].artifact_id):
        bundle_bytes(chain, artifacts[1:])


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800", ["x" * (17 << 20)]])
def test_a_chain_that_no_reader_would_take_is_not_written(doubled, value):
    """Else the export succeeds and the bundle cannot be opened by anyone."""
    chain, artifacts = doubled
    chain["steps"][0]["params"] = {"a": value}
    with pytest.raises(StoreValueError, match=r"chain\.json of this chain cannot be written"):
        bundle_bytes(chain, artifacts)


def test_functions_are_kept_as_they_are(build, bundle_file):
    """Else a transformer that holds a function is lost on export."""
    built = build([FunctionTransformer(np.log1p)], [Ridge().fit([[0.0]], [0.0])])
    formats = {e["format"] for e in read_archive(bundle_file(built)).manifest["artifacts"].values()}
    assert formats == {"joblib", "arrays"}
