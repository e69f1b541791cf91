"""What a code location declares: which pipelines run on which dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaic_dagster.dataset import DatasetDeclaration, SourceRule
from mosaic_dagster.errors import PipelineDefinitionError
from mosaic_dagster.pipeline.steps import TRACKS, labels_step

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

    def label_kinds(self) -> list[str]:
        """Kinds of labels that its files hold or its pipelines read, sorted."""
        rules = [source for source in self.dataset.sources if isinstance(source, SourceRule)]
        declared = {rule.labels for rule in rules if rule.labels is not None}
        read = {kind for pipeline in self.pipelines for kind in pipeline.graph().label_kinds}
        return sorted(declared | read)

    def ingested(self) -> list[str]:
        """Names of what is read from files: ``tracks``, then ``labels/<kind>``."""
        return [TRACKS, *map(labels_step, self.label_kinds())]
