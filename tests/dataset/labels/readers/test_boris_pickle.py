"""Pickled tables are not opened."""

from pathlib import Path

import pytest

from mosaic_dagster.dataset.labels.readers import detect_labels
from mosaic_dagster.dataset.labels.readers.base import LabelReaderParams
from mosaic_dagster.dataset.labels.readers.boris_pickle import BorisPandasPickle
from mosaic_dagster.errors import ReaderError


def test_a_pickle_is_refused_without_being_opened(tmp_path: Path) -> None:
    """Opening one runs what its author put in: here it would make a file."""
    made = tmp_path / "made"
    path = tmp_path / "events.pkl"
    code = f"open({str(made)!r}, 'w')".encode()
    path.write_bytes(b"cpandas.core.frame\nDataFrame\n0c__builtin__\neval\n(V" + code + b"\ntR.")
    reader = detect_labels(path)
    assert isinstance(reader, BorisPandasPickle)
    for look in (reader.labelled, reader.read):
        with pytest.raises(ReaderError, match=r"can run code.*boris_aggregated reads"):
            look(path, LabelReaderParams())
    assert not made.exists()
