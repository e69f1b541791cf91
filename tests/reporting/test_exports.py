"""What the pipeline's own steps exported."""

from __future__ import annotations

from mosaic_dagster import Dataset, Pipeline
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.reporting import Subject
from mosaic_dagster.reporting.exports import exported


def test_pictures_and_files_have_the_digest_of_their_bytes(
    made: Dataset, pipeline: Pipeline
) -> None:
    """The digest beside a picture is that of the file in the exports."""
    files = {file.name: file for file in exported(Subject(made, pipeline))}
    assert set(files) == {"a_dot.png", "numbers.csv"}
    assert files["a_dot.png"].mime == "image/png"
    assert files["numbers.csv"].mime == ""
    folder = made.exports / "lab_walks"
    for name, file in files.items():
        assert file.trace.digest == digest_bytes((folder / name).read_bytes())
    assert files["a_dot.png"].figure().title == "a dot"
