"""Pickled tables of BORIS: recognised, and refused.

Such a file holds an object of pandas, and to build one, a pickle must be let run code of pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NoReturn

from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.errors import ReaderError

_HEAD_BYTES = 4096


class BorisPandasPickle:
    """Says what to do with a pickled table; it never opens one."""

    name: ClassVar[str] = "boris_pandas_pickle"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".pkl", ".pickle")
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = LabelReaderParams

    def sniff(self, path: Path) -> bool:
        """Whether its first bytes name a table of pandas."""
        with path.open("rb") as file:
            return b"pandas.core.frame" in file.read(_HEAD_BYTES)

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:  # noqa: ARG002
        """Refuse the file.

        Raises
        ------
        ReaderError
            Always.
        """
        _refuse(path)

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:  # noqa: ARG002
        """Refuse the file.

        Raises
        ------
        ReaderError
            Always.
        """
        _refuse(path)


def _refuse(path: Path) -> NoReturn:
    msg = f"{path} is a pickled table, and a pickle can run code, so it is not opened."
    remedy = "Export the aggregated events as csv or tsv, which boris_aggregated reads."
    raise ReaderError(msg, remedy)
