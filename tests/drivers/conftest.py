"""Helpers of the driver tests: waiting for conditions, feeding in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


@pytest.fixture
def eventually():
    """`await eventually(condition)`: until it holds; fails after ten seconds."""

    async def wait(condition: Callable[[], object], what: str = "the condition") -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail(f"{what} did not come true")

    return wait


@pytest.fixture
def pieces():
    """`pieces(data, sizes)`: the data cut into pieces of these sizes, in turn."""

    def cut(data: bytes, sizes: list[int]) -> list[bytes]:
        parts, at, turn = [], 0, 0
        while at < len(data):
            size = max(1, sizes[turn % len(sizes)]) if sizes else len(data)
            parts.append(data[at : at + size])
            at, turn = at + size, turn + 1
        return parts

    return cut
