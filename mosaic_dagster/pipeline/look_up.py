"""Results looked up by the action keys that entries would have now.

A status asks about every entry of every step, so what is done for one of them is written out
rather than composed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.status import DONE, EntryStatus, State, made_state, result_of
from mosaic_dagster.store import Dependency, Head, StoredResult

Ready = tuple[str, str, tuple[Dependency, ...]]
"""Key of a unit, the action key that it would have now, and what that is made of."""


def made_from(reads: Iterable[tuple[str, str, EntryStatus]]) -> list[Dependency] | None:
    """The inputs that some (role, step, state) stand for; None when one of them is not made."""
    found = []
    for role, _, status in reads:
        if status.state not in DONE:
            return None
        assert status.result is not None
        assert status.result.output_sha256 is not None
        found.append(Dependency(role, status.result.output_sha256, status.action_key))
    return found


def dependencies(reads: Iterable[tuple[str, str, EntryStatus]]) -> tuple[Dependency, ...]:
    """The same for what is known to be made."""
    found = made_from(reads)
    assert found is not None
    return tuple(found)


def look_up(
    snapshot: Snapshot, heads: Mapping[str, Head], ready: Iterable[Ready], *, forced: bool = False
) -> dict[str, EntryStatus]:
    """State of each unit by what is stored under its key.

    Parameters
    ----------
    snapshot
        What is recorded.
    heads
        What is recorded for the step of these units, by key.
    ready
        The units.
    forced
        Whether what is there counts as stale.
    """
    asked = list(ready)
    results = _stored(snapshot, heads, asked)
    present = snapshot.present(result for result in results if result is not None)
    found = {}
    for (key, action_key, inputs), result in zip(asked, results, strict=True):
        head = heads.get(key)
        if result is None:
            told = _without_result(action_key, head)
            found[key] = EntryStatus(*told, action_key, None, inputs, head)
        elif result.output_sha256 not in present:
            found[key] = EntryStatus("stale", "object missing", action_key, None, inputs, head)
        elif forced:
            found[key] = EntryStatus("stale", "forced", action_key, None, inputs, head)
        else:
            state = made_state(result.key, result.rows)
            found[key] = EntryStatus(state, "", action_key, result, inputs, head)
    return found


def _stored(
    snapshot: Snapshot, heads: Mapping[str, Head], asked: Sequence[Ready]
) -> list[StoredResult | None]:
    """The result under each unit's key: mostly the one that its head names."""
    results: list[StoredResult | None] = []
    unknown: dict[int, str] = {}
    for key, action_key, _ in asked:
        head = heads.get(key)
        if head is None or head.action_key != action_key:
            unknown[len(results)] = action_key
            results.append(None)
        else:
            results.append(None if head.output_sha256 is None else result_of(head))
    if unknown:
        other = snapshot.find_results(list(unknown.values()))
        for place, action_key in unknown.items():
            results[place] = other.get(action_key)
    return results


def _without_result(action_key: str, head: Head | None) -> tuple[State, str]:
    if head is None:
        return "missing", "new"
    if head.action_key != action_key:
        return "stale", "input"
    return ("failed", "failed before") if head.state == "failed" else ("stale", "object missing")
