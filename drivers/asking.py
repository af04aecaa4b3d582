"""Questions to a device that are asked again when no answer comes."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Reading, Reply

T = TypeVar("T")


async def ask(
    io: DeviceIO,
    say: Callable[[], Awaitable[None]],
    match: Callable[[Reading | Reply], T | None],
    timeout: float,
    tries: int,
) -> T:
    """What `match` finds in the answer. `say` asks, so many times at the most; TimeoutError, and what either raises.

    A device that was slow answers each question that was repeated: those answers are waited for, so that none is taken
    for the answer to the next question."""
    for repeated in range(tries):
        await say()
        try:
            found = await io.wait(match, timeout)
        except TimeoutError:
            continue
        with contextlib.suppress(TimeoutError):
            for _ in range(repeated):
                await io.wait(match, timeout)
        return found
    raise TimeoutError


def any_reply(item: Reading | Reply) -> Reply | None:
    """Match of whatever the device said that is no reading."""
    return item if isinstance(item, Reply) else None


async def forget_answers(io: DeviceIO) -> None:
    """Answers to what was asked before are none to what is asked now."""
    with contextlib.suppress(TimeoutError):
        await io.wait(lambda item: None, 0)
