"""Return, don't save: what a step hands back, and the one place that writes it for people."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.store.content.codecs import encode_table

OutputData = bytes | str | pl.DataFrame | Mapping[str, Any]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 120


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
    """

    outputs: Sequence[tuple[OutputData, str, str]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Bytes of every output by its safe file name.

        Two outputs of the same name and other bytes get ``_2``, ``_3`` and so on.

        Raises
        ------
        TypeError
            Data of a type that cannot be written with the extension asked for.
        """
        files: dict[str, bytes] = {}
        for data, name, extension in self.outputs:
            stem, suffix = _safe(name), _safe(extension).lstrip(".")
            encoded = encode_output(data, suffix)
            candidate, count = f"{stem}.{suffix}", 1
            while files.get(candidate, encoded) != encoded:
                count += 1
                candidate = f"{stem}_{count}.{suffix}"
            files[candidate] = encoded
        return files


def encode_output(data: OutputData, extension: str) -> bytes:
    """Bytes of one output.

    Raises
    ------
    TypeError
        The data cannot be written with this extension.
    """
    match data, extension:
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
    msg = f"A {type(data).__name__} cannot be written as .{extension}."
    raise TypeError(msg)


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
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(data)
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)
    return path


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).lstrip(".")[:_LONGEST_NAME] or "output"
