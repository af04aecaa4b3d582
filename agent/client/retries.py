"""Retries of a call while the agent or a broker is away for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from gatepost.client.errors import GatewayError, GatewayTimeout, NoAgent, RateLimited, Unavailable

T = TypeVar("T")

ATTEMPTS = 6
FIRST_WAIT = 0.5  # seconds, then twice as long each time
PASSING = NoAgent, GatewayTimeout, RateLimited, Unavailable


def retried(
    ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep, tell: Callable[[str], None] = lambda _: None
) -> T:
    """What `ask` gives, asked a few times; raises GatewayError as `ask` does."""
    wait = FIRST_WAIT
    for _ in range(ATTEMPTS - 1):
        try:
            return ask()
        except GatewayError as error:
            if not isinstance(error, PASSING) and error.key != "connection-lost":
                raise
            seconds = max(wait, getattr(error, "retry_after", 0.0))
            tell(f"{error.message}; trying again in {seconds:g} s")
        sleep(seconds)
        wait *= 2
    return ask()
