"""What a code location declares: which pipelines run on which dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaic_dagster.dataset import DatasetDeclaration
from mosaic_dagster.errors import PipelineDefinitionError

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Study:
    """A dataset and the pipelines that are applied to it.

    Parameters
    ----------
    dataset
        Name, fps, unit, keypoints and sources of the recordings.
    pipelines
        One pipeline may be part of several studies.
    """

    dataset: DatasetDeclaration
    pipelines: Sequence[Pipeline] = ()

    def __post_init__(self) -> None:
        names = [pipeline.name for pipeline in self.pipelines]
        if len(set(names)) < len(names):
            msg = (
                f"Dataset {self.dataset.name!r} has two pipelines of one name: {', '.join(names)}."
            )
            raise PipelineDefinitionError(msg, "Rename one of them.")
