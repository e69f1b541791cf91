"""What can be declared, and what is refused before anything runs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mosaic_dagster import CallbackStep, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration
from mosaic_dagster.errors import (
    CycleError,
    ParamsError,
    PipelineDefinitionError,
    UnknownFeatureError,
    UnknownStepError,
)
from mosaic_dagster.features import ArtifactSpec, Inputs, NpzLoadSpec, Params, Result, StepRef
from mosaic_dagster.pipeline.graph import StepGraph
from mosaic_dagster.store import StepOutput


def report(dataset, results):
    """Count what there is."""
    return StepOutput()


@pytest.fixture
def diamond(toy):
    """a -> b, c -> d, where c reaches a only by a parameter, and d is a callback."""
    return Pipeline.of(
        "diamond",
        [
            CallbackStep("d", report, ["b", "c"]),
            FeatureStep("c", toy.Scaled, {"templates": StepRef("a", "mean.json")}),
            FeatureStep("b", toy.Shift, {}, ["a"]),
            FeatureStep("a", toy.Mean),
        ],
    )


def test_steps_run_after_what_they_need_and_else_as_declared(diamond):
    assert diamond.dag() == {"a": ["tracks"], "c": ["tracks", "a"], "b": ["a"], "d": ["b", "c"]}


def test_above_and_below_follow_references_like_inputs(diamond):
    """Forcing a step must reach what depends on its fitted state."""
    graph = diamond.graph()
    assert graph.above(["d"]) == {"a", "b", "c", "d"}
    assert graph.above(["c"]) == {"a", "c"}
    assert graph.below(["a"]) == {"a", "b", "c", "d"}
    assert graph.below(["c"]) == {"c", "d"}
    assert graph.below(["tracks"]) == {"a", "b", "c", "d"}
    assert graph.below([]) == set()


def test_a_circle_is_spelled_out(toy):
    steps = [
        FeatureStep("a", toy.Shift, {}, ["c"]),
        FeatureStep("b", toy.Shift, {}, ["a"]),
        FeatureStep("c", toy.Beside, {"other": StepRef("b")}),
    ]
    with pytest.raises(CycleError) as caught:
        Pipeline.of("p", steps)
    circle = caught.value.what.partition("circle: ")[2].rstrip(".").split(" -> ")
    assert circle[0] == circle[-1]
    needs = {step.name: step.upstream() for step in steps}
    assert all(up in needs[step] for step, up in pairwise(circle))


def test_a_step_that_reads_itself_is_a_circle(toy):
    with pytest.raises(CycleError, match="a -> a"):
        Pipeline.of("p", [FeatureStep("a", toy.Shift, {}, ["a"])])


def test_a_name_can_be_used_once(toy):
    pipeline = Pipeline(name="p").add(FeatureStep("a", toy.Shift))
    with pytest.raises(PipelineDefinitionError, match="two steps called 'a'"):
        pipeline.add(FeatureStep("a", toy.Mean))
    assert pipeline.dag() == {"a": ["tracks"]}  # as it was


@pytest.mark.parametrize("how", ["input", "reference", "callback"])
def test_an_unknown_step_is_refused_and_the_nearest_named(toy, how):
    steps = {
        "input": FeatureStep("b", toy.Shift, {}, ["smoth"]),
        "reference": FeatureStep("b", toy.Beside, {"other": StepRef("smoth")}),
        "callback": CallbackStep("b", report, ["smoth"]),
    }
    pipeline = Pipeline(name="p").add(FeatureStep("smooth", toy.Shift))
    with pytest.raises(UnknownStepError, match="'b' of pipeline 'p' needs 'smoth'") as caught:
        pipeline.add(steps[how])
    assert "Did you mean 'smooth'?" in caught.value.remedy
    with pytest.raises(UnknownStepError, match="has no step 'smoth'"):
        pipeline.graph().require("smoth")


def test_a_file_can_be_asked_for_only_where_one_is_fitted(toy):
    pipeline = Pipeline(name="p").add(FeatureStep("a", toy.Shift))
    with pytest.raises(
        PipelineDefinitionError, match=r"templates of step 'b' asks for 'mean.json'"
    ):
        pipeline.add(FeatureStep("b", toy.Scaled, {"templates": StepRef("a", "mean.json")}))


def test_a_feature_cannot_read_a_callback(toy):
    pipeline = Pipeline(name="p").add(CallbackStep("a", report))
    with pytest.raises(PipelineDefinitionError, match="'a', which is a callback"):
        pipeline.add(FeatureStep("b", toy.Shift, {}, ["a"]))
    with pytest.raises(PipelineDefinitionError, match="'a', which is"):
        pipeline.add(FeatureStep("b", toy.Beside, {"other": StepRef("a")}))


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "a__b", "_a", "a_", "a-b", "a b", "a/b", "ä", "a\n", "model", "report",
             "tracks", "labels", "dagster"],
)  # fmt: skip
def test_a_name_that_could_not_be_an_asset_key_is_refused(toy, name):
    for declare in (
        lambda: FeatureStep(name, toy.Shift),
        lambda: CallbackStep(name, report),
        lambda: Pipeline(name=name),
    ):
        with pytest.raises(PipelineDefinitionError, match="cannot be the name"):
            declare()


def test_a_text_as_inputs_is_not_read_letter_by_letter(toy):
    with pytest.raises(PipelineDefinitionError, match=r"one text") as caught:
        FeatureStep("b", toy.Shift, {}, "abc")
    assert "inputs=('abc',)" in caught.value.remedy
    with pytest.raises(PipelineDefinitionError, match=r"one text"):
        CallbackStep("b", report, "abc")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filter_start": 3}, "filter_start"),
        ({"fit_threads": 0}, "fit_threads"),
        ({"filter_end_frame": 3, "filter_end_time": 1.0}, "both filter_end_frame and"),
    ],
)
def test_wrong_run_options_are_refused_and_the_step_named(added, toy, options, said):
    with pytest.raises(PipelineDefinitionError, match=said):
        Pipeline(options, name="p")
    pipeline = Pipeline(name="p").add(FeatureStep("speed", toy.Shift, run_kwargs=options))
    with pytest.raises(PipelineDefinitionError, match=f"'speed'.*{said}"):
        pipeline.status(added)


def test_none_removes_a_filter_of_the_pipeline(added, toy, run):
    step = FeatureStep("shift", toy.Shift, run_kwargs={"filter_end_frame": None})
    pipeline = Pipeline({"filter_end_frame": 2}, name="p").add(step)
    assert run(pipeline, added)["shift"].table("g/s1").height == 4


def test_a_wrong_parameter_names_its_step(toy):
    with pytest.raises(ParamsError, match="Step 'speed': Unknown parameter 'bye'") as caught:
        Pipeline(name="p").add(FeatureStep("speed", toy.Shift, {"bye": 1}))
    assert "Did you mean 'by'?" in caught.value.remedy
    with pytest.raises(ParamsError, match=r"Step 'speed': by: .*'fast'"):
        Pipeline(name="p").add(FeatureStep("speed", toy.Shift, {"by": "fast"}))


def test_parameters_of_another_feature_are_refused(toy):
    with pytest.raises(ParamsError, match="MeanParams, which is not for toy-shift"):
        Pipeline(name="p").add(FeatureStep("a", toy.Shift, toy.MeanParams()))
    Pipeline(name="p").add(FeatureStep("a", toy.Shift, toy.ShiftParams(by=2.0)))


def test_an_unknown_feature_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownFeatureError, match="speed-angvel"):
        Pipeline(name="p").add(FeatureStep("a", "speed-angvle"))


def test_a_reference_by_run_id_is_refused_in_a_pipeline(added, toy):
    """Its digest would be in no key, so that two models would share one result."""

    class Loose(Params):
        model: ArtifactSpec | Result | None = None

    class Borrowing(toy.Shift):
        Params = Loose

    spec = ArtifactSpec(feature="pca", run_id="1-a", load=NpzLoadSpec(key="mean"))
    for value in (spec, Result(feature="pca")):
        with pytest.raises(PipelineDefinitionError, match="model of step 'a' is a"):
            Pipeline(name="p").add(FeatureStep("a", Borrowing, Loose(model=value)))


def test_a_feature_that_does_not_read_tracks_says_so(added, toy):
    class OnlyResults(Inputs):
        accepts = frozenset({"result"})

    class Picky(toy.Shift):
        Inputs = OnlyResults

    with pytest.raises(ParamsError, match="does not read 'tracks'"):
        Pipeline(name="p").add(FeatureStep("a", Picky)).status(added)


def test_descriptions_come_from_docstrings(toy):
    assert FeatureStep("a", toy.Shift).summary == "Adds ``by`` to a column."
    assert CallbackStep("a", report).summary == "Count what there is."
    assert FeatureStep("a", toy.Shift, description="Mine.").summary == "Mine."


def test_two_pipelines_of_a_study_need_two_names(toy):
    with pytest.raises(PipelineDefinitionError, match="two pipelines of one name"):
        Study(DatasetDeclaration("toy"), [Pipeline(name="p"), Pipeline(name="p")])


def test_an_empty_graph_is_a_graph():
    assert StepGraph("p", []).order == ()
