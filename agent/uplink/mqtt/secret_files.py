"""Files of a broker's settings, password and certificates: read off the loop and with a time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gatepost.agent.core.errors import UplinkError
from gatepost.agent.core.named_files import off_loop

T = TypeVar("T")


async def read_file(broker: str, what: str, work: Callable[[], T]) -> T:
    """What `work` gives. Raises UplinkError where a share hangs, and what `work` raises."""
    try:
        return await off_loop(f"{broker} {what}", work)
    except OSError as error:
        raise UplinkError(f"{what}: {error.strerror}", "a file of this machine", key="file-unreadable") from None
