"""Commands that a helper process obeys, and its answers: JSON lines on its standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class CommandLines:
    """Commands for a process that waits for descriptor 0 itself."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self) -> list[dict[str, Any]] | None:
        """Those that have come; None = the end."""
        chunk = os.read(0, 65536)
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Commands for a process with an event loop, until their end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)
