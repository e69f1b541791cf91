"""Small features and datasets whose every computation leaves a line in a file.

``log`` and ``broken`` are throughput parameters: they say where to write and what to fail on,
and are no part of any identity. A line of the log is ``<feature>:<sequence>``, or
``<feature>:fit:<sequences>``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from mosaic_dagster import Dataset, EntryKey
from mosaic_dagster.dataset import Labels, SourceRule, align_labels
from mosaic_dagster.dataset.labels import read_labels_file
from mosaic_dagster.features import (
    Feature,
    FeatureTable,
    FromDataset,
    GroundTruthLabelsSource,
    NotIdentity,
    Params,
    StepRef,
)
from mosaic_dagster.features.output import values_schema, with_values

Text = Annotated[str, NotIdentity()]


class ToyParams(Params):
    log: Text = ""
    broken: Text = ""


class Toy(Feature[Any]):
    """Writes down what it was asked for, and fails for what ``broken`` lists."""

    Params = ToyParams
    column: ClassVar[str] = "x"

    def note(self, what: str) -> None:
        if self.params.log:
            # One write in append mode, so that lines of several processes never mix.
            with Path(self.params.log).open("a") as file:
                file.write(f"{self.name}:{what}\n")

    def seen(self, table: pl.DataFrame) -> str:
        sequence = str(table["sequence"].item(0))
        self.note(sequence)
        broken = Path(self.params.broken)
        if self.params.broken and broken.is_file() and sequence in broken.read_text().split():
            msg = f"cannot do {sequence}"
            raise ArithmeticError(msg)
        return sequence

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return values_schema(schema, {self.column: pl.Float64()})


class ShiftParams(ToyParams):
    by: float = 1.0
    source: str = "X"
    rate: Annotated[float | None, FromDataset("fps")] = None
    pause: Annotated[float, NotIdentity()] = 0.0


class Shift(Toy):
    """Adds ``by`` to a column."""

    name = "toy-shift"
    version = "1"
    Params = ShiftParams

    def input_columns(self) -> tuple[str, ...]:
        return (self.params.source,)

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        self.seen(table)
        time.sleep(self.params.pause)
        values = {self.column: table[self.params.source] + self.params.by}
        return FeatureTable(with_values(table, values), {"shifted": table.height})


class NewShift(Shift):
    version = "2"


class Whole(Toy):
    """The whole part of a column: small changes of the input give the same bytes."""

    name = "toy-whole"
    version = "1"
    Params = ShiftParams

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen(table)
        return with_values(table, {self.column: table[self.params.source].floor()})


class LabelledParams(ToyParams):
    labels: GroundTruthLabelsSource = GroundTruthLabelsSource()


class Labelled(Toy):
    """The class of each row; fitted on the number of labelled rows of all entries."""

    name = "toy-labelled"
    version = "1"
    Params = LabelledParams
    column = "class"

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        self.files = lookups.get("labels", {})
        return True

    def classes(self, key: EntryKey, table: pl.DataFrame) -> pl.Series:
        found = read_labels_file(self.files[key]) if key in self.files else None
        assert found is None or isinstance(found, Labels)
        return align_labels(table, found).labels

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        sequence = self.seen(table)
        classes = self.classes(EntryKey(str(table["group"][0]), sequence), table)
        return with_values(table, {self.column: classes.cast(pl.Float64)})


class LabelCount(Labelled):
    """Fitted on the labels of the scope: how many rows have one."""

    name = "toy-label-count"
    fits = "stream"

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        super().load_state(folder, artifacts, lookups)
        self.count, self.fitted_on = 0, []
        if folder is None:
            return False
        self.count = json.loads((folder / "count.json").read_text())
        return True

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        self.fitted_on.append(key.sequence)
        self.count += len(self.classes(key, table).drop_nulls())

    def finalize(self) -> None:
        self.note("fit:" + ",".join(self.fitted_on))

    def save_state(self, folder: Path) -> None:
        (folder / "count.json").write_text(json.dumps(self.count))


class MeanParams(ToyParams):
    source: str = "x"
    decimals: int = 6
    note: str = ""


class Mean(Toy):
    """Subtracts the mean over all entries, which it is fitted on."""

    name = "toy-mean"
    version = "1"
    fits = "stream"
    Params = MeanParams

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        self.sum, self.count, self.fitted_on = 0.0, 0, []
        if folder is None:
            return False
        self.mean = json.loads((folder / "mean.json").read_text())
        return True

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        self.sum += table[self.params.source].sum()
        self.count += table.height
        self.fitted_on.append(key.sequence)

    def finalize(self) -> None:
        self.note(f"fit:{'+'.join(self.fitted_on)}")
        if Path(self.params.broken, "fit").exists():
            msg = "cannot fit"
            raise ArithmeticError(msg)
        self.mean = round(self.sum / self.count, self.params.decimals)

    def save_state(self, folder: Path) -> None:
        (folder / "mean.json").write_text(json.dumps(self.mean))
        (folder / "model").write_text(self.params.note)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen(table)
        return with_values(table, {self.column: table[self.params.source] - self.mean})


class ScopedMean(Mean):
    """A fit that also depends on which entries were declared."""

    name = "toy-scoped-mean"
    scope_dependent = True


class Sampled(Mean):
    """Keeps the mean as a file beside its input, which it passes on as it is."""

    name = "toy-sampled"
    passthrough = True

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return schema

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return table


class TemplateParams(ToyParams):
    templates: StepRef = Field(default=StepRef("mean", "mean.json"))
    source: str = "x"
    times: float = 2.0


class Scaled(Toy):
    """Is fitted on another step's file: multiplies with ``times`` its mean."""

    name = "toy-scaled"
    version = "1"
    fits = "templates"
    Params = TemplateParams

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        if folder is not None:
            self.factor = json.loads((folder / "factor.json").read_text())
            return True
        self.mean = json.loads(artifacts["templates"].read_text())
        return False

    def fit(self, stream: Any) -> None:
        self.note("fit:templates")
        self.factor = self.mean * self.params.times

    def save_state(self, folder: Path) -> None:
        (folder / "factor.json").write_text(json.dumps(self.factor))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen(table)
        return with_values(table, {self.column: table[self.params.source] * self.factor})


class Above(Toy):
    """Never fitted, but reads another step's file: whether a column is above its mean."""

    name = "toy-above"
    version = "1"
    Params = TemplateParams

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        self.mean = json.loads(artifacts["templates"].read_text())
        return True

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen(table)
        return with_values(table, {self.column: table[self.params.source] - self.mean})


class LookupParams(ToyParams):
    other: StepRef = Field(default=StepRef("shift"))


class Beside(Toy):
    """Adds a column of another step's table of the same entry."""

    name = "toy-beside"
    version = "1"
    Params = LookupParams

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        self.tables = lookups["other"]
        return True

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.seen(table)
        key = EntryKey(table["group"].item(0), table["sequence"].item(0))
        return with_values(
            table, {self.column: table["Y"] + pl.read_parquet(self.tables[key])["x"]}
        )


class LookupMean(Mean):
    """Is fitted on the tables that a parameter refers to, and on nothing else of its input."""

    name = "toy-lookup-mean"

    class Params(MeanParams):
        other: StepRef = Field(default=StepRef("shift"))

    def load_state(self, folder: Path | None, artifacts: Any, lookups: Any) -> bool:
        self.tables = lookups.get("other", {})
        return super().load_state(folder, artifacts, lookups)

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        super().partial_fit(key, pl.read_parquet(self.tables[key]))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return with_values(table, {self.column: table["X"] - self.mean})


class Idle(Toy):
    """Gives back what it gets; for measuring what is around it."""

    name = "toy-idle"
    version = "1"

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return schema

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return table


# Datasets.


def tracks(start: float, n_frames: int = 4) -> pl.DataFrame:
    """One animal with X = start, start + 1, … and Y = 0."""
    frames = list(range(n_frames))
    return pl.DataFrame(
        {"frame": frames, "id": [0] * n_frames, "X": [start + f for f in frames], "Y": 0.0},
        schema={"frame": pl.Int64, "id": pl.Int64, "X": pl.Float64, "Y": pl.Float64},
    )


def added(path: Path, starts: dict[str, float], n_frames: int = 4) -> Dataset:
    """A dataset of tables; group ``g``, a sequence for each start."""
    dataset = Dataset.create(path, "toy", fps=10.0, unit="mm")
    with dataset.registry.session():
        for sequence, start in starts.items():
            dataset.add_tracks(EntryKey("g", sequence), tracks(start, n_frames))
    return dataset


def write_csv(path: Path, start: float, n_frames: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{f},0,{start + f},0" for f in range(n_frames)]
    path.write_text("\n".join(["frame,id,X,Y", *lines, ""]))
    return path


def from_files(path: Path, starts: dict[str, float]) -> tuple[Dataset, Path]:
    """A dataset of csv files, ``recordings/g/<sequence>.csv``, and their folder."""
    folder = path / "recordings" / "g"
    for sequence, start in starts.items():
        write_csv(folder / f"{sequence}.csv", start)
    rule = SourceRule(path=str(path / "recordings"), format="keypoint_csv")
    dataset = Dataset.create(path / "workspace", "toy", fps=10.0, unit="mm", sources=(rule,))
    return dataset, folder


class Log:
    """What the features wrote since it was last read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return os.fspath(self.path)

    def add(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    def take(self) -> list[str]:
        lines = sorted(self.path.read_text().split()) if self.path.exists() else []
        self.path.unlink(missing_ok=True)
        return lines


def alter(path: Path) -> None:
    """Change one byte of a read-only object, its size and times left as they were."""
    before = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(path: Path) -> None:
    path.chmod(0o644)
    path.unlink()


def copy_of(path: Path, target: Path) -> Path:
    return Path(shutil.copytree(path, target))
