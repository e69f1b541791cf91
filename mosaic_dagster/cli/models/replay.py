"""``mosaic models replay``: predict for new samples with a stored chain, or with a bundle."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from mosaic_dagster.cli.models.identifiers import CHAIN
from mosaic_dagster.cli.models.matrix import (
    check_output,
    feature_names,
    prediction_table,
    read_matrix,
    write_table,
)
from mosaic_dagster.cli.models.opening import open_models
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.tables import one_line, print_json, print_lines, print_table
from mosaic_dagster.errors import (
    MosaicError,
    ObjectMissingError,
    ReaderError,
    ReplayError,
    StoreValueError,
    UntrustedArtifactError,
)
from mosaic_dagster.store.bundles import Bundle, load_bundle
from mosaic_dagster.store.chains import SOURCE_MAP
from mosaic_dagster.store.formats import runs_code

Array = np.ndarray[Any, Any]
_BUNDLE = ".n4a"


ChainOrBundle = Annotated[
    str,
    typer.Argument(
        metavar="CHAIN",
        help="Beginning of a chain's identifier, or the path of an .n4a file.",
        show_default=False,
    ),
]
InputArgument = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT", help="csv, parquet or npy file of samples by features.", exists=True,
        dir_okay=False, resolve_path=True, show_default=False,
    ),
]  # fmt: skip
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", resolve_path=True,
        help="Write the predictions to this csv or parquet file, instead of printing them.",
    ),
]  # fmt: skip
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,C", help="Columns to use; by default all numeric ones."),
]
TrustOption = Annotated[
    bool, typer.Option("--trusted", help="Load an .n4a file also where that can run code.")
]
TrustTypeOption = Annotated[
    list[str] | None,
    typer.Option("--trust-type", metavar="TYPE", help="Load objects of this type; repeatable."),
]


def replay(
    chain: ChainOrBundle,
    path: InputArgument,
    output: OutputOption = None,
    columns: ColumnsOption = None,
    trusted: TrustOption = False,
    trust_type: TrustTypeOption = None,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Predict for new samples with a trained chain.

    The file has a row for each sample. Its features are the columns named with --columns, else
    those that the chain was trained with by name, else all numeric ones in their order. An .n4a
    file needs no project.

    Example: mosaic models replay 3f2a8c1d new_samples.csv --output predictions.csv
    """
    is_file = chain.lower().endswith(_BUNDLE)
    if (trusted or trust_type) and not is_file:
        msg = "Only an .n4a file needs trust; chains of the workspace are loaded as they are."
        raise typer.BadParameter(msg, param_hint="--trusted" if trusted else "--trust-type")
    if output is not None:
        check_output(output)
    named = None if columns is None else [name.strip() for name in columns.split(",")]
    samples = _Samples(path, named)
    with _warnings_told():
        if is_file:
            values = _from_bundle(Path(chain).expanduser(), samples, trusted, trust_type)
        else:
            values = _from_store(project, dataset, chain, samples)
    _tell(prediction_table(values), output, as_json)


@dataclass(frozen=True)
class _Samples:
    """The file of samples, and the columns that somebody asked for."""

    path: Path
    columns: list[str] | None

    def read(self, chain: Mapping[str, Any]) -> Array:
        """The features that a chain wants: as asked for, by the names it knows, or all."""
        columns = self.columns
        if columns is None and self.path.suffix.lower() != ".npy":
            columns = feature_names(chain)
        samples, left_out = read_matrix(self.path, columns)
        if left_out:
            typer.echo(f"Left out, since they are not numeric: {', '.join(left_out)}", err=True)
        return samples


def _tell(table: pl.DataFrame, output: Path | None, as_json: bool) -> None:
    if output is None:
        print_table(table, as_json)
        return
    written = write_table(table, output)
    if as_json:
        print_json({"path": str(written), "rows": table.height})
    else:
        print_lines([f"{written}: {table.height} predictions"])


def _from_store(project: Path | None, dataset: str | None, chain: str, given: _Samples) -> Array:
    with open_models(project, dataset) as models:
        chain_id = models.identifiers.find(chain, CHAIN)
        found = models.store.get_chain(chain_id) or {}
        made = models.store.query_predictions(pipeline_id=found["pipeline_id"])
        recorded = made.filter(pl.col("chain_id") == chain_id)["n_features"].max()
        samples = given.read(found)
        _check_width(found, models.store.load_artifact, recorded, samples, given.path)
        with _wrong_input_told(given.path):
            return models.store.replay_chain(chain_id, samples)


def _from_bundle(file: Path, given: _Samples, trusted: bool, types: Sequence[str] | None) -> Array:
    if not file.is_file():
        msg = f"There is no file {file}."
        raise ObjectMissingError(msg, "Check its path, or give the beginning of a chain.")
    bundle = load_bundle(file, trusted=trusted, trusted_types=types or ())
    try:
        objects = bundle.artifacts()
    except UntrustedArtifactError as error:
        raise _untrusted(file, bundle, error) from error
    recorded = bundle.manifest.get("n_features")
    samples = given.read(bundle.chain)
    _check_width(bundle.chain, objects.__getitem__, recorded, samples, given.path)
    with _wrong_input_told(given.path):
        return bundle.predict(samples)


def _untrusted(file: Path, bundle: Bundle, error: UntrustedArtifactError) -> UntrustedArtifactError:
    """The same error with what would be loaded, and with the options of this command."""
    members = bundle.manifest.get("artifacts") or {}
    risky = [part for part in members.values() if runs_code(part["format"])]
    if not risky:
        remedy = "Add --trust-type TYPE for each that you know, or --trusted for whatever it is."
        return UntrustedArtifactError(f"{file}: {error.what}", remedy)
    listed = "".join(
        f"\n  {one_line(part.get('operator_class') or 'object')} ({part['format']}, {part['file']})"
        for part in risky
    )
    msg = f"Loading what {file} holds can run code from it:{listed}"
    remedy = (
        "Add --trusted only if you know who made it. Linear models, scalers and PCA that were "
        "exported without --keep load without it."
    )
    return UntrustedArtifactError(msg, remedy)


def _check_width(
    chain: Mapping[str, Any],
    load: Callable[[str], Any],
    recorded: Any,
    samples: Array,
    path: Path,
) -> None:
    """Refuse samples with another number of columns than the chain was trained with.

    Raises
    ------
    ReaderError
        The number is another one.
    ReplayError
        The chain wants several matrices.
    """
    sources = {
        source
        for by_source in ((chain.get("shared_artifacts") or {}).get(SOURCE_MAP) or {}).values()
        for source in by_source
    }
    if len(sources) > 1 and chain.get("source_index") is None:
        msg = f"The chain takes a matrix for each of {len(sources)} sources, not one file."
        raise ReplayError(msg, "Use WorkspaceStore.replay_chain in Python.")
    expected = recorded if sources else _width(chain, load, recorded)
    if expected is not None and expected != samples.shape[1]:
        msg = f"The chain expects {expected} columns, and {path} gives {samples.shape[1]}."
        raise ReaderError(msg, "Name the right ones, in their order, with --columns A,B,C.")


def _width(chain: Mapping[str, Any], load: Callable[[str], Any], recorded: Any) -> Any:
    """Columns that the first fitted object takes; what was recorded where that cannot be told."""
    shared = chain.get("shared_artifacts") or {}
    for step in sorted(chain.get("steps") or [], key=lambda step: int(step["step_idx"])):
        is_model = step["step_idx"] == chain.get("model_step_idx")
        if not is_model and (step.get("role") or "transform") != "transform":
            continue
        named = [*(chain.get("fold_artifacts") or {}).values()] if is_model else []
        named += shared.get(str(step["step_idx"])) or [step.get("artifact_id")]
        first = next((artifact_id for artifact_id in named if artifact_id), None)
        if first is None:
            break
        return getattr(load(first), "n_features_in_", recorded)
    return recorded


@contextmanager
def _wrong_input_told(path: Path) -> Iterator[None]:
    """What an operator says about the samples, as an error of ours."""
    try:
        yield
    except MosaicError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        msg = f"The chain cannot predict from {path}: {error}"
        remedy = "Give samples like those that it was trained with."
        raise StoreValueError(msg, remedy) from error


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Each warning once, as a line of its own on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                typer.echo(f"Warning: {text}", err=True)
