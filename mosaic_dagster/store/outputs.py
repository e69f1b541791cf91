"""Return, don't save: what a step hands back, and how the part for people becomes files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from mosaic_dagster.errors import HashingError, StoreTypeError
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.store.content.file_names import LONGEST_FILE_NAME, safe_file_name
from mosaic_dagster.store.trained_chain import TrainedChain

F = TypeVar("F", bound=Callable[..., Any])

_VERSION = "mosaic_version"

OutputData = bytes | str | pl.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class EncodedOutput:
    """One output as bytes, and the safe parts of its file name.

    Attributes
    ----------
    stem, extension
        At most 120 characters each, without separators and leading dots.
    data
        Content of the file.
    """

    stem: str
    extension: str
    data: bytes

    def names(self) -> Iterator[str]:
        """File names to try in turn: ``name.ext``, ``name_2.ext``, ``name_3.ext`` and so on."""
        for count in itertools.count(1):
            number = f"_{count}" if count > 1 else ""
            stem = self.stem[: LONGEST_FILE_NAME - len(number)]
            yield f"{stem}{number}.{self.extension}"


@dataclass(frozen=True)
class StepOutput:
    """What a step returns; the caller decides what is kept and where.

    Attributes
    ----------
    outputs
        Files for people: ``(data, name, extension)``. Data are bytes, text, a table (``csv`` or
        ``parquet``) or a mapping (``json``).
    metadata
        Small facts (numbers, text) shown beside the result.
    artifacts
        Fitted objects by name. A value is the object, or ``(object, format)`` to choose how it
        is stored.
    chains
        Trained models, made of these artifacts, with their predictions.
    """

    outputs: Sequence[tuple[OutputData, str, str]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    chains: Sequence[TrainedChain] = ()

    def files(self) -> dict[str, bytes]:
        """Bytes of every output by its safe file name.

        Two outputs of the same name and other bytes get ``_2``, ``_3`` and so on.

        Raises
        ------
        StoreTypeError
            Data of a type that cannot be written with the extension asked for.
        """
        files: dict[str, bytes] = {}
        for output in self.encoded():
            name = next(n for n in output.names() if files.get(n, output.data) == output.data)
            files[name] = output.data
        return files

    def encoded(self) -> list[EncodedOutput]:
        """Every output as bytes, in order.

        Raises
        ------
        StoreTypeError
            Data of a type that cannot be written with the extension asked for.
        """
        return [_encoded(data, name, extension) for data, name, extension in self.outputs]


def encode_output(data: OutputData, extension: str) -> bytes:
    """Bytes of one output; text is written as UTF-8.

    Raises
    ------
    StoreTypeError
        The data cannot be written with this extension: another type, a table with nested
        columns as ``csv``, a mapping with a number that is not finite.
    """
    try:
        match data, extension.lower():
            case bytes(), _:
                return data
            case str(), _:
                return data.encode()
            case pl.DataFrame(), "csv":
                return data.write_csv().encode()
            case pl.DataFrame(), "parquet":
                return encode_table(data)
            case Mapping(), "json":
                return canonical_json(data).encode()
    except (HashingError, UnicodeError, pl.exceptions.PolarsError) as error:
        msg = f"A {type(data).__name__} cannot be written as .{extension}: {error}"
        raise StoreTypeError(msg, "Give plain, finite values.") from error
    msg = f"A {type(data).__name__} cannot be written as .{extension}."
    raise StoreTypeError(
        msg, "Give bytes or text, a polars frame for csv or parquet, a mapping for json."
    )


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files for people, each replaced atomically and only where its bytes differ."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_replace(folder / name, data) for name, data in files.items()]


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files that an earlier version of a step wrote and this one does not."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> Path:
    if path.is_file() and path.read_bytes() == data:
        return path
    return durable.replace_file(path, data)


def _encoded(data: OutputData, name: str, extension: str) -> EncodedOutput:
    suffix = safe_file_name(extension, "bin")
    try:
        return EncodedOutput(safe_file_name(name), suffix, encode_output(data, suffix))
    except StoreTypeError as error:
        msg = f"The output {name!r} was not written. {error.what}"
        raise StoreTypeError(msg, error.remedy) from error


def versioned(version: str) -> Callable[[F], F]:
    """Mark the function of a step with a version that its author changes when results change.

    Without a mark the text of the function's module counts, which knows no code that it calls.
    """

    def mark(fn: F) -> F:
        setattr(fn, _VERSION, version)
        return fn

    return mark


def version_of(fn: Callable[..., Any]) -> str | None:
    """The version that a function is marked with, or None."""
    version = getattr(fn, _VERSION, None)
    return version if isinstance(version, str) else None
