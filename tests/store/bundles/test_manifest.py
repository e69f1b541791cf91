from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.bundles.manifest import export_time, library_versions


def test_the_time_is_utc_and_a_given_one_wins(monkeypatch):
    """Else two exports of one moment in two countries differ.

    12:00 at two hours east is 10:00 in UTC; 86 400 seconds are one day after 1970-01-01.
    """
    east = datetime(2024, 5, 6, 12, tzinfo=timezone(timedelta(hours=2)))
    assert export_time(east) == "2024-05-06T10:00:00+00:00"
    assert export_time(datetime(2024, 5, 6, 10)) == "2024-05-06T10:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert export_time() == "1970-01-02T00:00:00+00:00"
    assert export_time(east) == "2024-05-06T10:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert abs(datetime.fromisoformat(export_time()) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_wrong_epoch_is_said(monkeypatch):
    """Else a build that should be repeatable silently is not."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(StoreValueError, match="'yesterday'"):
        export_time()


def test_the_libraries_are_named():
    """Else nobody can tell why an old bundle no longer loads."""
    versions = library_versions()
    assert set(versions) == {"python", "numpy", "scikit-learn", "joblib", "mosaic_dagster"}
    assert versions["numpy"] == np.__version__
