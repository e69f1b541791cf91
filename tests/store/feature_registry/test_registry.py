import inspect
from datetime import datetime
from pathlib import Path

import pytest

from mosaic_dagster.errors import KeyFormatError, StoreError, UnknownRunError
from mosaic_dagster.store import (
    EntryRow,
    FeatureRegistry,
    Outcome,
    RunRow,
    SourceRow,
    open_registry,
)

SPEED = ("speed", "0.1-aaa")


def _start(registry: FeatureRegistry, *run_ids: str, feature: str = "speed") -> None:
    registry.start_runs([RunRow(run_id, feature, "0.1", "hash", '{"a": 1}') for run_id in run_ids])


def _made(run_id: str, key: str, action_key: str, state: str = "fresh") -> Outcome:
    output = None if state == "failed" else "0" * 64
    return Outcome(
        "p", "s", key, run_id, action_key, state, output, "parquet", 5, 9, 0.0, None, (), True
    )


class TestRuns:
    def test_a_finished_run_counts_before_a_newer_one_that_is_not(self, registry):
        """Else a crashed run would hide the last good one."""
        _start(registry, "old")
        registry.mark_finished("speed", "old")
        _start(registry, "new")
        assert registry.latest_run_id("speed") == "old"
        assert registry.list_runs("speed")["run_id"].to_list() == ["old", "new"]

    def test_among_equals_the_newest_counts(self, registry):
        """Else people would be shown results of an older declaration."""
        _start(registry, "one")
        _start(registry, "two")
        assert registry.latest_run_id("speed") == "two"

    def test_a_feature_that_was_never_run(self, registry):
        """Else a user sees None, and a failure elsewhere."""
        with pytest.raises(UnknownRunError, match="'speed' was never run"):
            registry.latest_run_id("speed")
        with pytest.raises(ValueError, match="never run"):
            registry.latest_run_id("speed")

    def test_every_attempt_is_a_row(self, registry, database):
        """Else a repeated run would look finished while it runs: attempt 1 finished, 2 runs."""
        _start(registry, "r")
        registry.mark_finished("speed", "r")
        _start(registry, "r")
        runs = registry.list_runs("speed")
        assert runs.select("attempt", "attempts", "status").rows() == [(1, 2, "finished")]
        assert registry.run_is_finished("speed", "r")
        registry.finish_runs([("r", "failed")])
        with database.lease() as con:
            rows = con.execute("SELECT attempt, status FROM features.feature_runs ORDER BY 1")
            assert rows.fetchall() == [(1, "finished"), (2, "failed")]

    def test_attempts_in_one_batch_are_numbered(self, registry):
        """Else a batch with a repeated run would be refused by the key."""
        _start(registry, "r", "q", "r")
        assert registry.list_runs("speed").sort("run_id")["attempts"].to_list() == [1, 2]

    def test_finishing_ends_the_newest_running_attempt(self, registry, database):
        """Else an attempt that crashed long ago would be ended as good."""
        _start(registry, "r", "r")
        registry.mark_finished("speed", "r")
        with database.lease() as con:
            rows = con.execute(
                "SELECT status, finished_at >= started_at FROM features.feature_runs "
                "ORDER BY attempt"
            ).fetchall()
        assert rows == [("running", None), ("finished", True)]

    def test_what_was_never_started_cannot_end(self, registry):
        """Else a misspelt run id would go unnoticed; the good one of the batch stays as it is."""
        _start(registry, "r")
        with pytest.raises(UnknownRunError, match="'typo'"):
            registry.finish_runs([("r", "finished"), ("typo", "finished")])
        with pytest.raises(UnknownRunError, match="no run 'typo'"):
            registry.mark_finished("speed", "typo")
        with pytest.raises(StoreError, match="status 'done'"):
            registry.finish_runs([("r", "done")])
        assert not registry.run_is_finished("speed", "r")

    def test_names_that_would_not_come_apart_again_are_refused(self, registry):
        """Else run a/b of c and run b of a... would be one."""
        for feature, run_id in (("a/b", "c"), ("a", "b/c"), ("", "c"), ("a", "")):
            with pytest.raises(StoreError, match="without slashes"):
                registry.record_run_start(feature, run_id, "0.1", "h")

    def test_runs_of_features_stay_apart(self, registry):
        """Else equal run ids of two features would answer for each other."""
        _start(registry, "r")
        registry.record_run_start("turn", "r", "0.2", "h2")
        assert registry.has_run("turn", "r")
        assert not registry.has_run("other", "r")
        assert registry.list_features().rows() == [("speed", 1, "r"), ("turn", 1, "r")]
        assert registry.list_runs("turn")["params_hash"].to_list() == ["h2"]

    def test_declarations(self, registry):
        """Else `mosaic why` could not say which parameter differs."""
        _start(registry, "r")
        assert registry.run_declarations(["r", "unknown"]) == {"r": ("speed", "0.1", '{"a": 1}')}


class TestEntries:
    def test_recorded_entries_are_listed_and_counted(self, registry):
        """Else results of a notebook would be invisible."""
        _start(registry, "0.1-aaa")
        registry.record_entry(*SPEED, "dish 1", "b", Path("/data/b.parquet"), 7)
        registry.record_entries([(*SPEED, "", "a", "/data/a.parquet", 0)])
        listed = registry.list_entries("speed", "0.1-aaa")
        assert listed.select("group", "sequence", "path", "n_rows", "run_id").rows() == [
            ("", "a", "/data/a.parquet", 0, "0.1-aaa"),
            ("dish 1", "b", "/data/b.parquet", 7, "0.1-aaa"),
        ]
        assert registry.entry_count(*SPEED) == registry.entry_count("speed") == 2
        assert registry.entry_count("speed", "other") == 0

    def test_recording_again_updates(self, registry):
        """Else a rerun would leave the old path and count."""
        registry.record_entry(*SPEED, "g", "s", "/old.parquet", 1)
        registry.record_entry(*SPEED, "g", "s", "/new.parquet", 2)
        registry.record_entry(*SPEED, "g", "s", "/new.parquet", 3)
        assert registry.list_entries("speed").select("path", "n_rows").rows() == [
            ("/new.parquet", 3)
        ]

    def test_equal_run_ids_of_two_features_stay_apart(self, registry):
        """Else one feature would seem to have what the other made."""
        _start(registry, "r")
        _start(registry, "r", feature="turn")
        registry.record_entry("speed", "r", "g", "s", "/x")
        assert registry.entry_count("turn", "r") == 0

    def test_what_the_pipeline_made_counts(self, registry):
        """Of fresh, empty, failed and a fitted state, the first two are entries."""
        _start(registry, "r")
        registry.commit(
            [
                _made("r", "g/a", "k1"),
                _made("r", "g/b", "k2", "empty"),
                _made("r", "g/c", "k3", "failed"),
                _made("r", "", "k4"),
            ]
        )
        listed = registry.list_entries("speed", "r")
        assert listed.select("sequence", "state", "n_rows").rows() == [
            ("a", "fresh", 5),
            ("b", "empty", 5),
        ]
        assert listed["path"].to_list() == [None, None]

    def test_a_result_outlives_its_head(self, registry):
        """Else a run would lose its entries when the next declaration runs: r made a, q too."""
        _start(registry, "r", "q")
        registry.commit([_made("r", "g/a", "k1")])
        registry.commit([_made("q", "g/a", "k2")])
        assert registry.entry_count("speed", "r") == registry.entry_count("speed", "q") == 1
        assert registry.entry_count("speed") == 2

    def test_pending_are_the_others_sorted(self, registry):
        """Else a resumed run would redo or skip entries."""
        registry.record_entry(*SPEED, "g", "b", "/x")
        every = [("g", "c"), ("g", "b"), ("a", "z"), ("g", "c")]
        assert registry.pending_entries(*SPEED, every) == [("a", "z"), ("g", "c")]

    def test_an_entry_needs_a_sequence(self, registry):
        """Else it could not be a partition."""
        with pytest.raises(KeyFormatError, match="empty"):
            registry.record_entry(*SPEED, "g", "", "/x")

    def test_a_name_of_undecodable_bytes_is_pending_no_more(self, registry):
        """Else a file with such a name would be computed on every run."""
        registry.record_entry(*SPEED, "g", "\udcffa", "/x")
        assert registry.pending_entries(*SPEED, [("g", "\udcffa")]) == []
        assert registry.list_entries("speed")["sequence"].to_list() == ["\\udcffa"]


class TestLineage:
    def test_the_tree_goes_to_the_roots(self, registry):
        """c reads a and b, b reads a: a stands below both."""
        for below, above in (("c", "b"), ("c", "a"), ("b", "a"), ("c", "a")):
            registry.record_dependency(below, "1", above, "1")
        a = {"feature": "a", "run_id": "1", "upstream": []}
        b = {"feature": "b", "run_id": "1", "upstream": [a]}
        assert registry.get_dependencies("c", "1") == [("a", "1"), ("b", "1")]
        assert registry.lineage("c", "1") == {"feature": "c", "run_id": "1", "upstream": [a, b]}
        assert registry.lineage("x", "9") == {"feature": "x", "run_id": "9", "upstream": []}

    def test_a_circle_ends(self, registry):
        """Else a wrong record would hang the command: a reads b reads a."""
        registry.record_dependency("a", "1", "b", "1")
        registry.record_dependency("b", "1", "a", "1")
        again = {"feature": "a", "run_id": "1", "upstream": []}
        b = {"feature": "b", "run_id": "1", "upstream": [again]}
        assert registry.lineage("a", "1") == {"feature": "a", "run_id": "1", "upstream": [b]}

    def test_a_ladder_of_diamonds_is_quick(self, registry):
        """Else 40 rungs would take 2**40 steps."""
        with registry.session():
            for i in range(40):
                for side in ("l", "r"):
                    registry.record_dependency("n", str(i), side, str(i))
                    registry.record_dependency(side, str(i), "n", str(i + 1))
        assert len(registry.lineage("n", "0")["upstream"]) == 2


class TestDataset:
    def test_entries_come_in_order_and_keep_their_first_date(self, registry):
        """Else ranges and pages would differ between runs."""
        first, later = datetime(2024, 1, 2, 3, 4, 5, 678), datetime(2025, 1, 1)
        rows = [
            EntryRow("g2", "a", "g2/a", "1" * 64, None, "fresh", first),
            EntryRow("", "z", "/z", None, None, "missing", first),
            EntryRow("g2", "A", "g2/A", None, None, "fresh", first),
        ]
        registry.put_entries(rows)
        assert registry.entries() == [rows[1], rows[2], rows[0]]
        registry.put_entries([EntryRow("g2", "a", "g2/a", "2" * 64, "3" * 64, "failed", later)])
        changed = registry.entries()[-1]
        assert (changed.tracks_sha256, changed.state, changed.added_at) == (
            "2" * 64,
            "failed",
            first,
        )
        assert registry.live_objects() == {"2" * 64}
        registry.drop_entries(["g2/a", "/z"])
        assert [row.key for row in registry.entries()] == ["g2/A"]

    def test_an_entry_of_undecodable_bytes_comes_back(self, registry):
        """Else a recording from an old camera could not be registered."""
        row = EntryRow("\udcff", "s", "%ED%B3%BF/s", None, None, "fresh", datetime(2024, 1, 1))
        registry.put_entries([row])
        assert registry.entries() == [row]

    def test_sources_keep_their_stat(self, registry):
        """Else every scan would hash every file again; times have nanoseconds."""
        one = SourceRow(
            "/raw/a.h5", "g/a", "rule", "1" * 64, 10, 1_700_000_000_123_456_789, 42, "present"
        )
        two = SourceRow("/raw/a.h5", "g/b", "rule", None, None, None, None, "vanished")
        registry.put_sources([two, one])
        assert registry.sources() == [one, two]
        grown = SourceRow(
            "/raw/a.h5", "g/a", "rule", "2" * 64, 11, 1_700_000_000_123_456_790, 42, "present"
        )
        registry.put_sources([grown])
        assert registry.sources() == [grown, two]
        registry.drop_sources([("/raw/a.h5", "g/b", "tracks"), ("/raw/b.h5", "g/a", "tracks")])
        assert registry.sources() == [grown]
        registry.drop_sources([])
        assert registry.sources() == [grown]

    def test_selections_come_back_by_digest(self, registry):
        """Else a run could not find out which entries it was asked for."""
        digest = registry.put_selection(["g/b", "g/a"])
        assert registry.put_selection(("g/b", "g/a")) == digest
        assert registry.selection(digest) == ("g/b", "g/a")
        assert registry.selection(registry.put_selection([])) == ()
        with pytest.raises(StoreError, match=r"No selection 'nope'.*mosaic run"):
            registry.selection("nope")

    def test_announcements_are_kept_per_instance(self, registry):
        """Else a second Dagster instance would never hear of a result."""
        registry.announce("one", [("d/p/s", "g/a", "1" * 64), ("d/p/s", "", "2" * 64)])
        registry.announce("one", [("d/p/s", "g/a", "3" * 64)])
        assert registry.announced("one") == {("d/p/s", "g/a"): "3" * 64, ("d/p/s", ""): "2" * 64}
        assert registry.announced("two") == {}

    def test_empty_batches_are_no_error(self, registry):
        """Else callers would have to look before they write."""
        for method in (
            registry.commit, registry.put_entries, registry.put_sources, registry.drop_entries,
            registry.record_entries, registry.start_runs, registry.finish_runs,
        ):  # fmt: skip
            method([])
        registry.announce("one", [])
        assert registry.results([]) == registry.dependencies_of([]) == {}


HEADER = "run_id,version,params_hash,started_at,finished_at,group,sequence,abs_path,n_rows\n"


class TestCsv:
    def _write(self, root: Path, feature: str, *lines: str) -> Path:
        path = root / feature / "index.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + "".join(line + "\n" for line in lines))
        return path

    def test_old_folders_are_taken_over_once(self, tmp_path):
        """Three entries in two runs of one feature, one of another; a second call adds nothing."""
        self._write(
            tmp_path,
            "speed",
            "r1,0.1,aa,2024-05-31T10:00:00,2024-05-31T12:00:00+02:00,dish 1,a,/x/a.parquet,12",
            "r1,0.1,aa,2024-05-31T10:00:00,2024-05-31T12:00:00+02:00,dish 1,b,/x/b.parquet,",
            "r2,0.2,bb,2024-06-01T10:00:00,,,a,/y/a.parquet,3.0",
        )
        self._write(tmp_path, "turn", "r1,0.1,aa,,,,,,")
        registry = open_registry(tmp_path)
        assert registry.migrate_from_csv(tmp_path) == 0
        runs = registry.list_runs("speed")
        assert runs.select("run_id", "version", "params_hash", "status").rows() == [
            ("r1", "0.1", "aa", "finished"),
            ("r2", "0.2", "bb", "running"),
        ]
        assert runs["finished_at"][0] == datetime(2024, 5, 31, 10)
        assert registry.list_entries("speed").select("group", "sequence", "n_rows").rows() == [
            ("dish 1", "a", 12),
            ("dish 1", "b", 0),
            ("", "a", 3),
        ]
        assert registry.has_run("turn", "r1")
        assert registry.entry_count("turn") == 0

    def test_the_count_is_of_new_entries(self, tmp_path, registry):
        """Else a user would not know whether anything was found."""
        self._write(tmp_path, "speed", "r1,0.1,aa,,,g,a,/a,1", "r1,0.1,aa,,,g,a,/a,1")
        assert registry.migrate_from_csv(tmp_path) == 1
        self._write(tmp_path, "speed", "r1,0.1,aa,,,g,a,/a,1", "r1,0.1,aa,,,g,b,/b,1")
        assert registry.migrate_from_csv(tmp_path) == 1
        assert registry.list_runs("speed")["attempts"].to_list() == [1]

    def test_it_can_be_left_out(self, tmp_path):
        """Else opening a folder would always read all its files."""
        self._write(tmp_path, "speed", "r1,0.1,aa,,,g,a,/a,1")
        assert open_registry(tmp_path, migrate_csv=False).list_features().is_empty()

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("r1,0.1,aa,yesterday,,g,a,/a,1", r"turn/index.csv, column started_at: 'yesterday'"),
            ("r1,0.1,aa,,,g,a,/a,many", r"turn/index.csv, column n_rows: 'many'"),
            ("a/b,0.1,aa,,,g,a,/a,1", "without slashes"),
        ],
    )
    def test_a_malformed_value_is_named_and_nothing_is_taken(
        self, tmp_path, registry, line, message
    ):
        """Else half of the folders would be taken over."""
        self._write(tmp_path, "speed", "r1,0.1,aa,,,g,a,/a,1")
        self._write(tmp_path, "turn", line)
        with pytest.raises(StoreError, match=message):
            registry.migrate_from_csv(tmp_path)
        assert registry.list_features().is_empty()

    def test_a_missing_column_is_named(self, tmp_path, registry):
        """Else a file of another program would fail without a word of where."""
        path = self._write(tmp_path, "speed")
        path.write_text("run_id,group\nr,g\n")
        with pytest.raises(StoreError, match="lacks the column sequence, abs_path"):
            registry.migrate_from_csv(tmp_path)
        path.write_text("")
        assert registry.migrate_from_csv(tmp_path) == 0


def test_a_session_holds_one_lease(registry):
    """Else a caller that reads many tables pays for each, and may see two states."""
    with registry.session(), registry.database.lease() as con:
        registry.put_selection(["a/b"])
        assert con.execute("SELECT count(*) FROM features.selections").fetchone() == (1,)


def test_every_method_is_one_call_and_documented():
    """Else the facade would keep the work; 'def', docstring and one or two lines of body."""
    for name, method in inspect.getmembers(FeatureRegistry, inspect.isfunction):
        body = inspect.getsource(method).rpartition('"""')[2].strip().splitlines()
        assert name == "__init__" or len(body) <= 2, name
        assert name.startswith("_") or method.__doc__, name
