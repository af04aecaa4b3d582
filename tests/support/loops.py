"""Tests that run on each kind of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def loops(item: pytest.Item, *on_both: str) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For the hook `pytest_asyncio_loop_factories`: the tests of the files `on_both` run on uvloop, too."""
    both = item.path.name in on_both
    return {"asyncio": asyncio.new_event_loop, **({"uvloop": uvloop.new_event_loop} if both else {})}
