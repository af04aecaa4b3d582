"""Signals of the agent from its first moment to its last: SIGTERM and SIGINT stop it, SIGHUP reloads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from gatepost.agent.process.exits import ExitCode

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class ProcessSignals:
    """Until `hear`, SIGTERM and SIGINT end the process at once and with success, since nothing is open yet, and SIGHUP
    is kept. After `ignore` nothing is heard, so that one more on the last metres does not spoil the exit code."""

    def __init__(self) -> None:
        self._tell: Callable[[int], object] | None = None
        self._hung_up = False
        for number in NUMBERS:
            signal.signal(number, self._take)

    def hear(self, tell: Callable[[int], object]) -> None:
        """`tell` is called in the main thread, in the middle of whatever runs there."""
        for number in NUMBERS:
            signal.siginterrupt(number, False)  # threads are not held up by it
        self._tell = tell
        if self._hung_up:
            tell(signal.SIGHUP)

    def ignore(self) -> None:
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._tell is not None:
            self._tell(number)
        elif number == signal.SIGHUP:
            self._hung_up = True
        else:
            os._exit(ExitCode.DONE)
