"""The key of one recording: its group and its sequence, and their one-string form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import quote, unquote

from mosaic_dagster.errors import KeyFormatError

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
_PARSED = 1 << 16
"""How many keys a process remembers; all steps of a dataset ask about the same ones."""

_ENCODED = re.compile(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})*")


def _encode(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    # quote leaves "." and "~" alone, which are not plain in a key.
    encoded = quote(name, safe="", errors="surrogatepass")
    return encoded.replace(".", "%2E").replace("~", "%7E")


@dataclass(frozen=True, order=True)
class EntryKey:
    """One recording: a continuous ``sequence`` inside a ``group`` of recordings made alike.

    ``str(key)`` is ``quote(group)/quote(sequence)``, where everything but ASCII letters, digits,
    ``-`` and ``_`` is percent-encoded; it is the partition key of the recording.
    :meth:`parse` inverts it.

    Parameters
    ----------
    group
        Name of the group; may be empty.
    sequence
        Name of the recording; may not be empty.

    Raises
    ------
    KeyFormatError
        The sequence is empty.

    Examples
    --------
    >>> str(EntryKey("dish 01", "larva_007"))
    'dish%2001/larva_007'
    >>> EntryKey.parse("dish%2001/larva_007")
    EntryKey(group='dish 01', sequence='larva_007')
    """

    group: str
    sequence: str

    def __post_init__(self) -> None:
        if not self.sequence:
            msg = f"The sequence of an entry in group {self.group!r} is empty."
            raise KeyFormatError(msg, "Give every recording a name.")

    @cached_property
    def _text(self) -> str:
        return f"{_encode(self.group)}/{_encode(self.sequence)}"

    def __str__(self) -> str:
        return self._text

    @classmethod
    def parse(cls, text: str) -> EntryKey:
        """Read the one-string form back.

        Raises
        ------
        KeyFormatError
            The text is not what ``str`` of any key would give.
        """
        return _parse(text)


@lru_cache(_PARSED)
def _parse(text: str) -> EntryKey:
    group, slash, sequence = text.partition("/")
    well_formed = slash and _ENCODED.fullmatch(group) and _ENCODED.fullmatch(sequence)
    if well_formed and sequence:
        try:
            key = EntryKey(
                unquote(group, errors="surrogatepass"),
                unquote(sequence, errors="surrogatepass"),
            )
        except UnicodeDecodeError:
            key = None
        if key is not None and str(key) == text:
            return key
    msg = f"{text!r} is not an entry key."
    raise KeyFormatError(
        msg,
        "A key is group/sequence with everything but letters, digits, - and _ "
        "percent-encoded; `mosaic status --json` lists them.",
    )
