"""The job ``refresh``: exactly what needs it is made, in one run, and a lab is told the truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster import FeatureStep, Pipeline
from mosaic_dagster.errors import StoreFullError
from mosaic_dagster.store import ContentStore

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

EVERYTHING = {
    "tracks", "layered/shift", "layered/mean/model", "layered/mean", "layered/scaled/model",
    "layered/scaled", "layered/above", "layered/side", "layered/pictures", "layered/report",
}  # fmt: skip
PER_ENTRY = ["tracks", "layered/shift", "layered/mean", "layered/scaled", "layered/above",
             "layered/side"]  # fmt: skip
FITS = ["layered/mean/model", "layered/scaled/model", "layered/pictures"]
GOOD = "MATERIALIZED"
BAD = "FAILED"

Refresh = Callable[..., Any]
Look = Callable[[str], Any]


def seqs(toy: str, *numbers: int) -> list[str]:
    return [f"toy-{toy}:s{i}" for i in numbers]


def test_the_first_refresh_makes_everything_and_the_second_nothing(
    refresh: Refresh, events: Look, red: Look
) -> None:
    """4 entries: 4 events for each of 6 partitioned assets, one for each of 3 fits; then none.

    If it fails a lab either misses results, or computes for hours what is there.
    """
    first = refresh()
    assert first.success, first.errors
    assert first.assets == EVERYTHING
    assert len(first.computed) == 4 * 5 + 2
    assert "4 new recordings" in first.printed
    second = refresh()
    assert second.success
    assert second.runs == []
    assert second.computed == []
    assert "everything is up to date, nothing was computed" in second.printed
    assert {asset: len(events(asset)) for asset in PER_ENTRY} == dict.fromkeys(PER_ENTRY, 4)
    assert {asset: len(events(asset)) for asset in FITS} == dict.fromkeys(FITS, 1)
    assert set(red("layered/above").values()) == {GOOD}


def test_events_carry_what_is_stored(refresh: Refresh, events: Look, digests: Look) -> None:
    """Data version = output digest, and the versions of the inputs are theirs: exact provenance."""
    refresh()
    for asset, step in (("tracks", "tracks"), ("layered/shift", "shift"), ("layered/mean", "mean")):
        versions = {e.partition: e.tags["dagster/data_version"] for e in events(asset)}
        assert versions == {k: v for k, v in digests(step).items() if k}
    mean = events("layered/mean")[0]
    assert (
        mean.tags["dagster/input_data_version/toy/layered/shift"]
        == (digests("shift")[mean.partition])
    )
    assert mean.tags["dagster/input_data_version/toy/layered/mean/model"] == (digests("mean")[""])
    (fit,) = events("layered/mean/model")
    assert fit.tags["dagster/data_version"] == digests("mean")[""]
    (above, *_) = events("layered/above")
    assert above.tags["dagster/input_data_version/toy/layered/mean/model"] == (digests("mean")[""])


def test_a_changed_parameter_of_a_fit_runs_that_step_and_below(refresh: Refresh, lab: Any) -> None:
    """Like another k of k-means: nothing above it is even selected."""
    refresh()
    lab.params["scaled"] = {"times": 3.0}
    changed = refresh()
    assert changed.success
    assert changed.assets == {
        "layered/scaled/model", "layered/scaled", "layered/pictures", "layered/report"
    }  # fmt: skip
    assert changed.computed == sorted(["toy-scaled:fit:templates", *seqs("scaled", 0, 1, 2, 3)])


def test_a_new_recording_is_made_and_what_depends_on_it(refresh: Refresh, lab: Any) -> None:
    """One more csv: its entry alone in steps without a fit; the fit, and all below, anew."""
    refresh()
    lab.record("s9", 100.0)
    done = refresh()
    assert done.success
    assert "1 new recordings" in done.printed
    assert [c for c in done.computed if c.startswith(("toy-shift", "toy-whole"))] == [
        "toy-shift:s9", "toy-whole:s9"
    ]  # fmt: skip
    assert "toy-mean:fit:s0+s1+s2+s3+s9" in done.computed
    assert sorted(c for c in done.computed if c.startswith("toy-mean:s")) == seqs(
        "mean", 0, 1, 2, 3, 9
    )


def test_an_edit_that_is_undone_is_found_again(
    refresh: Refresh, lab: Any, events: Look, digests: Look
) -> None:
    """Old bytes, old results: no computing, but the UI hears that they are current again."""
    refresh()
    before = digests("above")
    original = lab.folder / "s1.csv"
    kept = original.read_text()
    lab.record("s1", 55.0)
    edited = refresh()
    assert [c for c in edited.computed if c.startswith("toy-shift")] == ["toy-shift:s1"]
    assert digests("above") != before
    original.write_text(kept)
    undone = refresh()
    assert undone.success
    assert undone.computed == []
    assert undone.run is not None
    assert digests("above") == before
    latest = {e.partition: e.tags["dagster/data_version"] for e in events("layered/above")}
    assert latest == before
    assert "nothing was computed" in undone.printed
    assert refresh().runs == []


def test_what_a_notebook_made_is_announced_without_computing(
    refresh: Refresh, lab: Any, events: Look, red: Look
) -> None:
    """Otherwise the UI shows as missing what a colleague made in a notebook."""
    lab.pipeline().run(lab.dataset, engine="sequential")
    lab.log.take()
    done = refresh()
    assert done.success, done.errors
    assert done.computed == []
    assert len(events("layered/scaled")) == 4
    assert set(red("tracks").values()) == {GOOD}
    assert refresh().runs == []


def test_one_bad_recording_of_many(refresh: Refresh, lab: Any, events: Look, red: Look) -> None:
    """s2 is no csv any more: three of four go through all steps in one run, which fails.

    s2 is red in the tracks and in every step below; a red entry elsewhere, or a green one there,
    would send a lab looking in the wrong place.
    """
    (lab.folder / "s2.csv").write_text("frame,id,X,Y\n0,0,one,two\n")
    done = refresh()
    assert not done.success
    assert len(done.runs) == 1
    assert done.run.status == dg.DagsterRunStatus.FAILURE
    expected = {"s0": GOOD, "s1": GOOD, "s2": BAD, "s3": GOOD}
    assert {asset: red(asset) for asset in PER_ENTRY} == dict.fromkeys(PER_ENTRY, expected)
    assert len(events("layered/report")) == 1
    report = events("layered/report")[0].metadata
    assert "failures" in report
    assert "s2" in str(report["failures"].value)
    assert "FAILED tracks g/s2" in done.printed
    assert "s2" in done.errors[-1]
    assert "toy-mean:fit:s0+s1+s3" in done.computed


def test_a_failed_entry_is_tried_again_by_the_next_refresh(
    refresh: Refresh, lab: Any, red: Look
) -> None:
    """Someone asked again: exactly what failed is retried, and mended it is built to the end."""
    lab.break_entry("shift", "s1")
    assert not refresh().success
    again = refresh()
    assert not again.success
    assert again.computed == ["toy-shift:s1"]
    assert red("layered/above")["s1"] == BAD
    assert red("layered/above")["s0"] == GOOD
    lab.mend("shift")
    mended = refresh()
    assert mended.success
    assert "toy-mean:fit:s0+s1+s2+s3" in mended.computed
    assert set(red("layered/scaled").values()) == {GOOD}


def test_a_failing_fit_blocks_what_is_below_it(refresh: Refresh, lab: Any, red: Look) -> None:
    """No model, no entries: mean and below are blocked and red, the side branch is made."""
    lab.break_fit("mean")
    done = refresh()
    assert not done.success
    assert "cannot fit" in done.printed
    assert set(red("layered/mean").values()) == {BAD}
    assert set(red("layered/scaled").values()) == {BAD}
    assert set(red("layered/side").values()) == {GOOD}
    lab.mend("mean")
    assert refresh().success


def test_a_vanished_source_is_told_and_its_results_stay(refresh: Refresh, lab: Any) -> None:
    """A disk that is not mounted must neither fail a refresh nor lose results."""
    refresh()
    (lab.folder / "s0.csv").unlink()
    done = refresh()
    assert done.success
    assert done.computed == []
    assert "1 source files are gone" in done.printed


# Configuration.


def test_only_the_steps_that_are_asked_for(refresh: Refresh) -> None:
    """``mean`` needs shift and the tracks; a report is made, nothing else."""
    done = refresh(steps=["mean"])
    assert done.success
    assert done.assets == {
        "tracks", "layered/shift", "layered/mean/model", "layered/mean", "layered/report"
    }  # fmt: skip
    assert refresh(steps=["layered/mean"]).runs == []


def test_only_the_entries_that_are_asked_for(refresh: Refresh, red: Look) -> None:
    """side is computed for one entry; a stale fit still sees its whole scope."""
    done = refresh(steps=["side"], entries=["g/s1"])
    assert done.success, done.errors
    assert done.computed == ["toy-whole:s1"]
    assert red("layered/side") == {"s0": None, "s1": GOOD, "s2": None, "s3": None}
    rest = refresh(steps=["side"], groups=["g"])
    assert rest.computed == seqs("whole", 0, 2, 3)


def test_a_stale_fit_sees_its_whole_scope(refresh: Refresh) -> None:
    """``--entry s1``: the mean is that of all four entries, applied to one."""
    done = refresh(steps=["mean"], entries=["g/s1"])
    assert done.success
    assert "toy-mean:fit:s0+s1+s2+s3" in done.computed
    assert [c for c in done.computed if c.startswith("toy-mean:s")] == ["toy-mean:s1"]


def test_forcing_makes_a_step_and_all_below_it_anew(refresh: Refresh) -> None:
    """For a feature whose code changed without its version: forced means computed."""
    refresh()
    done = refresh(force_from="mean")
    assert done.success
    assert {c.split(":")[0] for c in done.computed} == {"toy-mean", "toy-scaled", "toy-above"}
    assert refresh().runs == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"pipelines": ["no_such"]}, ["no_such", "layered"]),
        ({"datasets": ["no_such"]}, ["no_such", "toy"]),
        ({"steps": ["no_such"]}, ["no_such", "layered/shift"]),
        ({"groups": ["no_such"]}, ["no_such"]),
        ({"entries": ["g/s11"]}, ["g/s11", "g/s1"]),
        ({"force_from": "no_such"}, ["no_such", "layered/shift"]),
        ({"engine": "no_such"}, ["no_such", "loky"]),
    ],
)
def test_an_unknown_name_fails_with_a_clear_message(
    refresh: Refresh, config: dict[str, Any], told: list[str]
) -> None:
    """A misspelt name that is passed over in silence looks like a success."""
    done = refresh(**config)
    assert not done.success
    assert done.runs == []
    for text in told:
        assert text in done.errors[-1]


# The store in trouble.


def test_a_full_disk_fails_the_entries_and_keeps_what_is_stored(
    refresh: Refresh, lab: Any, monkeypatch: pytest.MonkeyPatch, digests: Look
) -> None:
    """The disk is full from shift on: tracks stay, the message says it; room again, it goes on."""
    refresh(steps=["side"])
    before = digests("side")
    put = ContentStore.put

    def full(store: ContentStore, *given: Any, **options: Any) -> Any:
        msg = "The disk that holds the workspace is full."
        raise StoreFullError(msg, "Make room and run again.")

    monkeypatch.setattr(ContentStore, "put", full)
    done = refresh()
    assert not done.success
    assert "is full" in done.printed
    assert digests("side") == before
    monkeypatch.setattr(ContentStore, "put", put)
    assert refresh().success
    assert lab.dataset.objects.verify().damaged == []


def test_an_object_that_was_deleted_is_made_again(
    refresh: Refresh, lab: Any, digests: Look, toy: Any
) -> None:
    """Somebody cleaned up by hand: the registry must not believe in what is gone."""
    refresh()
    gone = digests("side")["g/s2"]
    toy.remove(lab.dataset.objects.path(gone, "parquet"))
    done = refresh()
    assert done.success
    assert done.computed == ["toy-whole:s2"]


def test_deleted_exports_come_back_without_computing(refresh: Refresh, lab: Any) -> None:
    """The pictures are in the store; a person who deletes the folder gets them back."""
    refresh()
    shutil.rmtree(lab.workspace / "exports")
    done = refresh()
    assert done.success
    assert done.runs == []
    assert (lab.workspace / "exports" / "toy_layered" / "pixel.png").is_file()
    assert "pixel.png" in done.printed


def test_a_pass_through_of_several_inputs_waits_for_its_fit(
    lab: Any, refresh: Any, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joined inputs are a table of their own; it would be blocked for ever in the first run."""

    def pipeline(name: str = "layered") -> Pipeline:
        given = {"log": str(lab.log)}
        return (
            Pipeline(name=name)
            .add(FeatureStep("shift", toy.Shift, given))
            .add(FeatureStep("side", toy.Whole, given))
            .add(FeatureStep("sampled", toy.Sampled, given, ["shift", "side"]))
            .add(FeatureStep("alone", toy.Sampled, given, ["shift"]))
        )

    monkeypatch.setattr(lab, "pipeline", pipeline)
    done = refresh()
    assert done.success, done.errors
    assert "nothing was computed" in refresh().printed
