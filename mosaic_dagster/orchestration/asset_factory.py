"""From a declared study to assets: one per step, two for a fitted one, and a report.

Their keys::

    [dataset, "tracks"]                      partitioned by entry
    [dataset, "labels", kind]                partitioned by entry, of those that have labels
    [dataset, pipeline, step]                partitioned by entry, or a callback over all of them
    [dataset, pipeline, step, "model"]       the fitted state, without partitions
    [dataset, pipeline, step]                of a training step: what its models predicted
    [dataset, pipeline, "report"]            what a run did, and who fails it
"""

# Dagster reads the annotations of asset and op functions, so they are not postponed here.

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import (
    group_name,
    ingested_key,
    model_key,
    report_key,
    step_key,
    tracks_key,
)
from mosaic_dagster.orchestration.declared import (
    Declared,
    declared_callback,
    declared_labels,
    declared_model,
    declared_predictions,
    declared_report,
    declared_step,
    declared_tracks,
)
from mosaic_dagster.orchestration.events import backfill_policy, event_writer
from mosaic_dagster.orchestration.io_manager import StepOutputStream
from mosaic_dagster.orchestration.partitions import entries_definition
from mosaic_dagster.orchestration.quality_checks import check_results, check_specs
from mosaic_dagster.orchestration.reports import announce_report, refuse_unfinished
from mosaic_dagster.orchestration.run_session import RunSession, session_of
from mosaic_dagster.orchestration.standing import standing_results, standing_spec
from mosaic_dagster.orchestration.store_runs import ending_store_run
from mosaic_dagster.orchestration.tags import ENGINE_TAG
from mosaic_dagster.pipeline import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.pipeline.reasons import declared_version
from mosaic_dagster.pipeline.selection import StepStream
from mosaic_dagster.pipeline.steps import TRACKS, Step, is_ingested, labels_step
from mosaic_dagster.quality import Rule

# Dagster's own annotation calls it a type, and its decorator wants an instance.
_NOTHING = cast("dg.DagsterType", dg.Nothing)

_Yielded = Iterator[dg.Output[Any] | dg.AssetCheckResult]

MakeStream = Callable[[RunSession], StepStream]


@dataclass(frozen=True)
class AssetFactory:
    """Makes the assets of one study.

    Parameters
    ----------
    study
        The dataset and its pipelines.
    owners
        Shown on each asset.
    """

    study: Study
    owners: Sequence[str] = ()

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.study.dataset.name

    def assets(self) -> list[dg.AssetsDefinition]:
        """All assets of the study."""
        made = [self.tracks(), *map(self.labels, self.study.label_kinds())]
        for pipeline in self.study.pipelines:
            for step in pipeline.graph().steps.values():
                made += self.step(pipeline, step)
            made.append(self.report(pipeline))
        return made

    def tracks(self) -> dg.AssetsDefinition:
        """The asset of the tracks."""
        return self._asset(
            tracks_key(self.dataset),
            lambda session: session.run.ingested_stream(TRACKS),
            declared_tracks(self.study),
            group=group_name(self.dataset),
            partitioned=True,
            code_version="1",
        )

    def labels(self, kind: str) -> dg.AssetsDefinition:
        """The asset of the labels of a kind."""
        name = labels_step(kind)
        return self._asset(
            ingested_key(self.dataset, name),
            lambda session: session.run.ingested_stream(name),
            declared_labels(self.study, kind),
            group=group_name(self.dataset),
            partitioned=True,
            code_version="1",
        )

    def step(self, pipeline: Pipeline, step: Step) -> list[dg.AssetsDefinition]:
        """The asset of a step, after that of its fitted state if it has one."""
        if isinstance(step, TrainingStep):
            return [self._callback(pipeline, step), self._predictions(pipeline, step)]
        if isinstance(step, CallbackStep):
            return [self._callback(pipeline, step)]
        made = []
        if step.feature_cls.fits != "never":
            made.append(self._model(pipeline, step))
        return [*made, self._entries(pipeline, step)]

    def report(self, pipeline: Pipeline) -> dg.AssetsDefinition:
        """The asset that tells what a run did, and fails it when something failed."""
        key, declared = (
            report_key(self.dataset, pipeline.name),
            declared_report(self.study, pipeline),
        )
        deps = [dg.AssetDep(tracks_key(self.dataset), partition_mapping=_all())]
        deps += [
            dg.AssetDep(
                step_key(self.dataset, pipeline.name, step.name),
                partition_mapping=None if _is_whole(step) else _all(),
            )
            for step in pipeline.steps
        ]

        @dg.asset(
            key=key,
            deps=deps,
            group_name=group_name(self.dataset, pipeline.name),
            kinds=set(declared.kinds),
            tags=declared.tags,
            owners=list(self.owners),
            required_resource_keys=self._resources,
            dagster_type=_NOTHING,
            check_specs=[standing_spec(self.study, pipeline)],
            description=declared.description,
        )
        def report_asset(context: dg.AssetExecutionContext) -> _Yielded:
            session = self._session(context)
            yield announce_report(context, session, pipeline, key)
            yield from standing_results(context, self.study, session.dataset, pipeline)
            with ending_store_run(session, pipeline.name):
                session.run.report(pipeline.name).raise_if_failed()
                refuse_unfinished(session, pipeline)

        return report_asset

    def _entries(self, pipeline: Pipeline, step: FeatureStep) -> dg.AssetsDefinition:
        deps = [self._same_entry(pipeline, name) for name in dict.fromkeys(step.input_names)]
        labels = dict.fromkeys(step.labels().values())
        deps += [self._same_entry(pipeline, name) for name in labels]
        for reference in step.references().values():
            if reference.artifact is None:
                deps.append(self._same_entry(pipeline, reference.step))
            elif step.feature_cls.fits == "never":
                deps.append(dg.AssetDep(model_key(self.dataset, pipeline.name, reference.step)))
        if step.feature_cls.fits != "never" and not pipeline.passes_through(step):
            deps.append(dg.AssetDep(model_key(self.dataset, pipeline.name, step.name)))
        return self._asset(
            step_key(self.dataset, pipeline.name, step.name),
            lambda session: session.run.entry_stream(pipeline.name, step.name),
            declared_step(self.study, pipeline, step),
            group=group_name(self.dataset, pipeline.name),
            partitioned=True,
            code_version=declared_version(step),
            deps=deps,
            upstream=self._upstream(pipeline, step),
            rules=step.rules,
        )

    def _model(self, pipeline: Pipeline, step: FeatureStep) -> dg.AssetsDefinition:
        deps = [
            dg.AssetDep(model_key(self.dataset, pipeline.name, reference.step))
            for reference in step.references().values()
            if reference.artifact is not None
        ]
        if step.feature_cls.fits == "stream":
            deps += [
                dg.AssetDep(self._table_key(pipeline, name), partition_mapping=_all())
                for name in dict.fromkeys([*step.reads_tables_of(), *step.labels().values()])
            ]
        return self._asset(
            model_key(self.dataset, pipeline.name, step.name),
            lambda session: session.run.fit_stream(pipeline.name, step.name),
            declared_model(self.study, pipeline, step),
            group=group_name(self.dataset, pipeline.name),
            partitioned=False,
            code_version=declared_version(step),
            deps=deps,
            upstream=self._upstream(pipeline, step),
        )

    def _callback(self, pipeline: Pipeline, step: CallbackStep) -> dg.AssetsDefinition:
        mapping = dg.IdentityPartitionMapping() if step.per_entry else _all()
        steps = pipeline.graph().steps
        deps = [
            dg.AssetDep(
                self._table_key(pipeline, name),
                partition_mapping=None if _is_whole(steps.get(name)) else mapping,
            )
            for name in dict.fromkeys(step.input_names)
        ]

        def make_stream(session: RunSession) -> StepStream:
            run = session.run
            make = run.entry_stream if step.per_entry else run.fit_stream
            return make(pipeline.name, step.name)

        trains = isinstance(step, TrainingStep)
        return self._asset(
            (model_key if trains else step_key)(self.dataset, pipeline.name, step.name),
            make_stream,
            declared_callback(self.study, pipeline, step),
            group=group_name(self.dataset, pipeline.name),
            partitioned=step.per_entry,
            code_version=step.version,
            deps=deps,
            upstream=self._upstream(pipeline, step),
            rules=step.rules,
        )

    def _predictions(self, pipeline: Pipeline, step: TrainingStep) -> dg.AssetsDefinition:
        model = model_key(self.dataset, pipeline.name, step.name)
        return self._asset(
            step_key(self.dataset, pipeline.name, step.name),
            lambda session: session.run.predictions_stream(pipeline.name, step.name),
            declared_predictions(self.study, pipeline, step),
            group=group_name(self.dataset, pipeline.name),
            partitioned=False,
            code_version=step.version,
            deps=[dg.AssetDep(model)],
            upstream={"state": model.to_user_string()},
        )

    def _asset(
        self,
        key: dg.AssetKey,
        make_stream: MakeStream,
        declared: Declared,
        *,
        group: str,
        partitioned: bool,
        code_version: str,
        deps: Sequence[dg.AssetDep] = (),
        upstream: dict[str, str] | None = None,
        rules: Sequence[Rule] = (),
    ) -> dg.AssetsDefinition:
        """An asset whose body selects, plans, hands over a lazy stream, and judges it."""

        @dg.asset(
            key=key,
            deps=list(deps),
            io_manager_key=f"{self.dataset}_io",
            required_resource_keys=self._resources,
            partitions_def=entries_definition(self.dataset) if partitioned else None,
            backfill_policy=backfill_policy() if partitioned else None,
            description=declared.description,
            group_name=group,
            kinds=set(declared.kinds),
            code_version=code_version,
            owners=list(self.owners),
            tags=declared.tags,
            metadata=declared.metadata,
            check_specs=check_specs(key, rules),
        )
        def step_asset(context: dg.AssetExecutionContext) -> _Yielded:
            session = self._session(context)
            stream, writer = make_stream(session), event_writer()
            output = StepOutputStream(session, stream, writer, code_version, upstream or {})
            yield dg.Output(output, metadata=writer.output_metadata(context))
            yield from self._judged(context, output, key)

        return step_asset

    def _judged(
        self, context: dg.AssetExecutionContext, output: StepOutputStream, key: dg.AssetKey
    ) -> Iterator[dg.AssetCheckResult]:
        """What came of the checks of an asset that was made, and then its failure, if it is one."""
        yield from check_results(context, output.session, output.stream, key)
        with ending_store_run(output.session, output.stream.pipeline, unless_reported=True):
            self._fail_where_due(context, output, key)

    def _fail_where_due(
        self, context: dg.AssetExecutionContext, output: StepOutputStream, key: dg.AssetKey
    ) -> None:
        """Mark what was not made; fail here unless the run has a report that does."""
        report = output.stream.report
        if report.is_good:
            return
        known = set(output.session.run.tracks.keys)
        stopped = [key for key in (*report.failures, *report.blocked) if key in known]
        output.writer.planned(context, key, stopped)
        output.session.note_stopped(key.to_user_string(), stopped)
        if not output.session.reports(output.stream.pipeline):
            raise dg.Failure(
                f"{key.to_user_string()}: {len(report.failures)} failed, "
                f"{len(report.blocked)} blocked of {output.stream.total}.",
                metadata={
                    "failed": dg.MetadataValue.json(dict(list(report.failures.items())[:50])),
                    "blocked": dg.MetadataValue.json(dict(list(report.blocked.items())[:50])),
                },
                allow_retries=False,
            )

    def _session(self, context: dg.AssetExecutionContext) -> RunSession:
        resources = context.resources
        workspace = getattr(resources, f"{self.dataset}_workspace")
        engine = resources.engine.engine(context.run.tags.get(ENGINE_TAG))
        return session_of(context, self.study, workspace.open(self.study.dataset), engine)

    @property
    def _resources(self) -> set[str]:
        return {f"{self.dataset}_workspace", "engine"}

    def _table_key(self, pipeline: Pipeline, step: str) -> dg.AssetKey:
        if is_ingested(step):
            return ingested_key(self.dataset, step)
        if isinstance(pipeline.graph().steps.get(step), TrainingStep):
            return model_key(self.dataset, pipeline.name, step)
        return step_key(self.dataset, pipeline.name, step)

    def _same_entry(self, pipeline: Pipeline, step: str) -> dg.AssetDep:
        return dg.AssetDep(
            self._table_key(pipeline, step), partition_mapping=dg.IdentityPartitionMapping()
        )

    def _upstream(self, pipeline: Pipeline, step: Step) -> dict[str, str]:
        """Asset (as text) of each role that an input of the step's outcomes can have."""
        tables = {i: self._table_key(pipeline, name) for i, name in enumerate(step.input_names)}
        roles = {f"input:{i}": key for i, key in tables.items()}
        steps = pipeline.graph().steps
        roles |= {
            f"state:{i}": tables[i]
            for i, name in enumerate(step.input_names)
            if _is_whole(steps.get(name))
        }
        if isinstance(step, FeatureStep):
            roles["state"] = model_key(self.dataset, pipeline.name, step.name)
            for name, reference in step.references().items():
                model = model_key(self.dataset, pipeline.name, reference.step)
                table = self._table_key(pipeline, reference.step)
                roles[f"param:{name}"] = model
                roles[f"lookup:{name}"] = table
            for name, labels in step.labels().items():
                roles[f"labels:{name}"] = ingested_key(self.dataset, labels)
        return {role: key.to_user_string() for role, key in roles.items()}


def _is_whole(step: Step | None) -> bool:
    """Whether a step makes one thing of its whole scope, and so has no partitions."""
    return isinstance(step, CallbackStep) and not step.per_entry


def _all() -> dg.PartitionMapping:
    return dg.AllPartitionMapping()
