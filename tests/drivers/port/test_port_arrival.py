"""A port that comes back is noticed at once, also where the whole directory was gone."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatepost.drivers.serial.port import port_arrival as module
from gatepost.drivers.serial.port.port_arrival import port_arrival


@asynccontextmanager
async def waiting(port: Path) -> AsyncIterator[asyncio.Task[None]]:
    """Somebody waits for this port, and has looked at it."""
    task = asyncio.create_task(port_arrival(str(port)))
    await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.wait({task})


async def came(task: asyncio.Task[None]) -> bool:
    await asyncio.wait({task}, timeout=5)
    return task.done() and not task.cancelled()


async def still_waits(task: asyncio.Task[None]) -> bool:
    await asyncio.wait({task}, timeout=0.05)
    return not task.done()


async def test_a_port_that_appears(tmp_path: Path) -> None:
    async with waiting(tmp_path / "ttyUSB0") as task:
        (tmp_path / "another").touch()
        assert await still_waits(task)
        (tmp_path / "ttyUSB0").touch()
        assert await came(task)


async def test_a_link_whose_directory_was_gone(tmp_path: Path) -> None:
    """udev removes by-id with its last link."""
    port = tmp_path / "serial" / "by-id" / "usb-1"
    async with waiting(port) as task:
        (tmp_path / "ttyUSB1").touch()
        port.parent.mkdir(parents=True)
        assert await still_waits(task)
        (port.parent / ".tmp").symlink_to("../../ttyUSB1")
        (port.parent / ".tmp").rename(port)
        assert await came(task)


async def test_a_port_that_is_replugged_while_its_node_lingers(tmp_path: Path) -> None:
    port = tmp_path / "serial" / "usb-1"
    port.parent.mkdir()
    (tmp_path / "ttyUSB0").touch()
    port.symlink_to("../ttyUSB0")
    async with waiting(port) as task:
        assert await still_waits(task)  # it is there, and was: nothing that would help has happened
        (tmp_path / "ttyUSB0").unlink()
        shutil.rmtree(port.parent)
        assert await still_waits(task)
        (tmp_path / "ttyUSB1").touch()
        port.parent.mkdir()
        port.symlink_to("../ttyUSB1")
        assert await came(task)


async def test_a_node_that_belongs_to_root_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = False
    monkeypatch.setattr(os, "access", lambda *_: allowed)
    async with waiting(tmp_path / "ttyUSB0") as task:
        (tmp_path / "ttyUSB0").touch()
        assert await still_waits(task)
        allowed = True
        (tmp_path / "ttyUSB0").chmod(0o660)
        assert await came(task)


async def test_no_handle_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        async with waiting(tmp_path / "ttyUSB0") as task:
            assert await still_waits(task)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_without_inotify_the_backoff_goes_on_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "DirectoryWatch", none_left)
    async with waiting(tmp_path / "ttyUSB0") as task:
        (tmp_path / "ttyUSB0").touch()
        assert await still_waits(task)
