"""Identifiers of runs, pipelines and chains as people type them: any prefix that only one has."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping

import typer

from mosaic_dagster.dataset.validation import nearest

CHAIN, PIPELINE, RUN = "chain", "pipeline", "run"

_SHORTEST = 8
_SHOWN = 5


class Identifiers:
    """All identifiers of a workspace.

    Parameters
    ----------
    kinds
        Identifier -> what it names: a chain, a pipeline or a run.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._sorted = sorted(kinds)

    def find(self, text: str, *kinds: str) -> str:
        """Identifier of one of some kinds that begins with a text.

        Raises
        ------
        typer.BadParameter
            None or several begin so; some are named.
        """
        hint = "|".join(kind.upper() for kind in kinds)
        wanted = text.strip().lower()
        known = [name for name in self._sorted if self._kinds[name] in kinds]
        if wanted in known:
            return wanted
        found = [name for name in known if wanted and name.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            msg = f"{text!r} could be {self._listed(found, kinds)}. Give more characters."
            raise typer.BadParameter(msg, param_hint=hint)
        what = " or ".join(kinds)
        listed = f"There are {len(known)}: {self._listed(known, kinds)}." if known else (
            f"There is no {what} at all yet.")  # fmt: skip
        suggested = nearest(wanted, [self.short(name) for name in known])
        msg = " ".join(part for part in (f"No {what} begins with {text!r}.", suggested, listed)
                       if part)  # fmt: skip
        raise typer.BadParameter(msg, param_hint=hint)

    def kind(self, identifier: str) -> str:
        """What an identifier names."""
        return self._kinds[identifier]

    def short(self, identifier: str) -> str:
        """The shortest prefix, of eight characters or more, that no other identifier has."""
        at = bisect_left(self._sorted, identifier)
        around = [*self._sorted[max(at - 1, 0) : at], *self._sorted[at + 1 : at + 2]]
        shared = max((_equal_characters(identifier, name) for name in around), default=0)
        return identifier[: max(_SHORTEST, shared + 1)]

    def _listed(self, names: list[str], kinds: Collection[str]) -> str:
        told = [
            self.short(name) + (f" ({self._kinds[name]})" if len(kinds) > 1 else "")
            for name in names[:_SHOWN]
        ]
        return ", ".join(told) + (", …" if len(names) > _SHOWN else "")


def _equal_characters(one: str, other: str) -> int:
    """How many first characters two texts share."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
