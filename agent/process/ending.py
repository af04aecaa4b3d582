"""The end of one part of the process, bounded in time; what goes wrong with it is logged and holds nothing up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

log = logging.getLogger("gatepost")

LEAST = 0.1  # seconds that every part is given


async def end_within(part: str, work: Awaitable[object], seconds: float, until: float) -> None:
    """Wait for it so long, and not beyond `until` by the loop's clock."""
    seconds = max(LEAST, min(seconds, until - asyncio.get_running_loop().time()))
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        log.error("%s did not end within %.1f s", part, seconds)
    except Exception:
        log.exception("%s did not end as it should", part)
