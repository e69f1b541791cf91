"""Names of the library: what people type becomes a folder that cannot leave its place."""

from __future__ import annotations

import unicodedata

from mosaic_dagster.errors import StoreValueError

_FORBIDDEN = frozenset('<>:"/\\|?*')
_NOT_WRITABLE = frozenset({"Cc", "Cs"})  # control characters, halves of surrogate pairs
_LONGEST = 200
# File systems take 255 bytes; a folder that is being replaced has a prefix to its name.


def folder_name(name: str, what: str = "name") -> str:
    r"""Turn a name into the folder it is kept in.

    Lower case, spaces become ``_``; ``<>:"/\|?*`` and control characters go, then the dots at
    both ends. Applying it twice changes nothing more.

    Parameters
    ----------
    name
        Any text.
    what
        What is named, for the message: "name" or "category".

    Raises
    ------
    StoreValueError
        Nothing is left of the name, or more than 200 bytes are.
    """
    if not isinstance(name, str):
        msg = f"The {what} is a {type(name).__name__}, not a text."
        raise StoreValueError(msg, "Give a text.")
    kept = "".join(
        sign
        for sign in name.lower().replace(" ", "_")
        if sign not in _FORBIDDEN and unicodedata.category(sign) not in _NOT_WRITABLE
    ).strip(".")
    if not kept:
        msg = f"Nothing is left of the {what} {name!r} without signs that no folder can have."
        raise StoreValueError(msg, "Use letters or digits.")
    if len(kept.encode()) > _LONGEST:
        msg = f"The {what} {kept[:30]!r}... is longer than {_LONGEST} bytes."
        raise StoreValueError(msg, "Use a shorter one, and the description for the rest.")
    return kept
