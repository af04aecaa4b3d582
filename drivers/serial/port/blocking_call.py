"""Calls that may block, in a thread of their own: the loop waits for a bounded time and never joins them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(
    loop: asyncio.AbstractEventLoop, work: Callable[[], T], undo: Callable[[T], None] | None = None
) -> asyncio.Future[T]:
    """Run `work` in a daemon thread. When nobody wants its result any more, `undo` is given it, also off the loop.

    A daemon thread, not an executor: a process must be able to end while a driver of the kernel still hangs.
    """
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]
        elif error is None and undo is not None:
            threading.Thread(target=undo, args=(result,), daemon=True, name="gatepost-undo").start()

    def run() -> None:
        result: T | None = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as exc:
            error = exc
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            if error is None and undo is not None:
                undo(result)  # type: ignore[arg-type]

    threading.Thread(target=run, daemon=True, name="gatepost-port").start()
    return future


async def bounded(future: asyncio.Future[T], timeout: float, undo: Callable[[T], None] | None = None) -> T:
    """The result of `in_thread`, or TimeoutError after `timeout` seconds; a result that comes late is undone."""
    try:
        async with asyncio.timeout(timeout):
            return await future
    except (TimeoutError, asyncio.CancelledError):
        if undo is not None and future.done() and not future.cancelled() and future.exception() is None:
            threading.Thread(target=undo, args=(future.result(),), daemon=True, name="gatepost-undo").start()
        raise
