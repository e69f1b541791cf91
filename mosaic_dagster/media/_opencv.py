"""The one place where OpenCV is imported."""

from __future__ import annotations

from typing import Any

from mosaic_dagster.extras import need

EXTRA = "images"
"""The extra that installs OpenCV."""


def opencv(what: str) -> Any:
    """The module ``cv2``.

    Parameters
    ----------
    what
        What needs it, as the subject of a sentence.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    """
    return need("cv2", EXTRA, what)
