"""Colours that a value keeps in every picture, whatever else is in it."""

from __future__ import annotations

import hashlib
from typing import Any

Colour = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

NOTHING: Colour = (190, 190, 190)
"""Colour of what has no label."""

# Told apart by most colour-blind people, and bright enough on a dark video.
_COLOURS: tuple[Colour, ...] = (
    (102, 204, 238), (238, 102, 119), (34, 170, 90), (204, 187, 68), (170, 51, 119),
    (68, 119, 170), (238, 153, 51), (153, 221, 255), (255, 170, 187), (187, 204, 51),
    (119, 136, 255), (221, 221, 119),
)  # fmt: skip


def colour_of(value: Any) -> Colour:
    """Colour of an id or a label; null has the colour of nothing.

    Notes
    -----
    A whole number counts through twelve colours; anything else takes the one that the digest of
    its text points at, so two texts may share a colour.

    Examples
    --------
    >>> colour_of(0) == colour_of(12) == colour_of(0.0)
    True
    """
    if value is None or value != value:
        return NOTHING
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return _COLOURS[int(value) % len(_COLOURS)]
    digest = hashlib.sha256(str(value).encode(errors="surrogatepass")).digest()
    return _COLOURS[digest[0] % len(_COLOURS)]
