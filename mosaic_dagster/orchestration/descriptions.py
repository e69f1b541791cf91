"""What the UI says about an asset: what it is, from what, how, and what to type next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mosaic_dagster.features import FromDataset, Params, StepRef
from mosaic_dagster.hashing import canonical
from mosaic_dagster.orchestration.docstrings import field_words, notes_of, told_of
from mosaic_dagster.pipeline import CallbackStep, FeatureStep, Pipeline, Study, TrainingStep
from mosaic_dagster.pipeline.steps import TRACKS

_ROWS = {
    "per-frame": "One row per frame and individual (or pair).",
    "summary": "One table of figures for each recording.",
    "tag": "The same value in every row of an individual.",
    "global": "The same measure for all recordings, learned from all of them together.",
    "media": "Pictures or films of each recording.",
}
_LONGEST = 60


def tracks_description(study: Study) -> str:
    """What the tracks are, and in which asset what is made of them is found."""
    declared = study.dataset
    facts = [
        f"**fps** {declared.fps:g}" if declared.fps else "",
        f"**unit** {declared.unit}" if declared.unit else "",
        f"**keypoints** {', '.join(declared.keypoints)}" if declared.keypoints else "",
        f"**files** {', '.join(f'`{path}`' for path in dict.fromkeys(declared.paths))}"
        if declared.paths
        else "",
    ]
    made = [
        f"- `{pipeline.name}`{_dash(pipeline.description)} (step by step: "
        f"`{declared.name}/{pipeline.name}/report`)"
        for pipeline in study.pipelines
    ]
    return _paragraphs(
        "Where each animal was, frame by frame, as read from the tracking files.",
        "One partition per recording (`group/sequence`), one row per frame and individual; the "
        "column `id` tells the individuals of a recording apart.",
        "; ".join(filter(None, facts)),
        "\n".join(["What is made of them:", "", *made]) if made else "",
        _next("mosaic show tracks --entry KEY", "mosaic sources check"),
    )


def labels_description(study: Study, kind: str) -> str:
    """What the labels of a kind are."""
    step = f"labels/{kind}"
    readers = [
        f"`{pipeline.name}/{name}`"
        for pipeline in study.pipelines
        for name, ups in pipeline.dag().items()
        if step in ups
    ]
    return _paragraphs(
        f"What people saw: labels of the kind {kind}, as read from the label files.",
        "A recording that nobody labelled has no partition here; that is no error.",
        f"Read by {', '.join(readers)}." if readers else "",
        _next(f"mosaic show {step} --entry KEY"),
    )


def step_description(step: FeatureStep) -> str:
    """The feature in its own words, what it reads, its parameters and columns."""
    return _paragraphs(
        *_about(step),
        _ROWS[step.feature_cls.category],
        _reads(step.upstream()),
        _parameters(step),
        _next(f"mosaic show {step.name} --entry KEY", f"mosaic why {step.name} --entry KEY"),
        _details(notes_of(step.feature_cls)),
    )


def model_description(step: FeatureStep) -> str:
    """The same for the fitted state of a step."""
    fitted = "the entries of its scope" if step.feature_cls.fits == "stream" else "templates"
    above = (*step.references().values(),)
    return _paragraphs(
        f"What {step.name} learned; fitted on {fitted}.",
        *_about(step),
        _reads(
            [ref.step for ref in above] if step.feature_cls.fits != "stream" else step.upstream()
        ),
        _parameters(step),
        _next(f"mosaic show {step.name}", f"mosaic why {step.name}"),
    )


def callback_description(step: CallbackStep) -> str:
    """What the function's docstring says before its sections, and the parameters of the step."""
    trains = isinstance(step, TrainingStep)
    rows = [(name, _value(value), "") for name, value in sorted(step.params.items())]
    shows = (
        ["mosaic models top", f"mosaic why {step.name}"] if trains else [f"mosaic show {step.name}"]
    )
    return _paragraphs(
        "Models, trained and scored over whole recordings." if trains else "",
        step.description or told_of(step.fn) or f"Callback `{step.name}`.",
        _reads(step.input_names),
        _table(rows) if rows else "",
        _next(*shows),
    )


def predictions_description(step: TrainingStep) -> str:
    """What the predictions of a training step are."""
    return _paragraphs(
        f"What the models of {step.name} predicted, and how well: one row per prediction.",
        step.summary,
        _next("mosaic models top", f"mosaic show {step.name}"),
    )


def report_description(pipeline: Pipeline) -> str:
    """The way through a pipeline: each of its steps, in order, with a sentence."""
    rows = [
        f"| `{step.name}` | {_cell(_kind(step))} | {_cell(_plain(step))} |"
        for step in pipeline.steps
    ]
    return _paragraphs(
        f"What the last run of {pipeline.name} made, found and failed to make.",
        pipeline.description,
        "\n".join(["| step | feature | what it is |", "|---|---|---|", *rows]),
        "The check `up_to_date` says where each step stands, as `mosaic status` does.",
        _next(f"mosaic status {pipeline.name}", f"mosaic report {pipeline.name}"),
    )


def declared_parameters(step: FeatureStep) -> dict[str, Any]:
    """Parameters that a step sets, as plain JSON."""
    given: dict[str, Any] = canonical(step.checked_params.model_dump(exclude_defaults=True))
    return given


def _about(step: FeatureStep) -> Iterable[str]:
    feature = step.feature_cls
    lines = told_of(feature).split("\n\n")
    head, body = lines[0].replace("\n", " "), lines[1:]
    # Lists of assets show the first line as it is, without Markdown.
    head = head.replace("`", "")
    told = [step.description] if step.description else []
    named = f"Feature `{feature.name}`, version {feature.version}."
    return [*told, head, *body, named]


def _plain(step: FeatureStep | CallbackStep) -> str:
    told = step.description or told_of(
        step.feature_cls if isinstance(step, FeatureStep) else step.fn
    )
    return told.partition("\n\n")[0]


def _kind(step: FeatureStep | CallbackStep) -> str:
    if isinstance(step, FeatureStep):
        return f"`{step.feature_cls.name}`"
    return "training" if isinstance(step, TrainingStep) else "own code"


def _reads(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    told = [f"the {name}" if name == TRACKS else f"`{name}`" for name in unique]
    return f"Reads {', '.join(told)}." if told else ""


def _parameters(step: FeatureStep) -> str:
    """All parameters as a table, those that the step sets first."""
    params = step.checked_params
    words = field_words(type(params))
    given = declared_parameters(step)
    referred, labels = step.references(), step.labels()
    rows = []
    for name in sorted(type(params).model_fields, key=lambda name: name not in given):
        value = getattr(params, name)
        if name in referred:
            told = _reference(referred[name])
        elif name in labels:
            told = f"`{labels[name]}`"
        else:
            told = _value(canonical(value) if name in given else params.model_dump()[name])
        if value is None and _is_of_dataset(type(params), name):
            told = "that of the dataset"
        rows.append((name, told if name in given else f"{told} (default)", words.get(name, "")))
    return _table(rows) if rows else "It has no parameters."


def _is_of_dataset(params: type[Params], name: str) -> bool:
    return any(isinstance(marker, FromDataset) for marker in params.model_fields[name].metadata)


def _reference(reference: StepRef) -> str:
    of = reference.artifact or reference.column
    return f"`{reference.step}`" + (f": `{of}`" if of else "")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return f"`{text[:_LONGEST]}…`" if len(text) > _LONGEST else f"`{text}`"


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    lines = [f"| `{name}` | {_cell(value)} | {_cell(words)} |" for name, value, words in rows]
    return "\n".join(["| parameter | value | what it means |", "|---|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _details(notes: str) -> str:
    return f"---\n\n{notes}" if notes else ""


def _next(*commands: str) -> str:
    return "Next: " + ", ".join(f"`{command}`" for command in commands)


def _dash(text: str) -> str:
    return f": {text}" if text else ""


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def asset_tags(dataset: str, pipeline: str = "", **more: str) -> Mapping[str, str]:
    """Tags by which assets are found: dataset, pipeline, and whatever else has a value."""
    given = {"dataset": dataset, "pipeline": pipeline, **more}
    return {f"mosaic/{name}": value for name, value in given.items() if value}
