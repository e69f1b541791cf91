"""Groups of animals that stay close to each other, and how long a group keeps its members."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray

# Distances per block of frames, times the pairs: small enough for a processor's cache.
_BLOCK = 1 << 17


def group_leaders(
    x: FloatArray, y: FloatArray, frames: IntArray, cutoff: float, window: int
) -> IntArray:
    """The first member of each animal's group, shape (n_frames, n_ids); -1 where absent.

    Parameters
    ----------
    x, y
        Positions, shape (n_frames, n_ids); NaN where absent.
    frames
        Frame numbers, increasing, shape (n_frames,); gaps are frames in which all are absent.
    cutoff
        Two present animals are linked where their mean distance is below this.
    window
        Odd number of frames around a frame over which known distances are averaged.

    Notes
    -----
    Groups are the connected components of the links. Computed in blocks of frames: memory is
    proportional to the block, not to the recording.
    """
    n_frames, n_ids = x.shape
    present = np.isfinite(x) & np.isfinite(y)
    leaders = np.where(present, np.arange(n_ids), -1)
    first, second = np.triu_indices(n_ids, k=1)
    if not len(first):
        return leaders
    reach = window // 2
    per_block = max(1, 4 * window, _BLOCK // len(first))
    for start in range(0, n_frames, per_block):
        stop = min(start + per_block, n_frames)
        around = slice(max(0, start - reach), min(n_frames, stop + reach))
        inside = slice(start - around.start, stop - around.start)
        dx, dy = (position[around][:, first] - position[around][:, second] for position in (x, y))
        near = _mean_below(np.hypot(dx, dy), frames[around], inside, cutoff, reach)
        near &= present[start:stop, first] & present[start:stop, second]
        leaders[start:stop] = _components(near, present[start:stop], first, second)
    return leaders


def _mean_below(
    distance: FloatArray, frames: IntArray, inside: slice, cutoff: float, reach: int
) -> BoolArray:
    """Whether the mean over the known distances of the window is below the cutoff.

    The window holds frames, but at most as many rows: rows at most ``reach`` away are tried.
    """
    known = ~np.isnan(distance)
    complete = bool(known.all())
    distance = distance if complete else np.where(known, distance, 0.0)
    rows = np.arange(inside.start, inside.stop)
    total = np.zeros((len(rows), distance.shape[1]))
    count = np.zeros((len(rows), 1 if complete else distance.shape[1]))
    for shift in range(-reach, reach + 1):
        there = (rows + shift >= 0) & (rows + shift < len(frames))
        other = np.where(there, rows + shift, 0)
        there &= np.abs(frames[other] - frames[rows]) <= reach
        target, source = _overlap(there, rows + shift)
        total[target] += distance[source]
        count[target] += 1 if complete else known[source]
    return np.asarray(total < cutoff * count)


def _overlap(there: BoolArray, rows: IntArray) -> tuple[slice | IntArray, slice | IntArray]:
    """Where a shifted row is there, and which it is; slices where that can be (no copies)."""
    target = np.flatnonzero(there)
    if len(target) and target[-1] - target[0] + 1 == len(target):
        first, last = int(target[0]), int(target[-1])
        return slice(first, last + 1), slice(int(rows[first]), int(rows[last]) + 1)
    return target, rows[target]


def _components(near: BoolArray, present: BoolArray, first: IntArray, second: IntArray) -> IntArray:
    """First member of each animal's connected component, per frame; -1 where absent."""
    # Half a second to import, which everybody would wait for who only asks what is stale.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_frames, n_ids = present.shape
    frame, pair = np.nonzero(near)
    ends = (frame * n_ids + first[pair], frame * n_ids + second[pair])
    n_nodes = n_frames * n_ids
    links = coo_array((np.ones(len(frame), dtype=np.int8), ends), shape=(n_nodes, n_nodes))
    _, component = connected_components(links.tocsr(), directed=False)
    lowest = np.empty(n_nodes, dtype=np.int64)
    # The last of several assignments counts, so nodes are taken backwards.
    lowest[component[::-1]] = np.arange(n_nodes)[::-1]
    leaders = (lowest[component] % n_ids).reshape(n_frames, n_ids)
    return np.where(present, leaders, -1)


def group_numbers(leaders: IntArray) -> IntArray:
    """Number of each animal's group within its frame, shape of ``leaders``; -1 where absent.

    Groups are counted from 0 in the order of their first members.
    """
    rank = np.cumsum(leaders == np.arange(leaders.shape[1]), axis=1) - 1
    return np.where(leaders < 0, -1, np.take_along_axis(rank, np.maximum(leaders, 0), axis=1))


def group_sizes(leaders: IntArray) -> IntArray:
    """Number of members of each animal's group, shape of ``leaders``; -1 where absent."""
    members = _per_leader(leaders, leaders >= 0)
    return np.where(leaders < 0, -1, np.take_along_axis(members, np.maximum(leaders, 0), axis=1))


def _per_leader(leaders: IntArray, wanted: BoolArray) -> IntArray:
    """How many members of the group of each leader are wanted, shape of ``leaders``."""
    n_frames, n_ids = leaders.shape
    cells = (np.arange(n_frames)[:, None] * n_ids + leaders)[wanted & (leaders >= 0)]
    return np.bincount(cells, minlength=n_frames * n_ids).reshape(n_frames, n_ids)


def group_events(leaders: IntArray, frames: IntArray, min_duration: int) -> IntArray:
    """Number of the event that each animal takes part in, shape of ``leaders``; -1 for none.

    Parameters
    ----------
    leaders
        See :func:`group_leaders`.
    frames
        Frame numbers, increasing, shape (n_frames,).
    min_duration
        An event is kept if its last frame minus its first is at least this.

    Notes
    -----
    An event is a maximal span of successive frames in which exactly the same members are a group.
    Events are numbered from 0 by run of successive frames, then by their sorted members (as
    tuples), then by start.
    """
    n_ids = leaders.shape[1]
    if not leaders.size:
        return np.empty(leaders.shape, dtype=np.int64)
    leads = leaders == np.arange(n_ids)
    begins = leads & ~_continues(leaders, frames)
    # By column, the rows that an animal leads follow each other within an event.
    column, row = np.nonzero(leads.T)
    begin = begins.T[column, row]
    event = np.cumsum(begin) - 1
    kept = np.bincount(event) > min_duration
    number = np.full(len(kept), -1, dtype=np.int64)
    start, leader = row[begin][kept], column[begin][kept]
    run = np.cumsum(np.diff(frames, prepend=frames[0]) != 1)
    order = np.lexsort((start, _member_ranks(leaders, start, leader), run[start]))
    number[np.flatnonzero(kept)[order]] = np.arange(len(order))
    of_leader = np.full(leaders.shape, -1, dtype=np.int64)
    of_leader[row, column] = number[event]
    events = np.take_along_axis(of_leader, np.maximum(leaders, 0), axis=1)
    return np.where(leaders < 0, -1, events)


def _continues(leaders: IntArray, frames: IntArray) -> BoolArray:
    """Whether the group that an animal leads has the same members in the frame before.

    Equal sets have the same first member. So the group is the same if all of its members had this
    leader before, and the leader had no more members then.
    """
    same = np.zeros(leaders.shape, dtype=np.bool_)
    successive = np.diff(frames)[:, None] == 1
    same[1:] = (leaders[1:] == leaders[:-1]) & (leaders[1:] >= 0) & successive
    members = _per_leader(leaders, leaders >= 0)
    before = np.zeros_like(members)
    before[1:] = members[:-1]
    stayed = _per_leader(leaders, same)
    return np.asarray((stayed == members) & (before == members) & (members > 0))


def _member_ranks(leaders: IntArray, start: IntArray, leader: IntArray) -> IntArray:
    """Rank of each event's member set among all sets, compared as sorted tuples.

    Per animal 1 is a member, 2 none with a later member, 0 none after the last: where two sets
    first differ, a member comes before a later one, and the end before any member.
    """
    if not len(start):
        return np.empty(0, dtype=np.int64)
    n_ids = leaders.shape[1]
    ranks = np.empty((len(start), n_ids), dtype=np.uint8)
    for rows in _blocks(len(start), n_ids):
        member = leaders[start[rows]] == leader[rows, None]
        last = n_ids - 1 - member[:, ::-1].argmax(axis=1)
        later = np.arange(n_ids) < last[:, None]
        ranks[rows] = np.where(member, 1, np.where(later, 2, 0))
    return np.unique(ranks.view(f"S{n_ids}").ravel(), return_inverse=True)[1].astype(np.int64)


def _blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK // n_columns)
    return (slice(start, start + step) for start in range(0, n_rows, step))
