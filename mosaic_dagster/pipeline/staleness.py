"""Which entries of which steps are out of date, and why.

An entry is fresh when the registry has a result under the action key it would have now and the
result's object exists. Steps are looked at from the top: a key can be known only when everything
above it is made, so below something stale the answer is an upper bound (*upstream*).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mosaic_dagster.pipeline.binding import BoundPipeline, BoundStep, match_artifact
from mosaic_dagster.pipeline.entry_states import (
    EntryStates,
    Read,
    Recorded,
    as_recorded,
    made_of,
    unfinished,
)
from mosaic_dagster.pipeline.identity import entry_key_of, fit_key, input_lines
from mosaic_dagster.pipeline.look_up import Ready, dependencies, look_up, made_from
from mosaic_dagster.pipeline.quality_gate import Measured, refuse, refuse_one
from mosaic_dagster.pipeline.reasons import (
    explain_stale,
    not_ready,
    passed_on,
    waiting_for,
    waiting_for_all,
)
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import (
    DONE,
    PENDING,
    STOPPED,
    EntryStatus,
    made_state,
    result_of,
    status_of,
)
from mosaic_dagster.pipeline.status import MODEL as MODEL
from mosaic_dagster.pipeline.steps import is_ingested
from mosaic_dagster.pipeline.uncollected import uncollected
from mosaic_dagster.store import Dependency, Head, Outcome


class Evaluation:
    """States of every step of a bound pipeline, worked out on demand and kept up to date.

    Parameters
    ----------
    bound
        The pipeline on its dataset.
    snapshot
        What is recorded.
    ingested
        State of each entry of the tracks and of each kind of labels, by step name. Entries without
        labels are not among those of a kind.
    pinned
        Steps that this run does not make: what is recorded for them counts as it is.
    forced
        Steps that count as stale until they are recorded again.
    """

    def __init__(
        self,
        bound: BoundPipeline,
        snapshot: Snapshot,
        ingested: Mapping[str, Mapping[str, EntryStatus]],
        *,
        pinned: Iterable[str] = (),
        forced: Iterable[str] = (),
    ) -> None:
        self.bound = bound
        self.snapshot = snapshot
        self.ingested = dict(ingested)
        self.pinned = frozenset(pinned)
        self.forced = frozenset(forced)
        self._entries: dict[str, Mapping[str, EntryStatus]] = {}
        self._models: dict[str, EntryStatus] = {}
        self._recorded: dict[str, dict[str, EntryStatus]] = {}
        self.measured = Measured(snapshot)

    # Asking.

    @uncollected()
    def entries(self, name: str) -> Mapping[str, EntryStatus]:
        """State of each entry in scope; empty for a callback over the whole scope."""
        if is_ingested(name):
            return self.ingested.get(name, {})
        if name not in self._entries:
            self._entries[name] = refuse(self, name, self._evaluate_entries(self.bound.steps[name]))
        return self._entries[name]

    @uncollected()
    def model(self, name: str) -> EntryStatus:
        """State of a step's fitted state, or of a callback."""
        if name not in self._models:
            self._models[name] = refuse_one(self, name, self._evaluate_model)
        return self._models[name]

    def units(self, name: str) -> Mapping[str, EntryStatus]:
        """Everything a step makes: its fitted state under ``""``, and its entries."""
        step = self.bound.steps[name]
        entries = self.entries(name)
        if not step.has_whole:
            return entries
        model = self.model(name)
        if isinstance(entries, EntryStates):
            return entries.with_whole(model)
        return {MODEL: model, **entries}

    def usable(self, step: BoundStep) -> tuple[list[str], list[str]]:
        """Entries of the scope that a fit sees, and those that it leaves out."""
        used, excluded = [], []
        reads = [(up, dict(unfinished(up))) for _, _, up in self._reads_of(step)]
        if not any(late for _, late in reads):
            return [key for key in self.bound.entries if any(key in up for up, _ in reads)], []
        for key in self.bound.entries:
            states = {
                late[key].state if key in late else "fresh" for up, late in reads if key in up
            }
            if states == {"fresh"}:
                used.append(key)
            elif states & STOPPED:
                excluded.append(key)
        return used, excluded

    def artifacts(self, step: BoundStep) -> dict[str, tuple[str, str]]:
        """Name and digest of the file that each parameter refers to, as far as they are made."""
        found = {}
        for parameter, reference in step.references.items():
            status = self.model(reference.step) if reference.artifact is not None else None
            if status is not None and status.state in DONE:
                found[parameter] = self._member(step, parameter, status)
        return found

    # Telling.

    def record(self, name: str, outcomes: Iterable[Outcome]) -> None:
        """Take in what was just made, adopted or failed; everything below is asked anew."""
        recorded = self._recorded.setdefault(name, {})
        for outcome in outcomes:
            recorded[outcome.key] = status_of(outcome)
            self.measured.add(outcome)
        self.snapshot.look_again()
        for below in self.bound.graph.below([name]):
            self._entries.pop(below, None)
            self._models.pop(below, None)

    def retake(self, asset: str, statuses: Mapping[str, EntryStatus]) -> None:
        """Take in new states of what is read from files."""
        self.ingested[asset] = statuses
        self.snapshot.look_again()
        self._entries.clear()
        self._models.clear()

    # Working it out.

    def _reads_of(self, step: BoundStep) -> list[tuple[str, str, Mapping[str, EntryStatus]]]:
        """Role, step and states of every table that one entry is made from."""
        reads = [
            (f"input:{i}", name)
            for i, name in enumerate(step.inputs)
            if is_ingested(name) or self.bound.steps[name].has_entries
        ]
        reads += [
            (f"lookup:{parameter}", reference.step)
            for parameter, reference in step.references.items()
            if reference.artifact is None
        ]
        reads += [(f"labels:{parameter}", name) for parameter, name in step.labels.items()]
        return [(role, name, self.entries(name)) for role, name in reads]

    def _beside(
        self, step: BoundStep, key: str, reads: Iterable[tuple[str, str, Mapping[str, EntryStatus]]]
    ) -> list[tuple[str, str, EntryStatus]]:
        """Role, step and state of the neighbours' tables that an overlap reads.

        A neighbour without rows is none, so it does not count.
        """
        found = []
        for side, beside in self.bound.neighbours(step, key).items():
            near = [
                (f"{side}:{role.partition(':')[2]}", f"{name} of {beside}", up[beside])
                for role, name, up in reads
                if role.startswith("input:")
            ]
            states = {status.state for _, _, status in near}
            found += [] if states <= DONE and "empty" in states else near
        return found

    def _callback_reads(self, step: BoundStep) -> list[tuple[str, str, EntryStatus]]:
        """Role, step and state of everything that a callback can reach through its inputs."""
        reads: list[tuple[str, str, EntryStatus]] = []
        for i, name in enumerate(step.inputs):
            above = self.bound.steps.get(name)
            if above is not None and above.has_whole:
                reads.append((f"state:{i}", name, self.model(name)))
            if above is None or above.has_entries:
                up = self.entries(name)
                entries = [key for key in self.bound.entries if key in up]
                reads += [(f"input:{i}/{key}", name, up[key]) for key in entries]
        return reads

    def _evaluate_entries(self, step: BoundStep) -> Mapping[str, EntryStatus]:
        if not step.has_entries:
            return {}
        recorded = self._recorded.get(step.name, {})
        if step.name in self.pinned:
            return self._as_recorded(step, self.bound.entries)
        shared, stop = self._shared_inputs(step)
        reads = self._reads_of(step)
        keys = [key for key in self.bound.entries if key not in recorded]
        same = None if stop is not None else self._as_they_were(step, keys, reads, shared)
        done = set() if same is None else set(same.table["key"].to_list())
        rest = [key for key in keys if key not in done]
        others = dict(recorded) | self._evaluate_each(step, rest, reads, (shared, stop))
        if same is None:
            return {key: others[key] for key in self.bound.entries}
        return EntryStates(self.bound.entries, same, shared, others)

    def _as_they_were(
        self,
        step: BoundStep,
        keys: Sequence[str],
        reads: Iterable[tuple[str, str, Mapping[str, EntryStatus]]],
        shared: Sequence[Dependency],
    ) -> Recorded | None:
        """Entries whose record is what a run would make now; none where that is hard to tell."""
        table = self.snapshot.table_of(self.bound.name, step.name, keys)
        if table is None or step.frames.overlap or step.name in self.forced:
            return None
        names = table["key"].to_list()
        known = [Read(role, made_of(up, names)) for role, _, up in reads]
        return as_recorded(self.snapshot, step, Recorded(table, known), shared)

    def _evaluate_each(
        self,
        step: BoundStep,
        keys: Sequence[str],
        reads: Sequence[tuple[str, str, Mapping[str, EntryStatus]]],
        above: tuple[tuple[Dependency, ...], EntryStatus | None],
    ) -> dict[str, EntryStatus]:
        """States of these entries, given what all need, or what keeps it away."""
        if not keys:
            return {}
        shared, stop = above
        heads = self.snapshot.of_step(self.bound.name, step.name)
        waiting: dict[str, EntryStatus] = {}
        ready: list[Ready] = []
        shared_lines = input_lines(shared)
        for key in keys:
            statuses = [(role, name, up[key]) for role, name, up in reads if key in up]
            statuses += self._beside(step, key, reads)
            own = None if stop is not None else made_from(statuses)
            if own is None:
                late = waiting_for(statuses, stop)
                assert late is not None
                waiting[key] = not_ready(late, heads.get(key))
            else:
                lines = input_lines(own) + shared_lines
                ready.append((key, entry_key_of(step.declaration, key, lines), (*own, *shared)))
        return waiting | self._look_up(step, ready)

    def _shared_inputs(self, step: BoundStep) -> tuple[tuple[Dependency, ...], EntryStatus | None]:
        """What every entry needs: artifacts and the fitted state, or what keeps them away."""
        if step.passes_through:
            return (), None
        if step.is_callback:
            states = [
                (f"state:{i}", name, self.model(name))
                for i, name in enumerate(step.inputs)
                if not is_ingested(name) and self.bound.steps[name].has_whole
            ]
            waiting = waiting_for(states)
            return ((), waiting) if waiting is not None else (dependencies(states), None)
        references, waiting = self._artifacts(step)
        if waiting is not None or not step.is_fitted:
            return references, waiting
        model = self.model(step.name)
        if model.state not in DONE:
            return (), passed_on(model, f"{step.name}'s fit")
        assert model.result is not None
        assert model.result.output_sha256 is not None
        # The state stands for what it was fitted on, so the artifacts need not count again.
        state = Dependency("state", model.result.output_sha256, model.action_key)
        return (state,), None

    def _artifacts(self, step: BoundStep) -> tuple[tuple[Dependency, ...], EntryStatus | None]:
        found = []
        for name, reference in step.references.items():
            if reference.artifact is None:
                continue
            model = self.model(reference.step)
            if model.state not in DONE:
                return (), passed_on(model, reference.step)
            _, digest = self._member(step, name, model)
            found.append(Dependency(f"param:{name}", digest, model.action_key))
        return tuple(found), None

    def _member(self, step: BoundStep, parameter: str, model: EntryStatus) -> tuple[str, str]:
        """Name and digest of the file of a fitted state that a parameter refers to."""
        reference = step.references[parameter]
        assert model.result is not None
        assert model.result.output_sha256 is not None
        assert reference.artifact is not None
        members = self.snapshot.state_members(model.result.output_sha256)
        asked_by = f"{parameter} of step {step.name!r}"
        name = match_artifact(asked_by, reference.step, reference.artifact, members)
        return name, members[name]

    def _evaluate_model(self, step: BoundStep) -> EntryStatus:
        recorded = self._recorded.get(step.name, {})
        if MODEL in recorded:
            return recorded[MODEL]
        if step.name in self.pinned:
            return self._as_recorded(step, [MODEL])[MODEL]
        head = self.snapshot.of_step(self.bound.name, step.name).get(MODEL)
        references, waiting = self._artifacts(step)
        if waiting is None and step.is_callback:
            waiting = waiting_for_all(self._callback_reads(step))
        elif waiting is None and step.fits_on_entries:
            waiting = self._waiting_for_entries(step)
        if waiting is not None:
            return not_ready(waiting, head)
        read = self._read_whole(step)
        scoped = not step.is_callback and step.feature_cls.scope_dependent
        key = fit_key(
            step.fit_declaration,
            [(item.role, item.sha256) for item in references],
            [(what, [item.sha256 for item in items]) for what, items in read],
            self.bound.entries if scoped else None,
        )
        inputs = (*references, *(item for _, items in read for item in items))
        return self._look_up(step, [(MODEL, key, inputs)])[MODEL]

    def _read_whole(self, step: BoundStep) -> list[tuple[str, tuple[Dependency, ...]]]:
        """What a fit, or a callback, is made from: by entry, or by all that a callback reaches."""
        if step.is_callback:
            reads = [read for read in self._callback_reads(step) if read[2].state in DONE]
            return [(read[0], dependencies([read])) for read in reads]
        if not step.fits_on_entries:
            return []
        used = self.usable(step)[0]
        ups = [(role, made_of(up, used)) for role, _, up in self._reads_of(step)]
        return [
            (
                key,
                tuple(
                    Dependency(f"{role}/{key}", digest, made.action_keys[place])
                    for role, made in ups
                    if (digest := made.digests[place]) is not None
                ),
            )
            for place, key in enumerate(used)
        ]

    def _waiting_for_entries(self, step: BoundStep) -> EntryStatus | None:
        """What keeps a fit on entries from starting, if anything does."""
        reads = [(name, dict(unfinished(up))) for _, name, up in self._reads_of(step)]
        for key in self.bound.entries if any(late for _, late in reads) else ():
            for name, late in reads:
                if key in late and late[key].state in PENDING:
                    return EntryStatus(late[key].state, name)
        used, excluded = self.usable(step)
        if excluded and (step.options.require_complete or not used):
            return EntryStatus("blocked", f"{len(excluded)} entries above it failed")
        return None

    def _look_up(self, step: BoundStep, ready: Iterable[Ready]) -> dict[str, EntryStatus]:
        heads = self.snapshot.of_step(self.bound.name, step.name)
        found = look_up(self.snapshot, heads, ready, forced=step.name in self.forced)
        return explain_stale(self.bound, step, found, self.snapshot)

    def _as_recorded(self, step: BoundStep, keys: Iterable[str]) -> dict[str, EntryStatus]:
        heads = self.snapshot.of_step(self.bound.name, step.name)
        results = {key: result_of(head) for key, head in heads.items() if head.output_sha256}
        present = self.snapshot.present(results.values())
        found = {}
        for key in keys:
            head, result = heads.get(key), results.get(key)
            if head is not None and head.state == "failed":
                found[key] = EntryStatus("failed", "failed before", head.action_key, head=head)
            elif head is None or result is None or result.output_sha256 not in present:
                found[key] = self._unrecorded(step, key, head)
            else:
                found[key] = EntryStatus(
                    made_state(key, result.rows), "", head.action_key, result, head=head
                )
        return found

    def _unrecorded(self, step: BoundStep, key: str, head: Head | None) -> EntryStatus:
        """What this run does not make and is not there: blocked by what failed, or missing."""
        ups = [] if key == MODEL else self._reads_of(step)
        waiting = waiting_for((role, name, up[key]) for role, name, up in ups if key in up)
        if waiting is not None and waiting.state == "blocked":
            return not_ready(waiting, head)
        return EntryStatus("missing", "new" if head is None else "object missing", head=head)
