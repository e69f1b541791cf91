"""What a check found, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mosaic_dagster.errors import MosaicError

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    about
        What it is a part of: ``python``, ``project``, ``dataset larvae``, ``dagster``, …
    what
        What was found.
    state
        ``ok``, ``warning`` (works, but look at it) or ``error`` (something does not work).
    remedy
        What to do about it; empty when it is ok and nothing is worth knowing.
    """

    about: str
    what: str
    state: State = "ok"
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def looked_at(about: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; what it raises is a finding too, so that others still run."""
    try:
        yield from check()
    except MosaicError as error:
        yield Finding(about, error.what, "error", error.remedy or "Mend it and look again.")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        what = f"{place}{error.strerror or error}."
        yield Finding(about, what, "error", "Check the path and your rights to it.")
    except Exception as error:  # noqa: BLE001 - a check must not end the others
        what = f"This could not be checked: {type(error).__name__}: {error}"
        yield Finding(about, what, "error", "Mend what the message names and look again.")
