"""Finding the reader of a label file, and what every one of them holds to."""

from pathlib import Path

import pytest

from mosaic_dagster.dataset.labels.readers import (
    LABEL_READERS,
    LabelReader,
    LabelReaderParams,
    detect_labels,
    frame_rate,
    get_label_reader,
)
from mosaic_dagster.dataset.readers import READERS
from mosaic_dagster.dataset.readers.base import checked_params
from mosaic_dagster.errors import ReaderError, UnknownFormatError
from mosaic_dagster.hashing import canonical_json

NAMES = {
    "bento_annot", "boris_aggregated", "boris_events", "boris_pandas_pickle", "boris_project",
    "calms21_annotations_json", "calms21_annotations_npy", "id_tags_csv", "jabs_annotations",
    "label_parquet",
}  # fmt: skip


def test_readers_are_known_by_name() -> None:
    """The names are written into manifests; a renamed reader would orphan them."""
    assert set(LABEL_READERS) >= NAMES
    assert get_label_reader("boris_events") is LABEL_READERS["boris_events"]
    with pytest.raises(UnknownFormatError, match=r"'boris_event'. Did you mean 'boris_events'"):
        get_label_reader("boris_event")


def test_readers_of_labels_are_no_readers_of_tracks() -> None:
    """A name in both lists would leave it to chance what an ingested file becomes."""
    assert LABEL_READERS.group != READERS.group
    assert not set(LABEL_READERS) & set(READERS)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_reader_says_what_it_is_and_its_parameters_have_an_identity(name: str) -> None:
    """Name, version and parameters decide when labels are read again."""
    reader = LABEL_READERS[name]
    assert isinstance(reader, LabelReader)
    assert (reader.name, reader.merges) == (name, False)
    assert reader.version
    assert all(ending == ending.lower() and ending[0] == "." for ending in reader.extensions)
    params = checked_params(name, reader.params, {"fps": 30})
    assert canonical_json(params.model_dump())
    assert checked_params(name, reader.params, params.model_dump()) == params
    with pytest.raises(ReaderError, match="fsp is not a known name"):
        checked_params(name, reader.params, {"fsp": 30})


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 4, b"\x93NUMPY", b"{", b"a,b\n1,2\n"])
def test_other_files_are_not_recognised_and_reading_them_is_an_error(
    name: str, content: bytes, tmp_path: Path
) -> None:
    """A damaged file ends in an error that names it, never in a foreign one."""
    reader = LABEL_READERS[name]
    path = tmp_path / f"x{reader.extensions[0]}"
    path.write_bytes(content)
    assert not reader.sniff(path)
    with pytest.raises(ReaderError, match=r"x\."):
        reader.read(path, reader.params())


def test_what_nobody_recognises_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("frame,nose_x,nose_y\n0,1,2\n")
    with pytest.raises(UnknownFormatError, match=r"No reader recognises .*x.csv. Name the format"):
        detect_labels(path)


def test_frame_rates_agree_or_are_refused() -> None:
    """The file's rate counts; 29.97 and 30000 / 1001 are one rate, 30 and 25 are not."""
    path = Path("x.csv")
    assert frame_rate(path, 25.0, LabelReaderParams()) == 25.0
    assert frame_rate(path, None, LabelReaderParams(fps=25)) == 25.0
    assert frame_rate(path, 29.97, LabelReaderParams(fps=30000 / 1001)) == 29.97
    for told, given in ((30.0, 29.97), (25.0, 30.0)):
        with pytest.raises(ReaderError, match=r"x.csv says .* and the recording has"):
            frame_rate(path, told, LabelReaderParams(fps=given))
    with pytest.raises(ReaderError, match=r"x.csv tells times, .* not known. Give fps"):
        frame_rate(path, None, LabelReaderParams())
