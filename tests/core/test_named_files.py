"""Files that a person named: what is no regular file is refused, and what hangs holds nothing up."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from gatepost.agent.core.named_files import off_loop, open_regular, read_regular


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"words")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    assert read_regular(tmp_path / "file", 3) == b"wor"
    for name in ("fifo", "link", ".", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError, match=r"regular|tty|device"):
            read_regular(tmp_path / name, 10)
    with pytest.raises(OSError, match="regular"):
        open_regular(tmp_path / "fifo", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)


async def test_what_hangs_holds_one_thread_and_the_loop_goes_on() -> None:
    release, begun = threading.Event(), []

    def hang() -> str:
        begun.append(1)
        release.wait(20)
        return "late"

    for _ in range(3):
        with pytest.raises(OSError, match=r"hangs|long"):
            await off_loop("share", hang, 0.05)
    assert len(begun) == 1
    assert await off_loop("other", lambda: "good", 5) == "good"
    release.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await off_loop("share", lambda: "good", 5) == "good"
                break
            except OSError:
                await asyncio.sleep(0.01)
