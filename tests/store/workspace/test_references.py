"""Reference counts: one too low deletes a model that is in use, one too high keeps it for ever."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mosaic_dagster.store.workspace import WorkspaceStore, references


@dataclass
class Model:
    """What the specification says, in plain Python."""

    claims: Counter[str] = field(default_factory=Counter)
    rows: set[str] = field(default_factory=set)
    chains: dict[str, list[set[str]]] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)

    def named(self) -> Counter[str]:
        """In how many live chains each artifact is named."""
        return Counter(a for owned in self.chains.values() for chain in owned for a in chain)

    def counts(self) -> dict[str, tuple[int, int]]:
        """References and open claims of every row."""
        named = self.named()
        return {a: (named[a] + self.claims[a], self.claims[a]) for a in self.rows}

    def save(self, artifact: str) -> None:
        self.rows.add(artifact)
        self.claims[artifact] += 1

    def save_chain(self, pipeline: str, artifacts: set[str]) -> None:
        for artifact in artifacts:
            self.claims[artifact] = max(self.claims[artifact] - 1, 0)
        self.chains.setdefault(pipeline, []).append(artifacts)

    def collect(self, among: set[str] | None = None) -> None:
        dead = {a for a, (count, _) in self.counts().items() if not count}
        self.rows -= dead if among is None else dead & among

    def take_back(self, pipelines: list[str]) -> set[str]:
        gone = [self.chains.pop(p, []) for p in pipelines]
        return {a for owned in gone for chain in owned for a in chain}


class Walk:
    """One random sequence over a store and over the model, compared after every act."""

    def __init__(self, store: WorkspaceStore, seed: int) -> None:
        self.store, self.model, self.random = store, Model(), random.Random(seed)
        self.runs: dict[str, list[str]] = {}
        self.begin()

    def begin(self) -> None:
        run = self.store.begin_run("r", {}, [])
        self.runs[run] = [
            self.store.begin_pipeline(run, "p", {}, None, "d", None) for _ in range(2)
        ]
        self.model.running |= dict.fromkeys(self.runs[run], run)

    def save(self) -> None:
        n = self.random.randrange(5)
        self.model.save(self.store.save_artifact({"n": n}, "X", "model", "json"))

    def register(self) -> None:
        """Name the file of some row once more, under another identifier."""
        table = self.store.list_artifacts()
        if table.is_empty():
            return
        row = table.row(self.random.randrange(table.height), named=True)
        name = "registered:" + row["content_hash"][:8]
        if name not in self.model.rows:
            self.model.save(name)
        self.store.register_existing_artifact(
            name, row["artifact_path"], row["content_hash"], "X", "model", "json", 1
        )

    def save_chain(self) -> None:
        if not (self.model.rows and self.model.running):
            return
        pipeline = self.random.choice(sorted(self.model.running))
        rows = sorted(self.model.rows)
        folds, shared, mapped, own = (
            self.random.sample(rows, self.random.randint(0, min(2, len(rows)))) for _ in range(4)
        )
        step = {"step_idx": 0, "operator_class": "X", "params": {}, "artifact_ids": own}
        self.store.save_chain(
            pipeline, [step], 0, "X", "", "per_fold",
            {f"fold_{n}": a for n, a in enumerate([*folds, *folds])},
            {"0": [*shared, *shared], "_source_map": {"0": {"1": mapped}}},
        )  # fmt: skip
        self.model.save_chain(pipeline, {*folds, *shared, *mapped, *own})

    def fail_pipeline(self) -> None:
        if self.model.running:
            pipeline = self.random.choice(sorted(self.model.running))
            self.store.fail_pipeline(pipeline, "x")
            self.store.fail_pipeline(pipeline, "again")
            self.model.take_back([pipeline])
            self.model.running.pop(pipeline)

    def fail_run(self) -> None:
        if self.runs:
            run = self.random.choice(sorted(self.runs))
            self.store.fail_run(run, "x")
            still = [p for p in self.runs[run] if p in self.model.running]
            self.model.take_back(still)
            for pipeline in still:
                self.model.running.pop(pipeline)
            self.begin()

    def delete_run(self) -> None:
        if self.runs:
            run = self.random.choice(sorted(self.runs))
            files = self.random.random() < 0.5
            self.store.delete_run(run, delete_artifacts=files)
            pipelines = self.runs.pop(run)
            named = self.model.take_back(pipelines)
            for pipeline in pipelines:
                self.model.running.pop(pipeline, None)
            if files:
                self.model.collect(named)
            self.begin()

    def gc(self) -> None:
        stale = self.random.choice([None, None, 0, 3600])
        self.store.gc_artifacts(stale_claims_after=stale)
        if stale == 0:
            self.model.claims.clear()
        self.model.collect()

    def release(self) -> None:
        free = sorted(self.model.rows - self.model.named().keys())
        if free:
            artifact = self.random.choice(free)
            self.store.release_artifact(artifact)
            self.model.rows.discard(artifact)
            self.model.claims.pop(artifact, None)

    def lose_file(self) -> None:
        """Remove a file by hand and save the same object again."""
        table = self.store.list_artifacts()
        saved = [a for a in table["artifact_id"] if a.startswith("art_")]
        if saved:
            path = self.store.get_artifact_path(self.random.choice(saved))
            data = path.read_text()
            path.unlink()
            n = int(data.strip().rstrip("}").rpartition(":")[2])
            self.model.save(self.store.save_artifact({"n": n}, "X", "model", "json"))

    def step(self) -> None:
        acts = [self.save, self.save_chain, self.register, self.fail_pipeline, self.fail_run,
                self.delete_run, self.gc, self.release, self.lose_file]  # fmt: skip
        weights = [6, 6, 2, 1, 1, 2, 2, 1, 1]
        act = self.random.choices(acts, weights)[0]
        act()
        self.check(act.__name__)

    def check(self, act: str) -> None:
        table = self.store.list_artifacts()
        found = {
            row["artifact_id"]: (row["ref_count"], row["open_claims"]) for row in table.to_dicts()
        }
        assert found == self.model.counts(), act
        root = self.store.workspace_path / "artifacts"
        on_disk = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
        assert on_disk == set(table["artifact_path"]), act
        wrong = {kind: rows for kind, rows in self.store.verify(hashes=True).items() if rows}
        assert not wrong, act


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[WorkspaceStore]:
    with WorkspaceStore(tmp_path / "workspace", access="exclusive") as store:
        yield store


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_counts_and_files_follow_a_plain_model(opened: WorkspaceStore, seed: int):
    """In any order of acts: a file is there exactly while a row names it, no count drifts."""
    walk = Walk(opened, seed)
    for _ in range(80):
        walk.step()


def test_counts_and_files_follow_a_plain_model_for_a_while(opened: WorkspaceStore):
    walk = Walk(opened, 100)
    for _ in range(25):
        walk.step()


def test_each_chain_counts_an_artifact_once(store: WorkspaceStore, pipeline: str):
    """Saved 3 times, named twice by each of 2 chains: 2 references and 1 claim make 3."""
    for _ in range(3):
        artifact = store.save_artifact([1], "X", "model", "json")
    step = {"step_idx": 0, "operator_class": "X", "params": {}, "artifact_id": artifact}
    for _ in range(2):
        store.save_chain(pipeline, [step], 0, "X", "", "shared", {"all": artifact}, {})
    row = store.list_artifacts().row(0, named=True)
    assert (row["ref_count"], row["open_claims"]) == (3, 1)
    with store._open.reading() as con:
        assert references.named_by_chains(con) == {artifact}
        assert references.wrong(con) == []


def test_a_count_that_is_wrong_already_never_goes_below_zero(
    store: WorkspaceStore, run: str, pipeline: str
):
    """A negative count would be repaid by the next save, whose file would then go with gc."""
    artifact = store.save_artifact([1], "X", "model", "json")
    step = {"step_idx": 0, "operator_class": "X", "params": {}}
    for _ in range(2):
        store.save_chain(pipeline, [step], 0, "X", "", "shared", {"all": artifact}, {})
    with store._open.writing() as con:
        con.execute("UPDATE main.artifacts SET ref_count = 1")
    store.fail_run(run, "x")
    assert store.list_artifacts()["ref_count"].to_list() == [0]
