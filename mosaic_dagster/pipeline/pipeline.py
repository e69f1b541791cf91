"""Pipeline: named steps in a checked graph, and everything one can ask of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.pipeline import clean as cleaning
from mosaic_dagster.pipeline import execute, overview, plan
from mosaic_dagster.pipeline.binding import BoundPipeline, with_scope_frames
from mosaic_dagster.pipeline.engine import Backend
from mosaic_dagster.pipeline.graph import StepGraph
from mosaic_dagster.pipeline.steps import FeatureStep, RunOptions, Step, check_name

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.results import StepResult


class Pipeline:
    """Named steps over the recordings of a dataset.

    Parameters
    ----------
    default_run_kwargs
        :class:`~mosaic_dagster.pipeline.RunOptions` for every step; a step's own win.
    name
        Name of the pipeline; part of its asset keys.
    scope
        Which entries and frames it is about; None means all.
    description
        A sentence for people.

    Examples
    --------
    >>> from mosaic_dagster import FeatureStep, Pipeline
    >>> pipeline = Pipeline(name="walking").add(FeatureStep("speed", "speed-angvel"))
    >>> pipeline.dag()
    {'speed': ['tracks']}
    """

    def __init__(
        self,
        default_run_kwargs: Mapping[str, Any] | None = None,
        *,
        name: str = "pipeline",
        scope: Scope | None = None,
        description: str = "",
    ) -> None:
        check_name(name, "pipeline")
        self.name = name
        self.scope = scope
        self.description = description
        self.default_run_kwargs = dict(default_run_kwargs or {})
        RunOptions.build("default_run_kwargs", self.default_run_kwargs)
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in the order they were added."""
        return tuple(self._steps)

    def add(self, step: Step) -> Self:
        """Add a step; what it needs must be there already.

        Raises
        ------
        PipelineDefinitionError
            The name is taken, or the step needs what is not there.
        """
        StepGraph(self.name, [*self._steps, step])
        self._steps.append(step)
        return self

    @classmethod
    def of(cls, name: str, steps: Sequence[Step], **options: Any) -> Pipeline:
        """A pipeline of steps given in any order."""
        pipeline = cls(name=name, **options)
        StepGraph(name, steps)
        pipeline._steps = list(steps)
        return pipeline

    def graph(self) -> StepGraph:
        """The checked graph of the steps."""
        return StepGraph(self.name, self._steps)

    def bind(self, dataset: Dataset, entries: Sequence[str]) -> BoundPipeline:
        """The pipeline on a dataset whose entries are given."""
        return BoundPipeline(
            self.name, self.graph(), dataset, entries, self.scope, self.default_run_kwargs
        )

    def passes_through(self, step: FeatureStep) -> bool:
        """Whether a step's tables are its one input's own objects, whatever its state is."""
        defaults = with_scope_frames(self.default_run_kwargs, self.scope)
        options = RunOptions.build(step.name, defaults, step.run_kwargs)
        return step.passes_through and not options.filters_frames

    def dag(self) -> dict[str, list[str]]:
        """Step to the names of the steps it needs, in an order in which they can run."""
        graph = self.graph()
        return {name: list(graph.upstream[name]) for name in graph.order}

    def show(self, highlight: Collection[str] = (), stop_at: Sequence[str] | None = None) -> bytes:
        """The steps as a PNG picture, coloured by category.

        Parameters
        ----------
        highlight
            Names of steps that are framed.
        stop_at
            Only these steps and what they need; None shows all.
        """
        return overview.draw(self, highlight, stop_at)

    def show_text(self, stop_at: Sequence[str] | None = None) -> str:
        """The steps as a tree of text, for a terminal."""
        return overview.tell(self, stop_at)

    def status(self, dataset: Dataset) -> pl.DataFrame:
        """One row per step: entries by state, run id, reason, when last made."""
        return plan.status_table(dataset, self)

    def plan(self, dataset: Dataset) -> pl.DataFrame:
        """One row per step: what a run would compute, why, and about how long it takes."""
        return plan.plan_table(dataset, self)

    def load(self, dataset: Dataset) -> dict[str, StepResult]:
        """What is there already, by step; computes nothing."""
        return execute.load_results(dataset, self)

    def run(
        self,
        dataset: Dataset,
        *,
        engine: Backend = "loky",
        workers: int | None = None,
        force_from: str | None = None,
        dry_run: bool = False,
        entries: Collection[str] | None = None,
    ) -> dict[str, StepResult]:
        """Compute what is out of date.

        Parameters
        ----------
        dataset
            The dataset.
        engine, workers
            See :class:`~mosaic_dagster.pipeline.Engine`.
        force_from
            This step and everything below it is made anew, fits included.
        dry_run
            Nothing is computed; the results are what is there.
        entries
            Keys of the entries to compute; a fit that is out of date still sees its whole scope.

        Raises
        ------
        ScopeError
            One of ``entries`` is not in the scope of the pipeline.
        RunFailedError
            Something failed. Everything good is stored; the error carries the report.
        """
        return execute.run_pipeline(
            dataset, self, engine=engine, workers=workers, force_from=force_from,
            dry_run=dry_run, entries=entries,
        )  # fmt: skip

    def clean(self, dataset: Dataset, *, dry_run: bool = True) -> pl.DataFrame:
        """Results of this pipeline that no declared step wants any more."""
        return cleaning.clean_table(dataset, [self], dry_run=dry_run)
