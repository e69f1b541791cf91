import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC

import mosaic_dagster
from mosaic_dagster.errors import StoreValueError, UntrustedArtifactError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import ChainArtifact, script_text
from mosaic_dagster.store.chains import predict_chain
from mosaic_dagster.store.formats import decode

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 4)) * [1, 10, 0.1, 5] + [0, 3, -2, 7]
Y = X @ [1.0, -0.2, 4.0, 0.3] + RNG.normal(size=60) * 0.1
TEXT = np.array(["left", "right", "still"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 8)]
FRESH = RNG.normal(size=(25, 4)) * [1, 10, 0.1, 5] + [0, 3, -2, 7]
WITHOUT_PACKAGE = """
import sys
BLOCKED = {"mosaic_dagster", *sys.argv[1].split(",")}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
import runpy
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def replayed(built, table):
    chain, artifacts = built
    objects = {a.artifact_id: decode(a.data, a.format) for a in artifacts}
    return predict_chain(chain, objects.__getitem__, table)


def module(built, tmp_path):
    """The script of a chain, run as a module."""
    path = tmp_path / "model.n4a.py"
    path.write_text(script_text(*built), encoding="utf-8")
    return runpy.run_path(str(path))


def run(path, *arguments, without=""):
    """A script in its own folder, in a process that finds neither this package nor ``without``."""
    return subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_PACKAGE, without, path.name, *map(str, arguments)],
        cwd=path.parent,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_equal(built, tmp_path, table=FRESH):
    """The script predicts what replaying does, in the same shape, and leaves its input alone."""
    expected = replayed(built, table)
    script = module(built, tmp_path)
    given = table.copy()
    found = script["predict"](given)
    np.testing.assert_array_equal(given, table)
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    else:
        assert found.tolist() == expected.tolist()
    empty, none = script["predict"](table[:0]), replayed(built, table[:0])
    assert (empty.shape, empty.dtype.kind) == (none.shape, found.dtype.kind)
    assert (none.shape[1:], none.dtype) == (expected.shape[1:], expected.dtype)
    return script


TRANSFORMS = {
    "standard": StandardScaler(),
    "only mean": StandardScaler(with_std=False),
    "only deviation": StandardScaler(with_mean=False),
    "neither": StandardScaler(with_mean=False, with_std=False),
    "range": MinMaxScaler(feature_range=(-1, 2)),
    "clipped range": MinMaxScaler(clip=True),
    "robust": RobustScaler(quantile_range=(10, 80)),
    "only median": RobustScaler(with_scaling=False),
    "only quantiles": RobustScaler(with_centering=False),
    "components": PCA(n_components=3),
    "white components": PCA(n_components=2, whiten=True),
    "latent": PLSRegression(n_components=2),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_known_transforms_need_numpy_only(build, tmp_path, name):
    """Else a script scales or projects in another way than the chain was trained with."""
    operator = TRANSFORMS[name].fit(X, Y)
    model = Ridge().fit(operator.transform(X), Y)
    script = assert_equal(build([operator], [model]), tmp_path)
    assert script["NEEDS"] == ["numpy"]


MODELS = {
    "least squares": (LinearRegression(), Y),
    "no intercept": (LinearRegression(fit_intercept=False), Y),
    "two outputs": (LinearRegression(), np.c_[Y, -Y]),
    "one column": (LinearRegression(), Y[:, None]),
    "ridge": (Ridge(alpha=3.0), Y),
    "ridge of two outputs": (Ridge(), np.c_[Y, Y**2]),
    "latent": (PLSRegression(n_components=3), Y),
    "latent unscaled": (PLSRegression(n_components=2, scale=False), np.c_[Y, -Y]),
    "two classes": (LogisticRegression(max_iter=9999), (np.median(Y) < Y).astype(int)),
    "three classes of text": (LogisticRegression(max_iter=9999), TEXT),
    "classes of text objects": (LogisticRegression(max_iter=9999), TEXT.astype(object)),
}


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_known_models_need_numpy_only(build, tmp_path, name, folds):
    """Else a script predicts other numbers or labels; 3 folds are averaged, or vote."""
    model, y = MODELS[name]
    models = [clone(model).fit(X[k::folds], y[k::folds]) for k in range(folds)]
    weights = [1.0, 0.0, 2.5][:folds] if folds > 1 else None
    for given in (None, weights):
        assert assert_equal(build([], models, weights=given), tmp_path)["NEEDS"] == ["numpy"]


def test_folds_with_other_classes_are_averaged_over_all(build, tmp_path):
    """Else a fold that never saw a class shifts the columns of the others."""
    seen = TEXT != "left"
    models = [
        LogisticRegression(max_iter=9999).fit(X, TEXT),
        LogisticRegression(max_iter=9999).fit(X[seen], TEXT[seen]),
    ]
    assert_equal(build([], models, weights=[1.0, 1.5]), tmp_path)


def test_votes_without_probabilities(build, tmp_path):
    """Else classifiers that only give labels are averaged as if labels were numbers."""
    models = [SVC(C=c).fit(X, TEXT) for c in (0.01, 1.0, 100.0)]
    script = assert_equal(build([StandardScaler().fit(X)], models), tmp_path)
    assert [need.partition("==")[0] for need in script["NEEDS"]][:2] == ["numpy", "joblib"]
    assert any(need.startswith("scikit-learn==") for need in script["NEEDS"])


@pytest.mark.parametrize(
    "targets",
    [
        (StandardScaler(),),
        (MinMaxScaler(), RobustScaler(), StandardScaler()),
        (PCA(whiten=True),),
        (PowerTransformer(),),
    ],
)
def test_y_steps_are_undone_from_the_last(build, tmp_path, targets):
    """Else predictions come in the unit of the training, not of the target."""
    y = Y[:, None]
    for target in targets:
        y = target.fit_transform(y)
    models = [Ridge().fit(X[k::2], y[k::2, 0]) for k in (0, 1)]
    assert_equal(build([], models, targets), tmp_path)


def test_latent_scores_of_several_targets_are_undone(build, tmp_path):
    """Else a projection of several targets cannot be carried back."""
    target = PLSRegression(n_components=2).fit(np.c_[Y, Y**2, -X[:, 0]], Y)
    model = LinearRegression().fit(X, target.transform(np.c_[Y, Y**2, -X[:, 0]]))
    assert_equal(build([], [model], [target]), tmp_path)


def test_encoded_labels_come_back_as_text(build, tmp_path):
    """Else people get codes that mean nothing outside the workspace."""
    encoder = LabelEncoder().fit(TEXT)
    model = RandomForestClassifier(n_estimators=3, random_state=0).fit(X, encoder.transform(TEXT))
    assert_equal(build([], [model], [encoder], formats={id(model): "pickle"}), tmp_path)


def test_float32_is_treated_as_the_estimators_do(build, tmp_path):
    """Else tables of single precision are predicted in another precision, off by 1e-7."""
    scaler = StandardScaler().fit(X)
    built = build([scaler], [Ridge().fit(scaler.transform(X), Y)])
    assert_equal(built, tmp_path, FRESH.astype(np.float32))


def test_several_outputs_of_any_model_keep_their_columns(build, tmp_path):
    """Else predictions for an empty recording cannot be put below those of the others."""
    two = np.c_[Y, Y**2]
    for model in (KNeighborsRegressor().fit(X, two), MultiOutputRegressor(Ridge()).fit(X, two)):
        assert_equal(build([], [model]), tmp_path)


def test_labels_kept_as_objects_have_one_type(build, tmp_path):
    """Else labels of an empty recording are plain text and the others objects, or in reverse."""
    labels = TEXT.astype(object)
    known = LogisticRegression(max_iter=9999).fit(X, labels)
    assert_equal(build([], [known]), tmp_path)
    assert_equal(build([], [SVC().fit(X, labels)]), tmp_path)
    encoder = LabelEncoder().fit(labels)
    coded = LogisticRegression(max_iter=9999).fit(X, encoder.transform(labels))
    assert_equal(build([], [coded], [encoder]), tmp_path)


def test_without_trust_no_code_is_run(build, tmp_path):
    """Else a store opened with allow_pickle=False runs a pickle when it exports."""
    target = tmp_path / "ran"
    chain, (model,) = build([], [Ridge().fit(X, Y)], format="pickle")
    data = b"cbuiltins\nopen\n(S'" + str(target).encode() + b"'\nS'w'\ntR."
    bomb = ChainArtifact(model.artifact_id, data, "pickle", "pkl", digest_bytes(data))
    with pytest.raises(UntrustedArtifactError, match=model.artifact_id):
        script_text(chain, [bomb], trusted=False)
    assert not target.exists()
    safe = build([StandardScaler().fit(X)], [Ridge().fit(X, Y)], format="arrays")
    assert script_text(*safe, trusted=False) == script_text(*safe)


@pytest.mark.slow
def test_skops_members_are_embedded_without_skops(build, tmp_path):
    """Else a script needs skops, which its user does not have."""
    forest = RandomForestRegressor(n_estimators=2, random_state=0).fit(X, Y)
    script = assert_equal(build([], [forest], format="skops"), tmp_path)
    assert not any("skops" in need for need in script["NEEDS"])


def test_operators_get_their_wavelengths(build, tmp_path):
    """Else an operator that shifts by wavelength works with none; x - 1 is then predicted."""
    source = (
        "class Shift:\n"
        "    requires_wavelengths = True\n"
        "    def transform(self, X, wavelengths):\n"
        "        return X - wavelengths\n"
    )
    (tmp_path / "shifting.py").write_text(source)
    sys.path.insert(0, str(tmp_path))
    try:
        from shifting import Shift

        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
        script = module(build([Shift()], [model]), tmp_path)
        assert script["predict"]([[5.0]], wavelengths=np.ones(1)).tolist() == pytest.approx([4.0])
        assert "shifting" in script["NEEDS"]
        with pytest.raises(ValueError, match="Shift needs wavelengths"):
            script["predict"]([[5.0]])
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["shifting"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_models_refuse_what_they_cannot_take(build, tmp_path, bad):
    """Else a gap in the data becomes a prediction of NaN, or of nonsense."""
    script = module(build([StandardScaler().fit(X)], [Ridge().fit(X, Y)]), tmp_path)
    table = FRESH.copy()
    table[3, 2] = bad
    with pytest.raises(ValueError, match=r"takes no (nan|inf) \(sample 3, column 2\)"):
        script["predict"](table)
    with pytest.raises(ValueError, match="StandardScaler takes 4 columns, got 3"):
        script["predict"](FRESH[:, :3])
    with pytest.raises(ValueError, match="two dimensions"):
        script["predict"](FRESH[0])


def test_damaged_content_is_refused(build, tmp_path):
    """Else an edited script predicts with another model."""
    text = script_text(*build([], [Ridge().fit(X, Y)]))
    blob = max(re.findall(r"[A-Za-z0-9+/]{200,}", text), key=len)
    place = text.index(blob) + len(blob) // 2
    path = tmp_path / "m.py"
    path.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
    with pytest.raises(ValueError, match="damaged"):
        runpy.run_path(str(path))["predict"](FRESH)


HOSTILE = [
    '"""+__import__("os").abort()+"""',
    "'''\\",
    "\n)\nraise SystemExit(9)\n#",
    "{}\\x27\u2028",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_the_store_never_become_code(build, tmp_path, name):
    """Else a model with a crafted name runs a program on the machine of whoever uses the script."""
    chain, (artifact,) = build([], [Ridge().fit(X, Y)])
    chain["model_class"] = chain["chain_id"] = chain["preprocessings"] = name
    chain["steps"][0]["operator_class"] = name
    chain["fold_artifacts"] = {name: name}
    artifacts = [type(artifact)(name, artifact.data, "joblib", "joblib", artifact.sha256, name)]
    text = script_text(chain, artifacts)
    template = Path(mosaic_dagster.__file__).parent / "store/bundles/script_template.py"
    kinds = [[type(n).__name__ for n in ast.parse(t).body] for t in (text, template.read_text())]
    assert kinds[0] == kinds[1]
    path = tmp_path / "m.py"
    path.write_text(text, encoding="utf-8")
    found = runpy.run_path(str(path))["predict"](FRESH)
    np.testing.assert_allclose(found, replayed((chain, artifacts), FRESH), rtol=0, atol=1e-9)


def test_scripts_are_the_same_each_time_and_import_nothing_of_ours(build):
    """Else a script under version control changes, or needs this package after all."""
    built = build([StandardScaler().fit(X)], [Ridge().fit(X, Y)])
    text = script_text(*built)
    assert script_text(*built) == text
    imported = {
        name.name.partition(".")[0] if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "joblib"}


def test_unused_artifacts_are_left_out(build):
    """Else a script carries, and needs the packages of, what only mattered in training."""
    chain, artifacts = build([FunctionTransformer(np.sqrt)], [Ridge().fit(X, Y)])
    chain["steps"][0]["role"] = "split"
    text = script_text(chain, artifacts)
    assert 'NEEDS: list[str] = ["numpy"]' in text.replace("'", '"')


def test_what_no_script_can_carry_is_refused_at_export(build):
    """Else the script is written and fails where nobody can mend it."""
    ours = FunctionTransformer(mosaic_dagster.store.bundles.zip_bytes)
    with pytest.raises(StoreValueError, match="needs code of mosaic_dagster"):
        script_text(*build([ours], [Ridge().fit(X, Y)]))
    with pytest.raises(StoreValueError, match="Ridge of this chain is not fitted"):
        script_text(*build([], [Ridge()]))
    with pytest.raises(StoreValueError, match="Ridge of this chain has no transform"):
        script_text(*build([Ridge().fit(X, Y)], [Ridge().fit(X, Y)]))
    with pytest.raises(StoreValueError, match="LinearRegression of this chain has no inverse"):
        script_text(*build([], [Ridge().fit(X, Y)], [LinearRegression().fit(X, Y)]))


def test_the_command_predicts_with_numpy_alone(doubled, tmp_path):
    """Else the file given to a colleague needs more than it says. As in the fixture: 19 and 10."""
    path = tmp_path / "model.n4a.py"
    path.write_text(script_text(*doubled), encoding="utf-8")
    (tmp_path / "in.csv").write_text("\ufeffx\n4\n1.0\n", encoding="utf-8")
    without = "sklearn,joblib,scipy,polars,skops"
    done = run(path, "in.csv", without=without)
    assert (done.returncode, done.stderr) == (0, "")
    header, *values = done.stdout.splitlines()
    assert header == "prediction"
    assert [float(value) for value in values] == pytest.approx([19.0, 10.0])
    assert run(path, "in.csv", "out.csv", without=without).stdout == ""
    assert (tmp_path / "out.csv").read_text() == done.stdout


@pytest.fixture
def command(doubled, build, tmp_path, capsys):
    """Runs the command line of the script in this process: exit code, output, errors."""
    main = module(doubled, tmp_path)["main"]

    def call(content, *more):
        path = tmp_path / "in.csv"
        path.write_bytes(content)
        return main(["model.n4a.py", str(path), *map(str, more)]), *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no header line"),
        (b"x\n1\nabc\n", "line 3, column 'x': 'abc' is not a number"),
        (b"x\n1,2\n", "line 2: 2 cells below 1 columns"),
        (b"x,y\n1,2\n", "takes 1 columns, got 2"),
        (b"x\n1\nnan\n", "takes no nan (sample 1, column 0)"),
        (b'x,y\n1,\n""\n', "line 3: 1 cells below 2 columns"),
        (b"x\ninf\n", "takes no inf"),
        (b"x\n\xff\n", "utf-8"),
        (b'x\n"1\n', "unexpected end of data"),
    ],
)
def test_bad_input_ends_with_one_and_a_reason(command, content, reason):
    """Else a mistake in a table ends in a traceback, or in a wrong prediction."""
    code, output, errors = command(content)
    assert (code, output) == (1, "")
    assert reason in errors
    assert "Traceback" not in errors


def test_files_that_cannot_be_opened_and_wrong_usage(doubled, tmp_path, command, capsys):
    """Else a typing error ends in a traceback."""
    main = module(doubled, tmp_path)["main"]
    assert main(["m.py", str(tmp_path / "gone.csv")]) == 1
    assert "gone.csv" in capsys.readouterr().err
    code, _, errors = command(b"x\n1\n", tmp_path / "no" / "out.csv")
    assert (code, "out.csv" in errors) == (1, True)
    assert main(["m.py"]) == 2
    assert "usage" in capsys.readouterr().err


def test_tables_without_rows_and_several_outputs(command, build, tmp_path, capsys):
    """Else an empty recording stops a loop over files, or outputs lose their columns."""
    assert command(b"x\n") == (0, "prediction\n", "")
    model = LinearRegression().fit([[0.0], [1.0]], [[0.0, 5.0], [1.0, 5.0]])
    main = module(build([], [model]), tmp_path)["main"]
    (tmp_path / "one.csv").write_text("x\n0\n\n")
    assert main(["m.py", str(tmp_path / "one.csv")]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "prediction_0,prediction_1"
    assert [float(v) for v in row.split(",")] == pytest.approx([0.0, 5.0], abs=1e-12)


def test_a_missing_package_is_named(build, tmp_path):
    """Else the user sees a traceback instead of what to install."""
    path = tmp_path / "model.n4a.py"
    path.write_text(script_text(*build([], [SVC().fit(X, TEXT)])), encoding="utf-8")
    (tmp_path / "in.csv").write_text("a,b,c,d\n1,2,3,4\n")
    done = run(path, "in.csv", without="joblib")
    assert done.returncode == 1
    assert re.search(r"joblib.*needs numpy, joblib==.*, scikit-learn==", done.stderr)
    assert "Traceback" not in done.stderr
