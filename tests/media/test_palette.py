"""An id has one colour in every picture of every recording."""

from __future__ import annotations

from mosaic_dagster.media.palette import NOTHING, colour_of


def test_colours_depend_on_the_value_alone():
    """The text's colour comes from its digest, which is the same in every process."""
    assert colour_of(3) == colour_of(3.0) == colour_of(15)
    assert len({colour_of(i) for i in range(12)}) == 12
    assert colour_of("attack") == (102, 204, 238)
    assert colour_of(0.5) == colour_of("0.5")


def test_nothing_has_no_colour_of_its_own():
    """Unlabelled frames must not look like the first class."""
    assert colour_of(None) == colour_of(float("nan")) == NOTHING
    assert NOTHING not in {colour_of(i) for i in range(12)}
    assert colour_of(float("inf")) != NOTHING
