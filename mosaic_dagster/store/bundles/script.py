"""Writing a trained chain as one Python file that predicts without this package."""

from __future__ import annotations

import base64
import json
import pickletools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import resources
from typing import Any

import numpy as np

from mosaic_dagster.errors import StoreValueError, UntrustedArtifactError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles.script_plan import ScriptPlan, script_plan
from mosaic_dagster.store.bundles.writer import ChainArtifact, named_artifacts
from mosaic_dagster.store.chains import predict_chain
from mosaic_dagster.store.content.codecs import encode_arrays
from mosaic_dagster.store.formats import decode, describable, encode, runs_code
from mosaic_dagster.store.formats.versions import library_version

_TEMPLATE = "script_template.py"
_NEEDS_LINE = 'NEEDS: list[str] = ["numpy"]\n'
_PAYLOAD_LINE = 'PAYLOAD: str = "{}"\n'
_EMBEDDED = ("joblib", "pickle", "cloudpickle")
_NOT_PORTABLE = {"mosaic_dagster", "__main__"}
_INSTALLED_AS = {"sklearn": "scikit-learn"}
_LINEAR = {"coef_": "coef_", "intercept_": "intercept_"}
# What predicting takes of each known estimator: name in the script, attribute of the estimator.
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "StandardScaler": {n: n for n in ("mean_", "scale_", "with_mean", "with_std")},
    "MinMaxScaler": {n: n for n in ("scale_", "min_", "clip")},
    "RobustScaler": {n: n for n in ("center_", "scale_", "with_centering", "with_scaling")},
    "PCA": {n: n for n in ("components_", "mean_", "explained_variance_", "whiten")},
    "LinearRegression": _LINEAR,
    "Ridge": _LINEAR,
    "LogisticRegression": {**_LINEAR, "classes_": "classes_"},
    "PLSRegression": {
        **_LINEAR,
        "x_rotations_": "x_rotations_",
        "x_loadings_": "x_loadings_",
        "x_mean": "_x_mean",
        "x_std": "_x_std",
        "predict_1d": "_predict_1d",
    },
}


def script_text(
    chain: Mapping[str, Any], artifacts: Sequence[ChainArtifact], *, trusted: bool = True
) -> str:
    """Text of the ``.n4a.py`` of a chain.

    Known estimators become plain numbers, for which the script has its own few lines; everything
    else is embedded as joblib or pickle bytes and needs the packages that the script names at
    its top. Artifacts that predicting does not use are left out.

    Parameters
    ----------
    chain
        As the store gives it, JSON decoded.
    artifacts
        Every artifact that the chain names.
    trusted
        Whether artifacts may be loaded whose format runs code.

    Raises
    ------
    UntrustedArtifactError
        Predicting needs an artifact whose format runs code, and that is not allowed; nothing was
        loaded.
    StoreValueError
        A step has no fitted object, there are several sources, an artifact is not given or not
        fitted, or an object needs code that only this package or this session has.
    ReplayError
        The chain has no model.
    """
    given = {artifact.artifact_id: artifact for artifact in named_artifacts(chain, artifacts)}
    plan = script_plan(chain)
    if not trusted:
        _refuse_code([given[name] for name in plan.ids])
    objects = {
        name: decode(given[name].data, given[name].format, trusted=trusted) for name in plan.ids
    }
    plan = _usable(plan, objects)
    empty = predict_chain(chain, objects.__getitem__, np.empty((0, 1)))
    blobs, needs = {}, set[str]()
    for name in plan.ids:
        blobs[name], packages = _blob(given[name], objects[name])
        needs |= packages
    payload = {
        **asdict(plan),
        "classifier": _classifies(objects[plan.models[0]]),
        "empty": {"shape": empty.shape, "type": _type_of(empty, plan, blobs)},
        "blobs": blobs,
    }
    return _filled(_requirements(needs), payload)


def _refuse_code(artifacts: Iterable[ChainArtifact]) -> None:
    if risky := [a.artifact_id for a in artifacts if runs_code(a.format)]:
        msg = f"A script needs {', '.join(risky)} of this chain, and loading them can run code."
        raise UntrustedArtifactError(
            msg, "Open the store with allow_pickle=True if you know who made them."
        )


def _type_of(
    empty: np.ndarray[Any, Any], plan: ScriptPlan, blobs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Type of what the script predicts: classes that became numbers became plain text, too."""
    last = plan.targets[-1:] or plan.models
    numbers = all(blobs[name]["numbers"] for name in last)
    return str((_array(empty) if numbers else empty).dtype.str)


def _usable(plan: ScriptPlan, objects: Mapping[str, Any]) -> ScriptPlan:
    """The plan with its models alone, when every object has what is called of it."""
    for names, method in ((plan.transforms, "transform"), (plan.targets, "inverse_transform")):
        for name in names:
            if not hasattr(objects[name], method):
                msg = f"The {type(objects[name]).__name__} of this chain has no {method}."
                raise StoreValueError(msg, "Save its step with the role that it has.")
    # A shared model step may also keep what is no model.
    models = [name for name in plan.models if hasattr(objects[name], "predict")]
    return replace(plan, models=models)


def _classifies(model: Any) -> bool:
    if hasattr(model, "__sklearn_tags__"):
        from sklearn.base import is_classifier

        return bool(is_classifier(model))
    return getattr(model, "_estimator_type", None) == "classifier"


def _filled(needs: list[str], payload: Mapping[str, Any]) -> str:
    """Put values into the template; each enters as the literal of a text."""
    template = resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    lines = json.dumps(payload, indent=1, sort_keys=True, allow_nan=False).splitlines(True)
    literal = "\n".join(f"    {line!r}" for line in lines)
    for placeholder, filled in (
        (_NEEDS_LINE, f"NEEDS: list[str] = {needs!r}\n"),
        (_PAYLOAD_LINE, f"PAYLOAD: str = (\n{literal}\n)\n"),
    ):
        before, _, after = template.partition(placeholder)
        template = before + filled + after
    return template


def _blob(artifact: ChainArtifact, obj: Any) -> tuple[dict[str, Any], set[str]]:
    """One entry of the payload, and the packages that loading it takes."""
    numbers = _numbers(obj) if describable(obj) else None
    if numbers is not None:
        data, packages = encode_arrays(numbers), set[str]()
    elif artifact.format in _EMBEDDED:
        data, packages = artifact.data, _packages(artifact, obj)
    else:
        data, packages = encode(obj, "joblib").data, _packages(artifact, obj)
    blob = {
        "name": type(obj).__name__,
        "flat": type(obj).__name__ == "LabelEncoder",
        "numbers": numbers is not None,
        "sha256": digest_bytes(data),
        "data": base64.b64encode(data).decode("ascii"),
    }
    return blob, packages


def _numbers(obj: Any) -> dict[str, np.ndarray[Any, Any]] | None:
    """What predicting takes of a known estimator; None when it is not plain arrays."""
    fields = {"n_features_in_": "n_features_in_", **_FIELDS[type(obj).__name__]}
    try:
        values = {name: getattr(obj, attribute) for name, attribute in fields.items()}
    except AttributeError as error:
        msg = f"The {type(obj).__name__} of this chain is not fitted: {error}."
        raise StoreValueError(msg, "Export a chain that was trained.") from error
    if type(obj).__name__ == "MinMaxScaler":
        values["low"], values["high"] = obj.feature_range
    arrays = {name: _array(value) for name, value in values.items() if value is not None}
    return None if any(array.dtype.hasobject for array in arrays.values()) else arrays


def _array(value: Any) -> np.ndarray[Any, Any]:
    """Array of a value; an array of text objects becomes one of plain text."""
    array = np.asarray(value)
    if array.dtype.hasobject and all(isinstance(item, str) for item in array.flat):
        return array.astype(str)
    return array


def _packages(artifact: ChainArtifact, obj: Any) -> set[str]:
    """Top-level packages that unpickling an object imports."""
    pickled = artifact.format in ("pickle", "cloudpickle")
    data = artifact.data if pickled else encode(obj, "pickle").data
    found = {module.partition(".")[0] for module in _imported_modules(data)}
    if own := found & _NOT_PORTABLE:
        msg = f"A {type(obj).__name__} of this chain needs code of {', '.join(sorted(own))}."
        raise StoreValueError(msg, "Export it as 'n4a', which is read with this package.")
    return {"joblib", *found}


def _imported_modules(data: bytes) -> set[str]:
    """Modules that a pickle of ours names: the text pushed two before each global."""
    modules, pushed, memo = set[str](), list[Any](), dict[int, Any]()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif "PUT" in opcode.name:
            memo[int(str(argument))] = pushed[-1]
        elif "GET" in opcode.name:
            pushed.append(memo[int(str(argument))])
        elif opcode.name == "GLOBAL":
            modules.add(str(argument).partition(" ")[0])
            pushed.append(None)
        elif opcode.stack_after:
            if opcode.name == "STACK_GLOBAL":
                modules.add(str(pushed[-2]))
            pushed.append(argument if isinstance(argument, str) else None)
    return modules


def _requirements(packages: Iterable[str]) -> list[str]:
    """Names to install, with versions where a pickle is bound to them; numpy comes first."""
    others = sorted(set(packages) - {"numpy"} - sys.stdlib_module_names)
    versions = {name: library_version(name) for name in others}
    return [
        "numpy",
        *(
            f"{_INSTALLED_AS.get(name, name)}=={version}" if version else name
            for name, version in versions.items()
        ),
    ]
