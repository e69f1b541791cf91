"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let what tests start be stopped with an interrupt.

    A shell that runs the suite in the background has it ignore interrupts, and every process that
    a test starts would do the same.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
