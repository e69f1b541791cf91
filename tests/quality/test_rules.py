"""The rules: what they find, what they let pass, and what they refuse to be."""

from __future__ import annotations

import math

import pytest

from mosaic_dagster.errors import PipelineDefinitionError
from mosaic_dagster.quality import (
    Facts,
    LabelCoverage,
    MissingShare,
    Profile,
    Profiles,
    RowsMatchTracks,
    Score,
    ScoreDrop,
    UniqueRows,
    ValueRange,
    check_rules,
    judge,
    refusals,
)


def measured(rows=4, duplicated=0, missing=0.0, low=0.0, high=1.0, column="v"):
    return Profile(
        rows, rows, duplicated, (column,), (missing,), (low,), (high,), ((low + high) / 2,), (1.0,)
    )


def found(rule, **profiles):
    """Entry, column, measured and threshold of each finding."""
    facts = Facts(
        Profiles.of(profiles), tracks_rows={"a": 8, "b": 0}, tracks_frames={"a": 4, "b": 0}
    )
    return [(f.entry, f.column, f.measured, f.threshold) for f in rule.judge(facts)]


def test_rows_are_compared_with_those_of_the_tracks():
    """4 rows of 8 tracks rows in 4 frames: half, or all of the frames."""
    assert found(RowsMatchTracks(), a=measured()) == [("a", "", 0.5, 1.0)]
    assert found(RowsMatchTracks(0.5), a=measured()) == []
    assert found(RowsMatchTracks(per="frame"), a=measured()) == []
    assert found(RowsMatchTracks(None, 0.25), a=measured()) == [("a", "", 0.5, 0.25)]
    assert found(RowsMatchTracks(), b=measured(), unknown=measured()) == []


def test_missing_values_are_counted_per_column():
    """The threshold itself is allowed; a column asked for by name must be there."""
    assert found(MissingShare(0.5), a=measured(missing=0.5)) == []
    assert found(MissingShare(0.4), a=measured(missing=0.5)) == [("a", "v", 0.5, 0.4)]
    assert found(MissingShare(0.4, "w"), a=measured(missing=0.5))[0][:2] == ("a", "w")
    assert found(MissingShare(0.4), a=measured(), b=measured(missing=0.5, column="w")) == [
        ("b", "w", 0.5, 0.4)
    ]


def test_values_stay_in_their_range():
    """Limits are allowed; the farther of two violations is told; no value is no violation."""
    rule = ValueRange("v", 0.0, 10.0)
    assert found(rule, a=measured(low=0.0, high=10.0)) == []
    assert found(rule, a=measured(low=-1.0, high=12.0)) == [("a", "v", 12.0, 10.0)]
    assert found(rule, a=measured(low=-3.0, high=12.0)) == [("a", "v", -3.0, 0.0)]
    assert found(ValueRange("v", high=10.0), a=measured(low=-9.0, high=math.inf)) == [
        ("a", "v", math.inf, 10.0)
    ]
    assert found(rule, a=measured(low=math.nan, high=math.nan)) == []


def test_a_column_that_is_not_there_cannot_pass():
    """A misspelt column would else be a check that never fails."""
    ((entry, column, value, _),) = found(ValueRange("speedd", high=1.0), a=measured())
    assert (entry, column) == ("a", "speedd")
    assert math.isnan(value)


def test_repeated_rows_are_found():
    assert found(UniqueRows(), a=measured(duplicated=2), b=measured()) == [("a", "", 2.0, 0.0)]


def test_label_coverage_judges_labelled_recordings_unless_all_are_asked_for():
    """Labs label a part of what they record; the rest is no mistake unless they say so."""
    facts = Facts(tracks_frames={"a": 4, "b": 4}, labelled={"behavior": {"a": 0.25}})
    rule = LabelCoverage("behavior", 0.5)
    assert [f.entry for f in rule.judge(facts)] == ["a"]
    every = LabelCoverage("behavior", 0.1, every_entry=True)
    assert [(f.entry, f.measured) for f in every.judge(facts)] == [("b", 0.0)]
    assert (rule.judged(facts), every.judged(facts)) == (1, 2)


@pytest.mark.parametrize(
    ("score", "share"),
    [
        (Score("f1", 0.6, 0.8, True), 0.25),
        (Score("rmse", 1.5, 1.0, False), 0.5),
        (Score("rmse", 0.5, 1.0, False), None),
        (Score("r2", -0.5, 0.0, True), math.inf),
        (Score("f1", 0.79, 0.8, True), None),
    ],
)
def test_a_drop_is_what_is_worse_by_the_direction_of_the_metric(score, share):
    """0.8 to 0.6 is a quarter of 0.8; an error that grows is a drop, one that shrinks is none."""
    findings = ScoreDrop(0.1).judge(Facts(scores=[score]))
    assert [f.measured for f in findings] == ([] if share is None else [pytest.approx(share)])


def test_only_blocking_rules_refuse_and_the_first_says_why():
    """A warning must never keep data from going on."""
    facts = Facts(Profiles.of({"a": measured(missing=0.9, duplicated=1)}))
    assert refusals([MissingShare(0.5), UniqueRows()], facts) == {}
    rules = [UniqueRows(), MissingShare(0.5, blocking=True), ValueRange("v", 5, blocking=True)]
    assert refusals(rules, facts) == {
        "a": "missing_share: 0.9 of the values of v are missing, above 0.5."
    }


def test_a_verdict_tells_what_it_did_not_see():
    """Results that nobody measured must not pass in silence."""
    (verdict,) = judge([UniqueRows()], Facts(Profiles.of({"a": measured()}), unmeasured=["b"]))
    assert verdict.passed
    assert verdict.words.endswith("1 judged. 1 not measured.")


def test_severity_follows_blocking_unless_given():
    assert [rule.level for rule in (UniqueRows(), UniqueRows(blocking=True))] == ["warn", "error"]
    assert UniqueRows(severity="error").level == "error"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueRange("v"), lambda: ValueRange("v", 2, 1), lambda: ValueRange((), 2),
        lambda: MissingShare(1.5), lambda: RowsMatchTracks(2.0, 1.0),
        lambda: RowsMatchTracks(per="day"), lambda: UniqueRows(severity="bad"),
        lambda: UniqueRows(name="Not a name"), lambda: ScoreDrop(-1.0),
    ],
)  # fmt: skip
def test_rules_that_cannot_hold_are_refused_where_they_are_declared(make):
    """Else the mistake would show when the first recording is checked, or never."""
    with pytest.raises(PipelineDefinitionError, match="A rule"):
        make()


def test_checks_of_a_step_can_be_told_apart():
    check_rules("s", [ValueRange("v", 0), ValueRange("w", 0, name="of_w")])
    with pytest.raises(PipelineDefinitionError, match="two checks called 'value_range'"):
        check_rules("s", [ValueRange("v", 0), ValueRange("w", 0)])
    with pytest.raises(PipelineDefinitionError, match="no rule"):
        check_rules("s", ["unique_rows"])
