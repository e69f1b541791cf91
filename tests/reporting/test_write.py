"""Where the page is written, and when it is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic_dagster import CallbackStep, Dataset, Pipeline
from mosaic_dagster.reporting import write, write_report
from mosaic_dagster.store import StepOutput


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the page was drawn; a short one stands in for it."""
    drawn: list[str] = []

    def page(facts: object) -> str:
        drawn.append("page")
        return f'<meta name="{write.STAMP}" content="{facts}">'

    monkeypatch.setattr(write, "collect", lambda _, facts: facts.digest)
    monkeypatch.setattr(write, "page", page)
    return drawn


def test_the_page_lies_among_the_exports(changing: Dataset, pipeline: Pipeline) -> None:
    written = write_report(changing, pipeline)
    assert written.path == changing.exports / "lab_walks" / "report.html"
    assert written.path.is_file()


def test_a_page_that_says_the_same_is_left_alone(
    changing: Dataset, pipeline: Pipeline, pages: list[str]
) -> None:
    """Drawing takes seconds, which a refresh without work must not cost."""
    path = write_report(changing, pipeline, redraw=False).path
    write_report(changing, pipeline, redraw=False)
    assert len(pages) == 1
    write_report(changing, pipeline)
    assert len(pages) == 2
    path.unlink()
    write_report(changing, pipeline, redraw=False)
    assert path.is_file()


def test_a_change_of_state_is_drawn(
    changing: Dataset, pipeline: Pipeline, pages: list[str]
) -> None:
    write_report(changing, pipeline, redraw=False)
    changing.add_tracks(
        changing.entries()[0], changing.tracks(changing.entries()[0]).head(3), overwrite=True
    )
    write_report(changing, pipeline, redraw=False)
    assert len(pages) == 2


def test_what_a_step_exports_is_never_overwritten(
    lab: Dataset, run: Callable[..., None], tmp_path: Path
) -> None:
    """A callback that exports its own report.html keeps it."""

    def own(dataset: Dataset, results: object) -> StepOutput:
        return StepOutput(outputs=[("mine", "report", "html")])

    pipeline = Pipeline(name="walks").add(CallbackStep("own", own, ["tracks"]))
    run(pipeline, lab)
    written = write_report(lab, pipeline)
    assert written.path.name == "walks_report.html"
    assert (lab.exports / "lab_walks" / "report.html").read_text() == "mine"
    elsewhere = write_report(lab, pipeline, tmp_path / "new" / "page.html")
    assert elsewhere.path.is_file()
