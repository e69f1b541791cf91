import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles import ChainArtifact, bundle_bytes
from mosaic_dagster.store.formats import encode

Built = tuple[dict[str, Any], list[ChainArtifact]]


@pytest.fixture
def build() -> Callable[..., Built]:
    """Makes a chain of fitted objects: transforms of X, transforms of y, one model per fold."""

    def make(
        transforms: Sequence[Any] = (),
        models: Sequence[Any] = (),
        targets: Sequence[Any] = (),
        weights: Sequence[float] | None = None,
        format: str = "joblib",
        formats: Mapping[int, str] | None = None,
        **fields: Any,
    ) -> Built:
        artifacts: dict[str, ChainArtifact] = {}

        def keep(obj: Any) -> str:
            encoded = encode(obj, (formats or {}).get(id(obj), format))
            sha256 = digest_bytes(encoded.data)
            name = f"art_{sha256}"
            artifacts[name] = ChainArtifact(
                name, encoded.data, encoded.format, encoded.ext, sha256, type(obj).__name__
            )
            return name

        steps, shared = [], {}
        for role, objects in (("transform", transforms), ("y_transform", targets)):
            for obj in objects:
                index = len(steps)
                steps.append(
                    {"step_idx": index, "operator_class": type(obj).__name__, "role": role}
                )
                shared[str(index)] = [keep(obj)]
        index = len(steps)
        steps.append({"step_idx": index, "operator_class": "Model", "role": "model"})
        folds = {f"fold_{k}": keep(model) for k, model in enumerate(models)}
        chain = {
            "chain_id": "c1",
            "steps": steps,
            "model_step_idx": index,
            "model_class": "Model",
            "preprocessings": "",
            "fold_strategy": "per_fold",
            "fold_artifacts": folds,
            "shared_artifacts": shared,
            "branch_path": None,
            "source_index": None,
            "fold_weights": None if weights is None else dict(zip(folds, weights, strict=True)),
            **fields,
        }
        return chain, list(artifacts.values())

    return make


@pytest.fixture
def doubled(build: Callable[..., Built]) -> Built:
    """Scaling [0, 2] (mean 1, deviation 1) and folds 2 z + 10 and 4 z + 10.

    x = 4 is z = 3, so the folds say 16 and 22, the mean is 19; x = 1 is z = 0, both say 10.
    """
    scaler = StandardScaler().fit([[0.0], [2.0]])
    z = np.array([[-1.0], [1.0]])
    models = [LinearRegression().fit(z, z[:, 0] * slope + 10) for slope in (2.0, 4.0)]
    return build([scaler], models)


@pytest.fixture
def bundle_file(tmp_path: Path) -> Callable[..., Path]:
    def write(built: Built, **options: Any) -> Path:
        path = tmp_path / "model.n4a"
        path.write_bytes(bundle_bytes(*built, **options))
        return path

    return write


@pytest.fixture
def rewrite(tmp_path: Path) -> Callable[..., Path]:
    """Copies a bundle with members replaced (bytes), removed (None) or added."""

    def copy(path: Path, changes: Mapping[str, bytes | None]) -> Path:
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        members.update(changes)
        target = tmp_path / "changed.n4a"
        with zipfile.ZipFile(target, "w") as file:
            for name, data in members.items():
                if data is not None:
                    file.writestr(name, data)
        return target

    return copy
