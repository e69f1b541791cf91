"""Rules about the results of steps: what is measured of a table, and what it should keep."""

from mosaic_dagster.quality.drift import Drift
from mosaic_dagster.quality.facts import Facts, Profiles, Score
from mosaic_dagster.quality.profile import profile_table
from mosaic_dagster.quality.rule import Finding, Rule, Severity
from mosaic_dagster.quality.rules import (
    LabelCoverage,
    MissingShare,
    RowsMatchTracks,
    ScoreDrop,
    UniqueRows,
    ValueRange,
)
from mosaic_dagster.quality.verdict import (
    DEFAULT_CHECKS,
    DEFAULT_SUMMARY_CHECKS,
    DEFAULT_TRAINING_CHECKS,
    Verdict,
    check_rules,
    judge,
    refusals,
)
from mosaic_dagster.store import Profile

__all__ = [
    "DEFAULT_CHECKS",
    "DEFAULT_SUMMARY_CHECKS",
    "DEFAULT_TRAINING_CHECKS",
    "Drift",
    "Facts",
    "Finding",
    "LabelCoverage",
    "MissingShare",
    "Profile",
    "Profiles",
    "RowsMatchTracks",
    "Rule",
    "Score",
    "ScoreDrop",
    "Severity",
    "UniqueRows",
    "ValueRange",
    "Verdict",
    "check_rules",
    "judge",
    "profile_table",
    "refusals",
]
