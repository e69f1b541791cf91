"""What a sensor asks about source files, by size and time alone."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset import Dataset, SourceRule, SourceStats, read_cursor, stat_sources
from mosaic_dagster.dataset.source_stats import FileFacts, SourceChange

ROWS = "frame,a_x,a_y\n0,1,2\n"


class Place:
    """A dataset on the folder ``rec`` with two recordings, recorded as present."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dataset = Dataset.create(
            root / "w", "toy", sources=(SourceRule(path=str(root / "rec")),)
        )
        for name in ("a", "b"):
            self.write(f"dish1/{name}.csv", ROWS + f"1,{ord(name)},2\n")
        self.record()

    def write(self, name: str, content: str = ROWS) -> Path:
        path = self.root / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def record(self, asset: str = "tracks") -> None:
        self.dataset.registry.put_sources(self.dataset.scan(asset).updates)

    def told(self) -> list[tuple[str, str]]:
        return [(c.path.name, c.kind) for c in stat_sources(self.dataset).changes]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_differs_when_nothing_happened(place: Place) -> None:
    """A sensor that always sees something starts a run every half a minute."""
    stats = stat_sources(place.dataset)
    assert (stats.changes, stats.absent, stats.digest) == ((), (), "")
    assert sorted(path.name for path in stats.files) == ["a.csv", "b.csv"]


def test_new_changed_and_gone_in_the_order_of_paths(place: Place) -> None:
    place.write("dish0/z.csv")
    place.write("dish1/a.csv", ROWS * 2)
    (place.root / "rec/dish1/b.csv").unlink()
    assert place.told() == [("z.csv", "new"), ("a.csv", "changed"), ("b.csv", "gone")]
    stats = stat_sources(place.dataset)
    assert [change.asset for change in stats.changes] == ["tracks"] * 3
    assert stats.changes[2].facts is None
    assert stats.digest == stat_sources(place.dataset).digest
    place.write("dish0/z.csv", ROWS * 3)
    assert stats.digest != stat_sources(place.dataset).digest


def test_what_was_recorded_as_gone_is_no_news(place: Place) -> None:
    (place.root / "rec/dish1/b.csv").unlink()
    place.record()
    assert place.told() == []


def test_no_file_is_opened(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file on a slow disk must not hold up a sensor."""
    place.write("dish0/z.csv")

    real = io.open

    def opened(path: object, *given: object, **named: object) -> object:
        assert "rec" not in Path(str(path)).parts, "a source file was opened"
        return real(path, *given, **named)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(io, "open", opened)
    assert place.told() == [("z.csv", "new")]


def test_a_disk_that_is_away_is_no_change_of_files(place: Place) -> None:
    """Else every recording would be asked for again."""
    (place.root / "rec").rename(place.root / "elsewhere")
    stats = stat_sources(place.dataset)
    assert stats.changes == ()
    assert [(root.state, root.recordings) for root in stats.absent] == [("missing", 2)]
    assert stats.digest != ""
    (rule,) = stats.rules
    assert (rule.describe(), len(rule.keys)) == ("not there", 2)


def test_files_of_a_rule_that_was_removed_are_gone(place: Place) -> None:
    manifest = place.dataset.manifest
    place.dataset.save(manifest.without_source(manifest.sources[0]))
    assert place.told() == [("a.csv", "gone"), ("b.csv", "gone")]


def test_labels_are_looked_at_beside_tracks(place: Place) -> None:
    """One file may be both: tracks that are known, labels that are new."""
    rule = SourceRule(path=str(place.root / "labels"), labels="behavior")
    (place.root / "labels").mkdir()
    (place.root / "labels" / "a.csv").write_text("frame,label\n0,walk\n")
    place.dataset.add_source(rule)
    (change,) = stat_sources(place.dataset).changes
    assert (change.asset, change.kind) == ("labels/behavior", "new")


def test_a_file_is_settled_once_two_looks_agree(place: Place) -> None:
    """A recording that is being copied grows from tick to tick; a run must wait for its end."""
    path = place.write("dish0/z.csv")
    first = stat_sources(place.dataset)
    assert first.unsettled(read_cursor(None)) == {path}
    cursor = first.to_cursor()
    place.write("dish0/z.csv", ROWS * 2)
    second = stat_sources(place.dataset)
    assert second.unsettled(read_cursor(cursor)) == {path}
    assert second.unsettled(first) == {path}
    third = stat_sources(place.dataset)
    assert third.unsettled(read_cursor(second.to_cursor())) == frozenset()


def test_the_cursor_is_small(place: Place) -> None:
    """Facts of the files that differ, not of the whole archive."""
    assert stat_sources(place.dataset).to_cursor() == "{}"


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"a": 1}', '{"a": [1]}', "null"])
def test_a_cursor_of_something_else_is_as_none(text: str) -> None:
    """An older version's cursor must not stop the sensor for good."""
    assert read_cursor(text) == {}


@pytest.mark.slow
def test_ten_thousand_files_take_well_under_a_second(tmp_path: Path) -> None:
    """The sensor asks every half a minute."""
    place = Place(tmp_path)
    for number in range(10_000):
        place.write(f"dish{number % 100}/{number}.csv", f"{ROWS}1,{number},2\n")
    place.record()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        stats = stat_sources(place.dataset)
        times.append(time.perf_counter() - started)
    assert (len(stats.files), stats.changes) == (10_002, ())
    assert min(times) < 1


@given(
    facts=st.dictionaries(
        st.text(
            st.characters(blacklist_categories=("Cs",), blacklist_characters="\0/"), min_size=1
        ),
        st.tuples(*[st.integers(0, 2**63)] * 3),
        max_size=5,
    )
)
def test_what_a_cursor_keeps_comes_back(facts: dict[str, tuple[int, int, int]]) -> None:
    """Any name a lab uses, any time: else such a file would never count as settled."""
    changes = tuple(
        SourceChange(Path("/rec") / name, "tracks", "new", FileFacts(*values))
        for name, values in facts.items()
    )
    stats = SourceStats({}, changes, (), ())
    kept = read_cursor(stats.to_cursor())
    assert kept == {change.path: change.facts for change in changes}
    assert stats.unsettled(kept) == frozenset()
