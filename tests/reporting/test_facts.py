"""Facts of a report: counts, failures, identities."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mosaic_dagster import Dataset, FeatureStep, Pipeline
from mosaic_dagster.dataset import Scope
from mosaic_dagster.reporting import CheckFinding, Subject, gather
from mosaic_dagster.reporting import facts as facts_module


def test_everything_that_was_made_is_counted(made: Dataset, pipeline: Pipeline) -> None:
    """4 tracks, 3 steps of 4 entries, one fit, a callback, a training: 4 + 12 + 3 = 19."""
    facts = gather(Subject(made, pipeline))
    assert facts.counts == {"fresh": 19, "empty": 0, "stale": 0, "missing": 0, "failed": 0,
                            "blocked": 0}  # fmt: skip
    assert facts.groups == {"a": 2, "b": 2}
    assert facts.step("tracks").rows == 32
    assert (facts.fps, facts.unit, facts.n_problems) == (10.0, "mm", 0)
    assert facts.newest == max(step.modified for step in facts.steps if step.modified)


def test_a_step_tells_what_it_was_asked(made: Dataset, pipeline: Pipeline) -> None:
    """Somebody who repeats the analysis needs version, parameters and inputs."""
    step = gather(Subject(made, pipeline)).step("kinds")
    assert (step.feature, step.version, step.inputs) == ("report-kinds", "1", ("tracks",))
    assert (step.params, step.defaults) == ({"parts": 2}, {})
    summary = gather(Subject(made, pipeline)).step("bouts")
    assert summary.defaults["cluster_col"] == "cluster"


def test_failures_come_first_with_their_error(
    lab: Dataset, pipeline: Pipeline, run: Callable[..., None], broken: set[str]
) -> None:
    """A failure at the end of a list of stale results is overlooked."""
    broken.add("two")
    run(pipeline, lab)
    facts = gather(Subject(lab, pipeline))
    first = facts.problems[0]
    assert (first.step, first.entry, first.state) == ("kinds", "a/two", "failed")
    assert "no <b>legs</b> & no head" in first.message
    assert {p.state for p in facts.problems} == {"failed", "blocked"}
    assert facts.counts["failed"] == 1


def test_problems_are_bounded_and_counted(lab: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 missing recordings must not make a page of 10,000 lines."""
    monkeypatch.setattr(facts_module, "MOST_PROBLEMS", 3)
    pipeline = Pipeline(name="walks").add(FeatureStep("speed", "speed-angvel"))
    facts = gather(Subject(lab, pipeline))
    assert len(facts.problems) == 3
    assert facts.n_problems == 4


def test_the_scope_is_told_and_counted(made: Dataset) -> None:
    """Numbers of group a under the heading of all recordings would be wrong."""
    pipeline = Pipeline(name="part", scope=Scope(groups=["a"])).add(
        FeatureStep("speed", "speed-angvel")
    )
    facts = gather(Subject(made, pipeline))
    assert facts.scope == "groups: a"
    assert facts.recordings == facts.step("tracks").good == 2


def test_equal_states_have_equal_facts(changing: Dataset, pipeline: Pipeline) -> None:
    """The page is left alone while its facts stay, and drawn anew when one changes."""
    before = gather(Subject(changing, pipeline))
    assert gather(Subject(changing, pipeline)).digest == before.digest
    finding = CheckFinding("range", "error", "too fast", "kinds", "a/one")
    assert gather(Subject(changing, pipeline), [finding]).digest != before.digest
    changing.add_tracks(
        changing.entries()[0], changing.tracks(changing.entries()[0]).head(3), overwrite=True
    )
    assert gather(Subject(changing, pipeline)).digest != before.digest


def test_what_only_waits_is_counted_not_listed(lab: Dataset, pipeline: Pipeline) -> None:
    """New recordings need ``kinds`` and ``spots``; all else only waits, and would bury them.

    15 results are to be made: 4 of kinds, the fit of spots; 10 wait: 4 tables each of spots and
    bouts, the pictures and the models.
    """
    facts = gather(Subject(lab, pipeline))
    assert [(p.step, p.entry) for p in facts.problems if p.step == "spots"] == [("spots", "(fit)")]
    assert (facts.n_problems, facts.n_waiting) == (5, 10)
