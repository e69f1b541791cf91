"""Predict with one trained chain, which this file holds.

``python <this file> input.csv [output.csv]`` reads a CSV file with a header line and numbers
below it, and prints the predictions or writes them. In Python, load the file as a module and call
``predict(X)``. What must be installed stands in ``NEEDS``.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import inspect
import io
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

NEEDS: list[str] = ["numpy"]

PAYLOAD: str = "{}"

_USAGE = "usage: python {} input.csv [output.csv]"
_loaded: dict[str, Any] = {}


class Fitted:
    """A fitted estimator given by its numbers alone."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def features(self, X: Any, nan: bool = False) -> Any:
        """Copy of a matrix that has the columns it was fitted on."""
        X = self.matrix(X, nan)
        if X.shape[1] != self.n_features_in_:
            _refuse(f"{type(self).__name__} takes {self.n_features_in_} columns, got {X.shape[1]}")
        return X

    def matrix(self, X: Any, nan: bool = False) -> Any:
        """Copy of a matrix of finite numbers, or with gaps where they are allowed."""
        X = np.asarray(X)
        X = np.array(X, dtype=X.dtype if X.dtype == np.float32 else np.float64)
        if X.ndim != 2:
            _refuse(f"{type(self).__name__} takes a matrix, got {X.ndim} dimension(s)")
        bad = np.isinf(X) if nan else ~np.isfinite(X)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            _refuse(
                f"{type(self).__name__} takes no {X[row, column]} (sample {row}, column {column})"
            )
        return X


class StandardScaler(Fitted):
    """(x - mean) / scale."""

    def transform(self, X: Any) -> Any:
        """Scale."""
        X = self.features(X, nan=True)
        if self.with_mean:
            X -= self.mean_.astype(X.dtype)
        if self.with_std:
            X /= self.scale_.astype(X.dtype)
        return X

    def inverse_transform(self, X: Any) -> Any:
        """Undo the scaling."""
        X = self.matrix(X, nan=True)
        if self.with_std:
            X *= self.scale_.astype(X.dtype)
        if self.with_mean:
            X += self.mean_.astype(X.dtype)
        return X


class MinMaxScaler(Fitted):
    """x * scale + minimum, cut at the ends where asked."""

    def transform(self, X: Any) -> Any:
        """Scale."""
        X = self.features(X, nan=True)
        X *= self.scale_
        X += self.min_
        return np.clip(X, self.low, self.high) if self.clip else X

    def inverse_transform(self, X: Any) -> Any:
        """Undo the scaling."""
        X = self.matrix(X, nan=True)
        X -= self.min_
        X /= self.scale_
        return X


class RobustScaler(Fitted):
    """(x - median) / range between two quantiles."""

    def transform(self, X: Any) -> Any:
        """Scale."""
        X = self.features(X, nan=True)
        if self.with_centering:
            X -= self.center_
        if self.with_scaling:
            X /= self.scale_
        return X

    def inverse_transform(self, X: Any) -> Any:
        """Undo the scaling."""
        X = self.matrix(X, nan=True)
        if self.with_scaling:
            X *= self.scale_
        if self.with_centering:
            X += self.center_
        return X


class PCA(Fitted):
    """(x - mean) on the components, divided by their deviations where asked."""

    def transform(self, X: Any) -> Any:
        """Project."""
        scores = self.features(X) @ self.components_.T
        scores -= self.mean_.reshape(1, -1) @ self.components_.T
        if self.whiten:
            scale = np.sqrt(self.explained_variance_)
            scores /= np.maximum(scale, np.finfo(scale.dtype).eps)
        return scores

    def inverse_transform(self, X: Any) -> Any:
        """Go back to the columns."""
        components = self.components_
        if self.whiten:
            components = np.sqrt(self.explained_variance_[:, np.newaxis]) * components
        return self.matrix(X) @ components + self.mean_


class Linear(Fitted):
    """x @ coefficients + intercept."""

    def predict(self, X: Any) -> Any:
        """Predict numbers."""
        coefficients = self.coef_ if self.coef_.ndim == 1 else self.coef_.T
        return self.features(X) @ coefficients + self.intercept_


class LinearRegression(Linear):
    """Least squares."""


class Ridge(Linear):
    """Least squares with a penalty."""


class PLSRegression(Fitted):
    """Partial least squares."""

    def predict(self, X: Any) -> Any:
        """Predict numbers."""
        X = self.features(X)
        X -= self.x_mean
        predicted = X @ self.coef_.T + self.intercept_
        return predicted.ravel() if self.predict_1d else predicted

    def transform(self, X: Any) -> Any:
        """Scores on the latent variables."""
        X = self.features(X)
        X -= self.x_mean
        X /= self.x_std
        return X @ self.x_rotations_

    def inverse_transform(self, X: Any) -> Any:
        """Go back from the scores to the columns."""
        X = self.matrix(X) @ self.x_loadings_.T
        X *= self.x_std
        X += self.x_mean
        return X


class LogisticRegression(Fitted):
    """Classes by the logistic function of two, or the softmax of several."""

    def decision_function(self, X: Any) -> Any:
        """Signed distances, of shape (n,) for two classes, else (n, classes)."""
        scores = self.features(X) @ self.coef_.T + self.intercept_
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict_proba(self, X: Any) -> Any:
        """Probability of each class."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            small = np.exp(-np.abs(scores))
            second = np.where(scores >= 0, 1.0, small) / (1.0 + small)
            return np.stack([1 - second, second], axis=1)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """Label of the likeliest class."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[best]


_FITTED = {
    cls.__name__: cls
    for cls in (
        StandardScaler,
        MinMaxScaler,
        RobustScaler,
        PCA,
        LinearRegression,
        Ridge,
        PLSRegression,
        LogisticRegression,
    )
}


def predict(X: Any, wavelengths: Any = None) -> Any:
    """Predict from a matrix of shape (samples, columns).

    Returns one number or label per sample, or one row of numbers for several outputs.
    """
    plan = _plan()
    X = np.array(X)
    if X.ndim != 2:
        _refuse(f"X must have two dimensions, not {X.ndim}")
    if len(X) == 0:
        return np.empty(plan["empty"]["shape"], plan["empty"]["type"])
    for key in plan["transforms"]:
        X = _transformed(_object(key), X, wavelengths)
    predicted = _combined([_object(key) for key in plan["models"]], X, plan)
    for key in plan["targets"]:
        values = predicted if plan["blobs"][key]["flat"] else _column(predicted)
        predicted = _flat(_object(key).inverse_transform(values))
    return predicted


def _transformed(operator: Any, X: Any, wavelengths: Any) -> Any:
    if getattr(operator, "requires_wavelengths", False) and wavelengths is None:
        _refuse(f"{type(operator).__name__} needs wavelengths")
    if wavelengths is not None and "wavelengths" in _parameters(operator.transform):
        return operator.transform(X, wavelengths=wavelengths)
    return operator.transform(X)


def _parameters(function: Any) -> Any:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()


def _combined(models: list[Any], X: Any, plan: Any) -> Any:
    if len(models) == 1:
        return _flat(models[0].predict(X))
    weights = np.ones(len(models)) if plan["weights"] is None else np.array(plan["weights"])
    soft = all(hasattr(m, "predict_proba") and hasattr(m, "classes_") for m in models)
    if plan["classifier"] and soft:
        chances = [model.predict_proba(X) for model in models]
        if not isinstance(chances[0], list):
            return _likeliest(chances, [np.asarray(m.classes_) for m in models], weights)
    answers = np.stack([_flat(model.predict(X)) for model in models])
    if plan["classifier"] or answers.dtype.kind not in "biuf":
        return _voted(answers, weights)
    return np.tensordot(weights / weights.sum(), answers, axes=1)


def _likeliest(chances: list[Any], classes: list[Any], weights: Any) -> Any:
    """Label of the greatest mean probability; a model gives 0 to a class it does not know."""
    known = np.unique(np.concatenate(classes))
    total = np.zeros((len(chances[0]), len(known)))
    for chance, labels, weight in zip(chances, classes, weights, strict=True):
        total[:, np.searchsorted(known, labels)] += weight * chance
    return known[total.argmax(axis=1)]


def _voted(answers: Any, weights: Any) -> Any:
    """Label with the greatest weight behind it, the smallest of several."""
    known = np.unique(answers)
    factors = weights.reshape((-1,) + (1,) * (answers.ndim - 1))
    return known[
        np.stack([(factors * (answers == label)).sum(axis=0) for label in known]).argmax(0)
    ]


def _column(values: Any) -> Any:
    values = np.asarray(values)
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _flat(values: Any) -> Any:
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _plan() -> Any:
    if "plan" not in _loaded:
        _loaded["plan"] = json.loads(PAYLOAD)
    return _loaded["plan"]


def _object(key: str) -> Any:
    """The object of one blob; its bytes are checked before they are used."""
    if key not in _loaded:
        blob = _plan()["blobs"][key]
        data = base64.b64decode(blob["data"])
        if hashlib.sha256(data).hexdigest() != blob["sha256"]:
            _refuse(f"this file is damaged: {blob['name']} is not what was exported")
        _loaded[key] = _numbers(data, blob["name"]) if blob["numbers"] else _unpacked(data)
    return _loaded[key]


def _numbers(data: bytes, name: str) -> Any:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return _FITTED[name]({field: archive[field] for field in archive.files})


def _unpacked(data: bytes) -> Any:
    import joblib

    return joblib.load(io.BytesIO(data))


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


def read_csv(path: str) -> Any:
    """Matrix of the numbers below the header line of a CSV file; an empty cell is NaN."""
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        header = next(lines, None)
        if not header:
            _refuse(f"{path} has no header line")
        rows = [_row(path, header, cells, lines.line_num) for cells in lines if cells]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(header))


def _row(path: str, header: list[str], cells: list[str], line: int) -> list[float]:
    if len(cells) != len(header):
        _refuse(f"{path}, line {line}: {len(cells)} cells below {len(header)} columns")
    return [_cell(path, name, text, line) for name, text in zip(header, cells, strict=True)]


def _cell(path: str, name: str, text: str, line: int) -> float:
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        _refuse(f"{path}, line {line}, column {name!r}: {text!r} is not a number")


def write_csv(predicted: Any, file: Any) -> None:
    """Write predictions below a header line."""
    rows = _column(predicted)
    several = rows.shape[1] > 1
    names = [f"prediction_{k}" for k in range(rows.shape[1])] if several else ["prediction"]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows.tolist())


def main(arguments: list[str]) -> int:
    """Run as a command; 0 done, 1 the input is bad, 2 the arguments are."""
    if len(arguments) not in (2, 3):
        print(_USAGE.format(arguments[0]), file=sys.stderr)
        return 2
    try:
        predicted = predict(read_csv(arguments[1]))
        if len(arguments) == 3:
            with Path(arguments[2]).open("w", newline="", encoding="utf-8") as file:
                write_csv(predicted, file)
        else:
            write_csv(predicted, sys.stdout)
    except ImportError as error:
        print(f"{error}. This file needs {', '.join(NEEDS)}.", file=sys.stderr)
        return 1
    except (OSError, ValueError, csv.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
