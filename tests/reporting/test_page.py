"""The page: whole, bounded, the same each time, and good without results."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from mosaic_dagster import Dataset, FeatureStep, Pipeline
from mosaic_dagster.reporting import CheckFinding, Subject, content, gather
from mosaic_dagster.reporting.content import collect
from mosaic_dagster.reporting.page import page
from mosaic_dagster.reporting.pictures import PNG, Figure


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else, and has its own tests."""
    for name in ("graph_figure",):
        monkeypatch.setattr(content, name, lambda _: Figure("Steps", "c", "a", (), b"", PNG, "no"))
    for name in ("recordings_figure", "time_figures", "map_figures"):
        monkeypatch.setattr(content, name, lambda *_: ())
    for name in ("size_figures", "model_figures"):
        monkeypatch.setattr(content, name, lambda _: ())


def page_of(dataset: Dataset, pipeline: Pipeline, *findings: CheckFinding) -> str:
    subject = Subject(dataset, pipeline)
    return page(collect(subject, gather(subject, findings)))


class Outline(HTMLParser):
    """Headings, tables without header, pictures without alt, open elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.images.append(given)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_accessible(made: Dataset, pipeline: Pipeline) -> None:
    """Headings without gaps, links that lead somewhere, words for every picture."""
    outline = Outline(page_of(made, pipeline))
    assert outline.open == []
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert set(outline.levels) == {1, 2}
    assert {link.removeprefix("#") for link in outline.links} == set(outline.ids)
    (image,) = outline.images
    assert image["alt"]
    assert (image["width"], image["height"]) == ("1", "1")


def test_the_page_asks_for_nothing_from_outside(made: Dataset, pipeline: Pipeline) -> None:
    """Sent by mail and opened offline it must look the same."""
    text = page_of(made, pipeline)
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "@import" not in text
    assert "url(" not in text


def test_equal_states_give_equal_bytes(made: Dataset, pipeline: Pipeline) -> None:
    """Else a folder of exports under version control would change with every look."""
    assert page_of(made, pipeline) == page_of(made, pipeline)


def test_every_step_stands_in_the_provenance_with_full_digests(
    made: Dataset, pipeline: Pipeline
) -> None:
    text = page_of(made, pipeline)
    subject = Subject(made, pipeline)
    provenance = text[text.index('id="provenance"') :]
    for step in ("tracks", *pipeline.dag()):
        trace = subject.trace(step)
        assert f"<code>{trace.digest}</code>" in provenance
        assert trace.run_id in provenance
    assert subject.trace_of_fit("spots").digest in provenance


def test_a_pipeline_with_nothing_made_has_a_page(
    make: Callable[..., Dataset], pipeline: Pipeline
) -> None:
    """The first thing that somebody tries must not end in an error."""
    text = page_of(make(), pipeline)
    assert "There is no recording yet." in text
    assert "Provenance" in text
    assert "Behaviour</h2>" not in text


def test_failures_are_told_escaped(
    lab: Dataset, pipeline: Pipeline, run: Callable[..., None], broken: set[str]
) -> None:
    """The error of a recording may hold anything, HTML too."""
    broken.add("two")
    run(pipeline, lab)
    text = page_of(lab, pipeline)
    assert "What needs attention" in text
    assert "no &lt;b&gt;legs&lt;/b&gt; &amp; no head" in text
    assert "<b>legs" not in text


def test_names_from_outside_are_text(
    make: Callable[..., Dataset], run: Callable[..., None]
) -> None:
    """Group and sequence come from folders and files, which may be called anything."""
    nasty = "<script>alert(1)</script>&\"'\n"
    lab = make((nasty, nasty), ("b", "two"))
    pipeline = Pipeline(name="walks", description=nasty).add(FeatureStep("speed", "speed-angvel"))
    run(pipeline, lab)
    finding = CheckFinding(nasty, "error", nasty, nasty, nasty, nasty, "")
    text = page_of(lab, pipeline, finding)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in text
    assert Outline(text).open == []


def test_findings_of_checks_are_a_section(made: Dataset, pipeline: Pipeline) -> None:
    finding = CheckFinding("range", "error", "too fast", "kinds", "a/one", "1-abc", "f" * 64)
    text = page_of(made, pipeline, finding)
    assert "too fast" in text
    assert "f" * 64 in text


def test_pictures_beyond_the_budget_are_named_not_shown(
    made: Dataset, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 50 MB cannot be sent; what is left out is told."""
    monkeypatch.setattr(content, "MOST_BYTES", 10)
    text = page_of(made, pipeline)
    assert "is left out, so that the page stays small" in text
    assert "<img" not in text
