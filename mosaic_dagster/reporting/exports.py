"""What the pipeline's own steps exported: pictures to show, and other files to name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.pipeline.callbacks import is_export
from mosaic_dagster.pipeline.status import MODEL
from mosaic_dagster.reporting.pictures import Figure
from mosaic_dagster.reporting.subject import Subject, Trace, entry_name, one_line, spread

MOST_FILES = 200
_MOST_RECORDINGS = 3
_MIMES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class ExportedFile:
    """A file that a step exported.

    Attributes
    ----------
    name, step, entry
        What it is; the entry is empty for a file about all recordings.
    path
        The stored object.
    trace
        Its own digest, and the run id of the step that made it.
    """

    name: str
    step: str
    entry: str
    path: Path
    trace: Trace

    @property
    def mime(self) -> str:
        """Type of a picture; empty for any other file."""
        return _MIMES.get(self.path.suffix[1:].lower(), "")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def figure(self) -> Figure:
        """The file as a figure."""
        name = one_line(self.name)
        where = f" for {entry_name(self.entry)}" if self.entry else ""
        told = f"Made by step {self.step}{where}; the file {name} lies in the exports."
        title = one_line(Path(self.name).stem.replace("_", " ")) + where
        alt = f"Picture “{title}” by step {self.step}."
        return Figure(title, told, alt, (self.trace,), self.path.read_bytes(), self.mime)


def exported(subject: Subject) -> Iterator[ExportedFile]:
    """Files of callbacks that are up to date; of one per recording, those of a few recordings."""
    for step, bound in subject.steps.items():
        if bound.is_callback:
            keys = spread(subject.done(step), _MOST_RECORDINGS) if bound.has_entries else [MODEL]
            for key in keys:
                for name, (sha256, path) in subject.members(step, key).items():
                    if is_export(name):
                        trace = Trace(step, bound.run_id, sha256, 1)
                        yield ExportedFile(name, step, key, path, trace)
