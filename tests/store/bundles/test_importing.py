from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.errors import BundleError, UntrustedArtifactError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import (
    ChainArtifact,
    checked_import,
    read_archive,
    refuse_untrusted,
)
from mosaic_dagster.store.chains import artifact_ids, checked_chain, predict_chain
from mosaic_dagster.store.formats import decode


def test_an_imported_chain_predicts_as_before(doubled, bundle_file):
    """Else importing changes a model. As in the fixture: 4 gives 19."""
    chain, artifacts = checked_import(bundle_file(doubled))
    objects = {a.artifact_id: decode(a.data, a.format, trusted=False) for a in artifacts}
    assert predict_chain(chain, objects.__getitem__, [[4.0]]).tolist() == pytest.approx([19.0])
    assert [a.artifact_id for a in artifacts] == sorted(f"art_{a.sha256}" for a in artifacts)
    assert chain.pop("model_class") == "Model"
    assert chain.pop("preprocessings") == ""
    checked_chain(**chain)


def test_ids_are_those_of_the_bytes_wherever_the_chain_names_them(build, bundle_file):
    """Else an id of another workspace stands for something else in this one."""
    chain, (scaler, ridge) = build(
        [StandardScaler().fit([[0.0], [2.0]])], [Ridge().fit([[0.0], [1.0]], [0.0, 1.0])]
    )
    twin = ChainArtifact("twin", scaler.data, scaler.format, scaler.ext, scaler.sha256)
    chain["shared_artifacts"] = {
        "0": [scaler.artifact_id, "twin"],
        "_source_map": {"0": {"0": [scaler.artifact_id], "1": ["twin"]}},
    }
    chain["steps"][0]["artifact_id"] = "twin"
    chain["steps"][1]["artifact_ids"] = [ridge.artifact_id, "twin"]
    chain["fold_artifacts"]["fold_1"] = None
    path = bundle_file((chain, [scaler, ridge, twin]), artifact_format="keep")
    found, artifacts = checked_import(path)
    assert len(artifacts) == 2
    new = f"art_{scaler.sha256}"
    assert found["shared_artifacts"] == {
        "0": [new, new],
        "_source_map": {"0": {"0": [new], "1": [new]}},
    }
    assert found["steps"][0]["artifact_id"] == new
    assert found["steps"][1]["artifact_ids"] == [f"art_{ridge.sha256}", new]
    assert found["fold_artifacts"] == {"fold_0": f"art_{ridge.sha256}", "fold_1": None}
    named = artifact_ids(found["fold_artifacts"], found["shared_artifacts"], found["steps"])
    assert named == {a.artifact_id for a in artifacts}


def test_bytes_are_copied_and_never_loaded(build, bundle_file, tmp_path):
    """Else importing a file runs what is in it."""
    target = tmp_path / "ran"
    chain, (model,) = build([], [Ridge().fit([[0.0], [1.0]], [0.0, 1.0])], format="pickle")
    data = b"cbuiltins\nopen\n(S'" + str(target).encode() + b"'\nS'w'\ntR."
    bomb = ChainArtifact(model.artifact_id, data, "pickle", "pkl", digest_bytes(data))
    path = bundle_file((chain, [bomb]), artifact_format="keep")
    _, (found,) = checked_import(path)
    assert (found.data, found.format, found.ext) == (data, "pickle", "pkl")
    assert not target.exists()


def test_strangers_skops_files_need_trust(build):
    """Else a forged forest becomes one of our own, whose types are trusted, and crashes replay."""
    forest = RandomForestRegressor(n_estimators=1, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    _, tree = build([], [forest], format="skops")
    with pytest.raises(UntrustedArtifactError, match=r"f\.n4a.*sklearn\.tree\._tree\.Tree"):
        refuse_untrusted(Path("f.n4a"), tree)
    _, ridge = build([], [Ridge().fit([[0.0], [1.0]], [0.0, 1.0])], format="skops")
    refuse_untrusted(Path("f.n4a"), ridge)
    with pytest.raises(BundleError, match=r"f\.n4a.*not a readable skops file"):
        refuse_untrusted(Path("f.n4a"), [replace(ridge[0], data=b"PK")])


def test_a_damaged_bundle_gives_nothing(doubled, bundle_file, rewrite):
    """Else half of a chain is stored before the damage is seen."""
    path = bundle_file(doubled)
    *_, last = read_archive(path).members.values()
    with pytest.raises(BundleError, match=last.sha256):
        checked_import(rewrite(path, {last.file: b"\0" * last.size}))
