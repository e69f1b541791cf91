"""What a pipeline made of a dataset, as one page that can be sent around."""

from mosaic_dagster.reporting.checks import CheckFinding
from mosaic_dagster.reporting.facts import ReportFacts, gather
from mosaic_dagster.reporting.subject import Subject
from mosaic_dagster.reporting.write import WrittenReport, write_report

__all__ = ["CheckFinding", "ReportFacts", "Subject", "WrittenReport", "gather", "write_report"]
