"""The watchdog: systemd is pinged only while every part makes progress, so that a stuck agent is restarted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gatepost.agent.process.notify import Notifier

Check = Callable[[], str | None]

LAG_LIMIT = 2.0  # seconds the event loop may be late before a ping is withheld
AGAIN = 1.0  # seconds to the next look while a ping is withheld


def interval_from(env: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two pings: half of $WATCHDOG_USEC; None when no watchdog is asked of process `pid`."""
    if env.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        micros = int(env.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return micros / 2_000_000 if micros > 0 else None


class Watchdog:
    """Pings every `interval` seconds while each check returns None (else what is stuck) and the loop is on time.

    While something is stuck it looks again every second, so that a short stall costs no restart. The reason is logged
    once for each spell and stands in `withheld`.
    """

    def __init__(
        self,
        notifier: Notifier,
        interval: float,
        checks: Sequence[Check],
        log: logging.Logger,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._notifier = notifier
        self._interval = interval
        self._checks = checks
        self._log = log
        self._monotonic = monotonic
        self._sleep = sleep
        self.lag = 0.0  # seconds, at the last look
        self.withheld: str | None = None

    async def run(self) -> None:
        """Until cancelled."""
        pause = 0.0
        while True:
            due = self._monotonic() + pause
            await self._sleep(pause)
            self.lag = max(0.0, self._monotonic() - due)
            pause = self._interval if self._look() else min(AGAIN, self._interval)

    def _look(self) -> bool:
        reasons = [reason for reason in map(self._ask, self._checks) if reason]
        if self.lag > LAG_LIMIT:
            reasons.append(f"the event loop was {self.lag:.1f} s late")
        if reasons:
            if self.withheld is None:
                self._log.error("watchdog: no ping to the service manager: %s", "; ".join(reasons))
            self.withheld = "; ".join(reasons)
            return False
        if self.withheld is not None:
            self._log.info("watchdog: all parts make progress again")
            self.withheld = None
        self._notifier.watchdog()
        return True

    @staticmethod
    def _ask(check: Check) -> str | None:
        try:
            return check()
        except Exception as error:  # a check that cannot tell is no sign of health
            return f"a check failed: {type(error).__name__}: {error}"
