import json
import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mosaic_dagster.errors import BundleError, StoreValueError, UntrustedArtifactError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import ChainArtifact, load_bundle, read_archive
from mosaic_dagster.store.chains import predict_chain
from mosaic_dagster.store.formats import LibraryVersionWarning, decode


def replayed(built, X):
    chain, artifacts = built
    objects = {a.artifact_id: decode(a.data, a.format) for a in artifacts}
    return predict_chain(chain, objects.__getitem__, X)


def pickle_bomb(target):
    """Pickle bytes that create a file when they are loaded: ``open(target, "w")``."""
    return b"cbuiltins\nopen\n(S'" + str(target).encode() + b"'\nS'w'\ntR."


def bomb_artifact(target, format="pickle"):
    data = pickle_bomb(target)
    sha256 = digest_bytes(data)
    return ChainArtifact(f"art_{sha256}", data, format, "pkl", sha256, "Ridge")


def test_a_bundle_predicts_as_its_chain(doubled, bundle_file):
    """Else what is given to others predicts something else.

    As in the fixture: 4 gives 19, 1 gives 10.
    """
    bundle = load_bundle(bundle_file(doubled))
    assert bundle.predict([[4.0], [1.0]]).tolist() == pytest.approx([19.0, 10.0])
    X = np.linspace(-3, 9, 20)[:, None]
    np.testing.assert_allclose(bundle.predict(X), replayed(doubled, X), rtol=0, atol=1e-12)


def test_weights_y_steps_and_classes_predict_as_their_chain(build, bundle_file):
    """Else only the simplest chains can be given away."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    labels = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]
    models = [LogisticRegression(C=c).fit(X[k::2], labels[k::2]) for k, c in ((0, 1.0), (1, 9.0))]
    classes = build([StandardScaler().fit(X)], models, weights=[1.0, 2.0])
    assert (load_bundle(bundle_file(classes)).predict(X) == replayed(classes, X)).all()
    target = StandardScaler().fit([[0.0], [20.0]])
    forest = RandomForestRegressor(n_estimators=2, random_state=0).fit(X, X[:, 0])
    numbers = build([StandardScaler().fit(X)], [forest], [target])
    path = bundle_file(numbers)
    np.testing.assert_allclose(
        load_bundle(path, trusted=True).predict(X), replayed(numbers, X), rtol=0, atol=1e-9
    )


def test_a_pickle_bomb_does_not_run(build, bundle_file, tmp_path):
    """Else opening a stranger's file runs the stranger's program."""
    target = tmp_path / "ran"
    bomb = bomb_artifact(target)
    chain, artifacts = build([StandardScaler().fit([[0.0], [2.0]])])
    chain["fold_artifacts"] = {"all": bomb.artifact_id}
    bundle = load_bundle(bundle_file((chain, [*artifacts, bomb]), artifact_format="keep"))
    for use in (lambda: bundle.predict([[1.0]]), bundle.artifacts):
        with pytest.raises(UntrustedArtifactError, match=r"artifacts/.*\.pkl") as caught:
            use()
        assert bomb.sha256 in str(caught.value)
    assert not target.exists()
    load_bundle(bundle._archive.path, trusted=True).artifacts()[bomb.artifact_id].close()
    assert target.exists(), "the bomb is none, so this test would prove nothing"


def test_a_bomb_that_says_it_is_safe_does_not_run(build, bundle_file, tmp_path):
    """Else a lie in the manifest is enough to get code run."""
    target = tmp_path / "ran"
    for format in ("arrays", "npy", "json", "skops"):
        bomb = bomb_artifact(target, format)
        chain, _ = build()
        chain["fold_artifacts"] = {"all": bomb.artifact_id}
        bundle = load_bundle(bundle_file((chain, [bomb]), artifact_format="keep"))
        with pytest.raises(StoreValueError):
            bundle.predict([[1.0]])
    assert not target.exists()


def test_everything_that_needs_trust_is_listed(build, bundle_file):
    """Else people find out one file at a time."""
    forests = [RandomForestRegressor(n_estimators=1, random_state=k) for k in (1, 2)]
    built = build(
        [StandardScaler().fit([[0.0]])], [f.fit([[0.0]], [k]) for k, f in enumerate(forests)]
    )
    path = bundle_file(built)
    with pytest.raises(UntrustedArtifactError) as caught:
        load_bundle(path).predict([[0.0]])
    risky = [
        e["file"]
        for e in read_archive(path).manifest["artifacts"].values()
        if e["format"] == "joblib"
    ]
    assert len(risky) == 2
    assert all(file in str(caught.value) for file in risky)


def test_members_that_predicting_skips_need_no_trust(build, bundle_file):
    """Else a splitter that was saved beside the model locks a harmless bundle."""
    chain, artifacts = build(
        [StandardScaler().fit([[0.0], [2.0]])], [LogisticRegression().fit([[0.0], [1.0]], [0, 1])]
    )
    split, others = build([FunctionTransformer(np.sqrt)])
    chain["steps"][-1]["step_idx"] = chain["model_step_idx"] = 5
    chain["steps"].insert(1, {**split["steps"][0], "step_idx": 3, "role": "split"})
    chain["shared_artifacts"]["3"] = split["shared_artifacts"]["0"]
    bundle = load_bundle(bundle_file((chain, [*artifacts, *others])))
    assert bundle.predict([[9.0]]).tolist() == [1]
    with pytest.raises(UntrustedArtifactError):
        bundle.artifacts()


@pytest.mark.slow
def test_skops_members_need_their_types_named(build, bundle_file):
    """Else types that nobody looked at are built from a stranger's file."""
    forest = RandomForestRegressor(n_estimators=1, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    path = bundle_file(build([], [forest], format="skops"))
    with pytest.raises(UntrustedArtifactError, match=r"sklearn\.tree\._tree\.Tree") as caught:
        load_bundle(path).predict([[1.0]])
    assert "trusted_types" in str(caught.value)
    expected = forest.predict([[1.0]]).tolist()
    types = ["sklearn.tree._tree.Tree"]
    assert load_bundle(path, trusted_types=types).predict([[1.0]]).tolist() == expected
    assert load_bundle(path, trusted=True).predict([[1.0]]).tolist() == expected


def test_other_library_versions_are_told_once(doubled, bundle_file, rewrite):
    """Else a bundle predicts differently under another library and nobody thinks of it."""
    path = bundle_file(doubled)
    manifest = read_archive(path).manifest
    manifest["library_versions"] |= {"numpy": "1.0.0", "python": "2.7.18"}
    bundle = load_bundle(rewrite(path, {"manifest.json": json.dumps(manifest).encode()}))
    with pytest.warns(LibraryVersionWarning, match=r"python 2\.7\.18 .*numpy 1\.0\.0 \(here"):
        bundle.predict([[4.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundle.predict([[4.0]])


def test_the_patch_level_of_python_is_not_told(doubled, bundle_file, rewrite):
    """Else every bundle warns, and warnings are no longer read."""
    path = bundle_file(doubled)
    manifest = read_archive(path).manifest
    minor = manifest["library_versions"]["python"].rpartition(".")[0]
    manifest["library_versions"]["python"] = f"{minor}.999"
    bundle = load_bundle(rewrite(path, {"manifest.json": json.dumps(manifest).encode()}))
    assert bundle.predict([[4.0]]).tolist() == pytest.approx([19.0])


def test_objects_are_loaded_once_and_checked(doubled, bundle_file, rewrite):
    """Else predicting row by row reads the file each time, or damaged models predict."""
    path = bundle_file(doubled)
    bundle = load_bundle(path)
    assert bundle.artifacts().keys() == bundle.manifest["artifacts"].keys()
    first = bundle.artifacts()
    path.unlink()
    assert all(bundle.artifacts()[name] is obj for name, obj in first.items())
    bundle_file(doubled)
    entry = next(iter(bundle.manifest["artifacts"].values()))
    damaged = load_bundle(rewrite(path, {entry["file"]: b"\0" * entry["size"]}))
    with pytest.raises(BundleError, match=entry["sha256"]):
        damaged.artifacts()
