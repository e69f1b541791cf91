"""One feature beside a plain version of the same formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

Columns = Mapping[str, np.ndarray[Any, Any]]
"""Values by column name, each of shape (n_rows,), in the order of the feature's rows."""


def as_given(tracks: pl.DataFrame) -> pl.DataFrame:
    """The tracks themselves."""
    return tracks


@dataclass(frozen=True)
class Case:
    """A feature, its input and a straightforward reference.

    Attributes
    ----------
    feature
        Name of the feature.
    reference
        Computes the feature's value columns from the same input table, written as one would in a
        script: clear first, not fast on purpose and not slow on purpose.
    params
        Parameters of the feature; references in them are given in ``artifacts``.
    prepare
        Makes the feature's input from the tracks of the benchmark (2 animals, 7 keypoints, 20,000
        frames), outside the clock.
    ready
        Loads or fits the feature where it needs that, outside the clock.
    speedup
        How many times faster than the reference the feature has to be.
    """

    feature: str
    reference: Callable[[pl.DataFrame], Columns]
    params: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[pl.DataFrame], pl.DataFrame] = as_given
    ready: Callable[[Any, pl.DataFrame], None] | None = None
    speedup: float = 1.0
