"""Files for people: what a step returns is what lies in the exports, and nothing else."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreTypeError
from mosaic_dagster.store import StepOutput
from mosaic_dagster.store.content.codecs import read_table
from mosaic_dagster.store.outputs import encode_output, write_files


class TestStepOutput:
    def test_names_become_safe_file_names(self) -> None:
        output = StepOutput(outputs=[(b"x", "../dish 01/a", "png"), (b"y", ".hidden", ".txt")])
        assert output.files() == {"_dish_01_a.png": b"x", "hidden.txt": b"y"}

    def test_two_outputs_of_one_name_are_both_kept(self) -> None:
        output = StepOutput(outputs=[("a", "t", "txt"), ("b", "t", "txt"), ("a", "t", "txt")])
        assert output.files() == {"t.txt": b"a", "t_2.txt": b"b"}

    def test_a_long_name_still_fits_a_file_system(self) -> None:
        """120 signs and ``.png`` make 124; a number takes the place of the last signs."""
        output = StepOutput(outputs=[(b"a", "n" * 500, "png"), (b"b", "n" * 500, "png")])
        assert list(output.files()) == ["n" * 120 + ".png", "n" * 118 + "_2.png"]

    def test_a_file_without_extension_gets_one(self) -> None:
        assert list(StepOutput(outputs=[(b"", "raw", "")]).files()) == ["raw.bin"]

    @given(name=st.text(max_size=300), extension=st.text(max_size=300))
    @settings(max_examples=60, deadline=None)
    def test_no_name_leaves_its_folder(self, name: str, extension: str) -> None:
        """Else a step could write over files of others, or hide its own."""
        (file,) = StepOutput(outputs=[(b"", name, extension)]).files()
        assert Path(file).name == file
        assert not file.startswith(".")
        assert len(file) <= 241

    def test_artifacts_are_carried_and_are_no_files(self) -> None:
        """Else a fitted model is lost, or its bytes appear among the charts."""
        model = object()
        output = StepOutput(artifacts={"model": model}, outputs=[("a", "t", "txt")])
        assert output.artifacts["model"] is model
        assert output.files() == {"t.txt": b"a"}

    def test_a_name_of_nothing_but_forbidden_signs_still_is_a_name(self) -> None:
        assert list(StepOutput(outputs=[(b"", "...", "csv")]).files()) == ["output.csv"]


class TestEncodeOutput:
    def test_tables_and_mappings_are_written_by_extension(self, tmp_path: Path) -> None:
        table = pl.DataFrame({"a": [1, 2]})
        assert encode_output(table, "csv") == b"a\n1\n2\n"
        (tmp_path / "t.parquet").write_bytes(encode_output(table, "parquet"))
        assert read_table(tmp_path / "t.parquet").equals(table)
        assert encode_output({"b": 1, "a": [2.0]}, "json") == b'{"a":[2],"b":1}'
        assert encode_output("ü", "txt") == "ü".encode()

    def test_data_that_cannot_be_written_are_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match=r"A DataFrame cannot be written as \.png"):
            encode_output(pl.DataFrame(), "png")

    @pytest.mark.parametrize(
        ("data", "extension"),
        [
            (3, "txt"),
            ([1], "json"),
            ({"a": 1}, "csv"),
            ({"a": float("nan")}, "json"),
            ({"a": object()}, "json"),
            (pl.DataFrame({"a": [[1]]}), "csv"),
            ("\ud800", "txt"),
            (None, "png"),
        ],
    )
    def test_what_has_no_bytes_is_an_error_that_names_the_output(
        self, data: object, extension: str
    ) -> None:
        """Else a user gets another library's error and cannot tell which chart it was."""
        output = StepOutput(outputs=[(data, "scores", extension)])
        with pytest.raises(StoreTypeError, match=r"The output 'scores' was not written"):
            output.files()

    def test_an_extension_in_capitals_is_the_same_format(self) -> None:
        assert encode_output(pl.DataFrame({"a": [1]}), "CSV") == b"a\n1\n"


class TestWriteFiles:
    def test_an_unchanged_file_is_not_touched(self, tmp_path: Path) -> None:
        """A viewer that watches the folder must not be woken by a refresh that changed nothing."""
        (path,) = write_files(tmp_path / "exports", {"a.txt": b"one"})
        before = path.stat()
        write_files(tmp_path / "exports", {"a.txt": b"one"})
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert path.stat().st_ino == before.st_ino

    def test_a_changed_file_is_replaced_whole_and_nothing_else_is_left(
        self, tmp_path: Path
    ) -> None:
        write_files(tmp_path, {"a.txt": b"one"})
        write_files(tmp_path, {"a.txt": b"two"})
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.txt": b"two"}
