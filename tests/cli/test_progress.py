"""Progress beside results."""

from __future__ import annotations

import io

import pytest

from mosaic_dagster.cli.progress import held_output, progress
from mosaic_dagster.pipeline import StepReport
from mosaic_dagster.pipeline.selection import StepStream


def stream(step: str, **counts: int) -> StepStream:
    return StepStream("walking", step, iter(()), StepReport("walking", step, **counts), 3)


def test_one_line_for_each_step(capfd: pytest.CaptureFixture[str]) -> None:
    """A log with a line per chunk would hide what matters; results stay on the other channel."""
    with progress() as tell:
        first = stream("speed", made=2, fresh=1)
        tell(first, 2)
        tell(first, 1)
        tell(stream("size", adopted=3), 3)
    out, err = capfd.readouterr()
    assert err == "walking/speed: 2 made, 1 up to date\nwalking/size: 3 found\n"
    assert out == ""


def test_output_comes_when_the_block_ends() -> None:
    """Lines printed among bars would be drawn over."""
    to = io.StringIO()
    with held_output(to):
        print("summary")
        assert to.getvalue() == ""
    assert to.getvalue() == "summary\n"


def die_after_printing() -> None:
    print("so far")
    msg = "killed"
    raise RuntimeError(msg)


def test_output_is_not_lost_when_a_run_dies() -> None:
    to = io.StringIO()
    with pytest.raises(RuntimeError, match="killed"), held_output(to):
        die_after_printing()
    assert to.getvalue() == "so far\n"
