"""Which artifact needs which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mosaic_dagster.errors import StoreValueError

MAX_DEPTH = 100


class DependencyGraph:
    """Directed needs between artifact ids, kept in order of insertion."""

    def __init__(self) -> None:
        # Dictionaries without values: sets that remember the order.
        self._needs: dict[str, dict[str, None]] = {}
        self._needed_by: dict[str, dict[str, None]] = {}

    def __repr__(self) -> str:
        return f"DependencyGraph({sum(map(len, self._needs.values()))} dependencies)"

    def add_dependency(self, artifact_id: str, needed_id: str) -> None:
        """Note that one artifact needs another; noting it twice is noting it once."""
        self._needs.setdefault(artifact_id, {})[needed_id] = None
        self._needed_by.setdefault(needed_id, {})[artifact_id] = None

    def add_dependencies(self, artifact_id: str, needed_ids: Iterable[str]) -> None:
        """Note that one artifact needs several others."""
        for needed_id in needed_ids:
            self.add_dependency(artifact_id, needed_id)

    def get_dependencies(self, artifact_id: str) -> list[str]:
        """Artifacts that this one needs directly."""
        return list(self._needs.get(artifact_id, ()))

    def get_dependents(self, artifact_id: str) -> list[str]:
        """Artifacts that need this one directly."""
        return list(self._needed_by.get(artifact_id, ()))

    def resolve_dependencies(self, artifact_id: str, max_depth: int = MAX_DEPTH) -> list[str]:
        """Everything that an artifact needs, directly or through others, each once.

        Parameters
        ----------
        artifact_id
            The artifact; it is not in the result itself.
        max_depth
            Length of the longest path of needs that is accepted.

        Returns
        -------
        list of str
            What is needed comes before what needs it; among equals what was added first.

        Raises
        ------
        StoreValueError
            The needs form a circle, or a path of them is longer than ``max_depth``.
        """
        ordered = self._needs_first(artifact_id)
        height: dict[str, int] = {}
        for current in ordered:
            below = self._needs.get(current, ())
            height[current] = 1 + max((height[needed] for needed in below), default=-1)
        if height[artifact_id] > max_depth:
            msg = f"{artifact_id!r} needs {height[artifact_id]} artifacts one below the other."
            raise StoreValueError(msg, f"Raise max_depth above {max_depth} if that is meant.")
        return ordered[:-1]

    def remove_dependencies(self, artifact_id: str) -> None:
        """Forget what an artifact needs; what needs it keeps saying so."""
        for needed_id in self._needs.pop(artifact_id, {}):
            self._drop(self._needed_by, needed_id, artifact_id)

    def remove_artifact(self, artifact_id: str) -> None:
        """Forget an artifact, what it needs and that others need it."""
        self.remove_dependencies(artifact_id)
        for dependent in self._needed_by.pop(artifact_id, {}):
            self._drop(self._needs, dependent, artifact_id)

    def clear(self) -> None:
        """Forget everything."""
        self._needs.clear()
        self._needed_by.clear()

    def _needs_first(self, start: str) -> list[str]:
        """Depth-first order that ends with ``start``; a stack of its own, so depth is no limit."""
        done: dict[str, None] = {}
        path: dict[str, Iterator[str]] = {start: iter(self.get_dependencies(start))}
        while path:
            current = next(reversed(path))
            needed = next((item for item in path[current] if item not in done), None)
            if needed is None:
                del path[current]
                done[current] = None
            elif needed in path:
                circle = list(path)[list(path).index(needed) :]
                msg = f"Artifacts need each other in a circle: {' > '.join([*circle, needed])}."
                raise StoreValueError(msg, "Remove one of these dependencies.")
            else:
                path[needed] = iter(self.get_dependencies(needed))
        return list(done)

    @staticmethod
    def _drop(edges: dict[str, dict[str, None]], key: str, value: str) -> None:
        targets = edges[key]
        del targets[value]
        if not targets:
            del edges[key]
