"""Helpers of the driver tests: feeding in pieces."""

from __future__ import annotations

import pytest


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
