"""The page: one HTML document that needs nothing but a browser, or a printer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from mosaic_dagster.reporting.content import Content
from mosaic_dagster.reporting.facts import ReportFacts
from mosaic_dagster.reporting.markup import (
    TRACED,
    Markup,
    behind,
    figure,
    joined,
    short,
    table,
    tag,
    text,
    traced,
)
from mosaic_dagster.reporting.provenance import provenance, state_cell, steps
from mosaic_dagster.reporting.step_facts import StepFacts
from mosaic_dagster.reporting.words import (
    checks_sentence,
    counted,
    number_text,
    share_text,
    size_text,
    state_sentence,
    summary,
    time_text,
)

STAMP = "mosaic-report-facts"
"""Name of the meta element that holds the digest of the facts."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"

Section = tuple[str, str, Markup]
"""Identifier, title and content."""


def page(content: Content) -> str:
    """The whole document."""
    facts = content.facts
    title = f"{facts.pipeline} on {facts.dataset}"
    sections = [section for section in _sections(content) if section[2]]
    body = joined(
        [
            tag("header", tag("h1", title), tag("p", _lead(facts), class_="lead"), _badge(facts)),
            tag("nav", _contents(sections), aria_label="Contents"),
            tag("main", joined(map(_section, sections), "\n")),
            tag("footer", _footer(facts)),
        ],
        "\n",
    )
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name=STAMP, content=facts.digest),
            tag("title", title),
            tag("style", Markup(_style())),
        ],
        "\n",
    )
    whole = joined([tag("head", head), tag("body", body)], "\n")
    document = tag("html", whole, lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _style() -> str:
    return resources.files("mosaic_dagster.reporting").joinpath("report.css").read_text("utf-8")


def _sections(content: Content) -> Iterator[Section]:
    yield "summary", "Summary", _summary(content)
    yield "attention", "What needs attention", _attention(content.facts)
    yield "checks", "Checks", _checks(content.facts)
    yield "recordings", "Recordings", _recordings(content)
    yield "behaviour", "Behaviour", _behaviour(content)
    yield "maps", "Maps", joined(map(figure, content.maps))
    yield "models", "Trained models", _models(content)
    yield "pictures", "Pictures and files of the pipeline", _own(content)
    yield "steps", "Steps and parameters", steps(content)
    yield "provenance", "Provenance", provenance(content.facts)


def _section(section: Section) -> Markup:
    name, title, content = section
    return tag("section", tag("h2", title, id=name), content, aria_labelledby=name)


def _contents(sections: list[Section]) -> Markup:
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections)
    return tag("ul", joined(links))


def _lead(facts: ReportFacts) -> str:
    return facts.description or f"What {facts.pipeline} made of {facts.dataset}."


def _badge(facts: ReportFacts) -> Markup:
    counts = facts.counts
    late = counts["stale"] + counts["missing"]
    kind = "bad" if counts["failed"] + counts["blocked"] else "late" if late else "good"
    if not facts.recordings:
        kind = "late"
    return tag("p", tag("span", state_sentence(facts), class_=f"badge {kind}"))


def _footer(facts: ReportFacts) -> Markup:
    version = facts.versions["mosaic_dagster"]
    told = f"Written by mosaic_dagster {version}. Newest result: {time_text(facts.newest)} UTC."
    return joined([told, " Facts ", short(facts.digest), "."])


def _summary(content: Content) -> Markup:
    facts = content.facts
    drawn = [told for told in content.tallies if told.classes.step in content.drawn]
    sentences = (
        joined([sentence, " ", traced(traces)]) if traces else text(sentence)
        for sentence, traces in summary(facts, drawn, content.trained)
    )
    pairs = [
        ("Recordings", f"{facts.recordings:,}"),
        ("Frames per second", "from each file" if facts.fps is None else f"{facts.fps:g}"),
        ("Unit of coordinates", facts.unit or "as in the files"),
        ("Keypoints", ", ".join(facts.keypoints)),
        ("Scope", facts.scope or "all recordings of the dataset"),
        ("Newest result (UTC)", time_text(facts.newest)),
    ]
    rows = (joined([tag("dt", name), tag("dd", told)]) for name, told in pairs if told)
    return joined([tag("p", joined(sentences, " "), class_="summary"), tag("dl", joined(rows))])


def _attention(facts: ReportFacts) -> Markup:
    parts = [tag("p", remark) for remark in facts.remarks]
    if facts.n_problems:
        rows = [(p.step, p.entry or "–", state_cell(p.state), p.message) for p in facts.problems]
        told = f"{counted(facts.n_problems, 'result')} not up to date, failures first"
        headers = ("step", "recording", "state", "why")
        parts.append(table(told, headers, rows, total=facts.n_problems))
    if facts.n_waiting:
        more = f"{counted(facts.n_waiting, 'result')} of steps below must wait for these."
        parts.append(tag("p", more))
    return joined(parts)


def _checks(facts: ReportFacts) -> Markup:
    found = [
        (f.step or "–", f.entry or "–", f.check, state_cell(f.severity), f.message,
         *behind(f.run_id, f.digest))
        for f in facts.findings
    ]  # fmt: skip
    parts = [tag("p", checks_sentence(facts))] if facts.checks else []
    if found:
        told = f"{counted(facts.n_findings, 'result')} that a check found fault with"
        headers = ("step", "recording", "check", "severity", "finding", *TRACED)
        parts.append(table(told, headers, found, total=facts.n_findings))
    return joined(parts)


def _recordings(content: Content) -> Markup:
    facts = content.facts
    rules = [
        (rule.asset, rule.path, rule.format,
         ", ".join(f"{name} = {value}" for name, value in rule.params.items()) or "–")
        for rule in facts.rules
    ]  # fmt: skip
    groups = [(name or "(no group)", f"{count:,}") for name, count in facts.groups.items()]
    read = [step for step in facts.steps if step.kind in ("recordings", "labels")]
    parts = [
        table("What was read", _READ, map(_read, read), numbers=(1, 2, 3)),
        *map(figure, content.paths),
    ]
    if len(groups) > 1:
        parts.append(table("Recordings by group", ("group", "recordings"), groups, numbers=(1,)))
    if rules:
        parts.append(table("Where files lie and how they are read", _RULES, rules))
    return joined(parts)


_READ = ("what", "recordings", "rows", "stored", "state", "last read (UTC)", *TRACED)
_RULES = ("what", "path", "format", "parameters of the reader")


def _read(step: StepFacts) -> tuple[object, ...]:
    digest = "" if step.trace is None else step.trace.digest
    return (
        step.name, f"{step.good:,}", f"{step.rows:,}", size_text(step.bytes),
        state_cell(step.state), time_text(step.modified), *behind(step.run_id, digest),
    )  # fmt: skip


def _behaviour(content: Content) -> Markup:
    if not content.tallies and not content.bouts:
        return Markup("")
    rows = [
        (told.classes.step, told.classes.feature, f"{len(told.sizes):,}", f"{told.rows:,}",
         f"{told.unclassed:,}", _largest(told.sizes, told.rows),
         *behind(told.trace.run_id, told.trace.digest))
        for told in content.tallies
    ]  # fmt: skip
    headers = (
        "step", "feature", "classes", "rows", "without a class", "largest", *TRACED,
    )  # fmt: skip
    parts: list[Markup] = []
    if rows:
        told = "Steps that give each frame of each animal or pair a class"
        parts.append(table(told, headers, rows, numbers=(2, 3, 4)))
    rest = [told.classes.step for told in content.tallies if told.classes.step not in content.drawn]
    if rest:
        parts.append(tag("p", f"Not drawn here: {', '.join(rest)}.", class_="aside"))
    parts += map(figure, (*content.times, *content.sizes))
    parts += (_bouts(content, place) for place in range(len(content.bouts)))
    return joined(parts)


def _largest(sizes: list[tuple[str, int]], rows: int) -> str:
    return f"{sizes[0][0]} ({share_text(sizes[0][1] / rows)})" if sizes else "–"


def _bouts(content: Content, place: int) -> Markup:
    told = content.bouts[place]
    rows = [
        (row["cluster"], share_text(row["share"] or 0.0), f"{row['bouts'] or 0:,}",
         f"{row['mean_bout_s']:.2f} s" if row["mean_bout_s"] is not None else "–")
        for row in told.table.iter_rows(named=True)
    ]  # fmt: skip
    caption = (
        f"{told.step}: clusters of {told.animals:,} animals or pairs "
        f"in {counted(told.recordings, 'recording')}"
    )
    headers = ("cluster", "share of time (mean over animals)", "bouts", "mean length of a bout")
    return joined(
        [
            table(caption, headers, rows, numbers=(1, 2, 3)),
            tag("p", traced((told.trace,)), class_="aside"),
        ]
    )


def _models(content: Content) -> Markup:
    parts: list[Markup] = []
    for training in content.trained:
        rows = [
            (s.model, s.partition, s.metric, number_text(s.mean), number_text(s.lowest),
             number_text(s.highest), f"{s.folds:,}", f"{s.samples:,}")
            for s in training.scores
        ]  # fmt: skip
        headers = (
            "model", "partition", "metric", "mean", "lowest", "highest", "folds", "samples",
        )  # fmt: skip
        parts.append(table(f"{training.step}: scores", headers, rows, numbers=range(3, 8)))
        for confusion in training.confusions:
            classes = [
                (row["class"], f"{row['rows']:,}", *map(number_text, _scores_of(row)))
                for row in confusion.by_class()
            ]
            told = f"{training.step}: {confusion.model} by class, partition “{training.partition}”"
            names = ("class", "rows", "precision", "recall", "F1")
            parts.append(table(told, names, classes, numbers=range(1, 5)))
        parts.append(tag("p", traced((training.trace,)), class_="aside"))
    return joined([*parts, *map(figure, content.models)])


def _scores_of(row: dict[str, float | None]) -> tuple[float | None, ...]:
    return row["precision"], row["recall"], row["f1"]


def _own(content: Content) -> Markup:
    if not content.files:
        return Markup("")
    rows = [
        (file.name, file.step, file.entry or "–", size_text(file.size),
         *behind(file.trace.run_id, file.trace.digest))
        for file in content.files
    ]  # fmt: skip
    pictures = tag("div", joined(map(figure, content.own)), class_="gallery")
    headers = ("file", "step", "recording", "size", *TRACED)
    told = "Files that steps exported, beside this page in the exports"
    return joined([pictures if content.own else "", table(told, headers, rows, numbers=(3,))])
