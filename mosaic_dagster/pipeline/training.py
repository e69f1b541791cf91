"""What a training step returned, as stored objects, and as rows of the workspace store.

The result of a training step is a state like that of a fit: its files are the fitted objects,
their chains and their predictions. So training has an action key, is looked up before it
is done, and gives the same digests for the same inputs. The rows of the workspace store are made
from these files, in the transaction that records the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.errors import PipelineError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store import StepOutput, TrainedChain
from mosaic_dagster.store.content.codecs import encode_table, read_table
from mosaic_dagster.store.formats import encode
from mosaic_dagster.store.output_writer import artifact_type_of, class_name, with_format
from mosaic_dagster.store.prediction_table import prediction_rows, prediction_table
from mosaic_dagster.store.trained_chain import check_trained_chain
from mosaic_dagster.store.workspace.json_columns import to_json

CHAINS = "training/chains.json"
PREDICTIONS = "training/predictions.parquet"
_ARTIFACTS = "artifacts/"


@dataclass(frozen=True)
class KeptArtifact:
    """A fitted object among the files of a training step's result.

    Attributes
    ----------
    file
        Its name there.
    sha256, size
        Hash and length of its bytes.
    format, operator_class, artifact_type
        As the workspace store wants them.
    """

    file: str
    sha256: str
    size: int
    format: str
    operator_class: str
    artifact_type: str


@dataclass(frozen=True)
class Trained:
    """A training step's result, read back.

    Attributes
    ----------
    artifacts
        Fitted objects by the names that the step gave them.
    chains
        Trained models with their predictions.
    """

    artifacts: Mapping[str, KeptArtifact]
    chains: Sequence[TrainedChain]

    def scores(self) -> pl.DataFrame:
        """One row per prediction: model, fold, partition, metric and scores."""
        rows = [
            {"model": row.get("model_name") or chain.name or chain.model_class,
             "preprocessings": chain.preprocessings, **{n: row.get(n) for n in _SCORE_COLUMNS}}
            for chain in self.chains
            for row in chain.predictions
        ]  # fmt: skip
        schema = {"model": pl.String, "preprocessings": pl.String, **_SCORE_COLUMNS}
        return pl.DataFrame(rows, schema=schema, strict=False)


_SCORE_COLUMNS = {
    "fold_id": pl.String, "partition": pl.String, "metric": pl.String,
    "val_score": pl.Float64, "test_score": pl.Float64, "train_score": pl.Float64,
    "n_samples": pl.Int64,
}  # fmt: skip


def training_files(output: StepOutput) -> dict[str, bytes]:
    """Files of a training step's result, by name.

    Raises
    ------
    PipelineError
        Two artifacts would have the same file.
    StoreValueError
        An artifact cannot be stored in its format.
    StoreTypeError
        A prediction has an array that is not numeric, or a value that is not JSON.
    """
    if not output.artifacts and not output.chains:
        return {}
    files: dict[str, bytes] = {}
    kept: dict[str, KeptArtifact] = {}
    for name, value in output.artifacts.items():
        obj, format_ = with_format(value)
        encoded = encode(obj, format_)
        file = f"{_ARTIFACTS}{name}.{encoded.ext}"
        if file in files or "/" in name:
            msg = f"The artifact {name!r} cannot have the file {file!r}."
            raise PipelineError(msg, "Give every artifact a plain name of its own.")
        files[file] = encoded.data
        kept[name] = KeptArtifact(
            file, digest_bytes(encoded.data), len(encoded.data), encoded.format,
            class_name(obj), artifact_type_of(obj),
        )  # fmt: skip
    for chain in output.chains:
        check_trained_chain(chain, kept)
    chains = [_described(chain) for chain in output.chains]
    content = {"artifacts": {n: asdict(k) for n, k in kept.items()}, "chains": chains}
    text = to_json(content, "chains") or ""
    rows = [
        {"chain": number} | dict(row)
        for number, chain in enumerate(output.chains)
        for row in chain.predictions
    ]
    table = encode_table(prediction_table(rows))
    return files | {CHAINS: text.encode(), PREDICTIONS: table}


def read_trained(files: Mapping[str, Path]) -> Trained | None:
    """Read a training step's result from its files; None when nothing was trained."""
    if CHAINS not in files:
        return None
    content = json.loads(files[CHAINS].read_bytes())
    by_chain: dict[int, list[dict[str, Any]]] = {}
    for row in prediction_rows(read_table(files[PREDICTIONS])):
        by_chain.setdefault(row.pop("chain"), []).append(row)
    return Trained(
        {name: KeptArtifact(**kept) for name, kept in content["artifacts"].items()},
        [
            TrainedChain(**chain, predictions=by_chain.get(number, []))
            for number, chain in enumerate(content["chains"])
        ],
    )


def by_configuration(
    chains: Iterable[TrainedChain],
) -> list[tuple[Mapping[str, Any], list[TrainedChain]]]:
    """Chains that share a configuration, in order of their first one."""
    groups: dict[str, tuple[Mapping[str, Any], list[TrainedChain]]] = {}
    for chain in chains:
        key = json.dumps(chain.config, sort_keys=True)
        groups.setdefault(key, (chain.config, []))[1].append(chain)
    return list(groups.values())


def _described(chain: TrainedChain) -> dict[str, Any]:
    described = asdict(chain)
    del described["predictions"]
    return described
