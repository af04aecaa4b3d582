from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.audit import file as audit_file
from gatepost.agent.audit.hash_chain import ChainLink, newest_first, unseal, verify
from gatepost.agent.audit.log import WAITING, AuditLog

from .helpers import HandClock


class State:
    """The store's small state."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def get(self, key: str) -> Any | None:
        return self.values.get(key)

    async def put(self, key: str, value: Any) -> None:
        self.values[key] = value

    @property
    def head(self) -> ChainLink:
        return ChainLink(**self.values["audit-head"])


class Shelf:
    """Opens the log of one directory again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = State()
        self.clock = HandClock()

    async def open(self, **more: int) -> AuditLog:
        return await AuditLog.open(self.path, self.clock, self.state.get, self.state.put, **more)

    async def fill(self, count: int, **more: int) -> None:
        log = await self.open(**more)
        for number in range(count):
            log.record("test", number=number)
        await log.close()

    def what(self) -> list[str]:
        return [orjson.loads(line)["what"] for line in self.path.read_bytes().splitlines() if unseal(line)]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "audit.log")


async def test_entries_are_chained_over_restarts(shelf: Shelf) -> None:
    await shelf.fill(3)
    await shelf.fill(2)
    assert verify(shelf.path, shelf.state.head) == (5, 0, None)
    lines = [orjson.loads(line) for line in shelf.path.read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0] | {"hash": ""} == {
        "seq": 1,
        "time": "2026-11-20T10:30:00.000000Z",
        "what": "test",
        "number": 0,
        "prev": "0" * 64,
        "hash": "",
    }
    assert shelf.path.stat().st_mode & 0o777 == 0o600


async def test_what_cannot_be_in_a_line_is_made_to_fit(shelf: Shelf) -> None:
    log = await shelf.open()
    shelf.clock.synchronised = False
    log.record("odd", big=2**70, text="x" * 1000, bad="\ud800", path=shelf.path, none=None, hash="mine", n=float("nan"))
    (entry,) = await log.tail()
    assert (await log.verify()).broken is None
    assert (entry["big"], len(entry["text"]), entry["bad"], entry["clock"]) == (str(2**70), 200, "?", "unsynchronised")
    assert len(entry["hash"]) == 64
    await log.close()


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def resealed(lines: list[bytes]) -> list[bytes]:
    """A changed entry whose own hash is right again: the next line gives it away."""
    from gatepost.agent.audit.hash_chain import GENESIS, seal

    first = orjson.loads(lines[0])
    bare = {name: value for name, value in first.items() if name not in ("seq", "prev", "hash")}
    return [seal(bare | {"number": 99}, ChainLink(0, GENESIS))[0].rstrip(b"\n"), *lines[1:]]


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        (lambda lines: [*lines[:1], lines[1].replace(b'"number":1', b'"number":7'), *lines[2:]], 2),
        (lambda lines: [*lines[:1], lines[1] + b" ", *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (swap, 2),
        (resealed, 2),
        (lambda lines: [*lines[:3], b"{}", *lines[3:]], 4),
        (lambda lines: lines[:-1], 5),
        (lambda lines: [*lines[:-1], lines[-1].replace(b'"number":4', b'"number":7')], 5),
        (lambda lines: [], 1),
    ],
)
async def test_every_change_is_found_at_its_line(
    shelf: Shelf, tamper: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    await shelf.fill(5)
    lines = tamper(shelf.path.read_bytes().splitlines())
    shelf.path.write_bytes(b"".join(line + b"\n" for line in lines))
    broken = verify(shelf.path, shelf.state.head).broken
    assert broken is not None
    assert broken.line == line


@pytest.mark.parametrize("torn", [b'{"what":"te', b"\0" * 4096, b"\xff", b"{}"])
async def test_a_torn_line_is_kept_marked_and_the_chain_goes_on(shelf: Shelf, torn: bytes) -> None:
    await shelf.fill(2)
    with shelf.path.open("ab") as file:
        file.write(torn)
    assert verify(shelf.path, shelf.state.head) == (2, 1, None)
    await shelf.fill(2)
    assert shelf.what() == ["test", "test", "audit-torn", "test", "test"]
    assert torn in shelf.path.read_bytes()
    assert verify(shelf.path, shelf.state.head) == (5, 1, None)
    shelf.path.write_bytes(shelf.path.read_bytes().replace(torn + b"\n", b"other\n"))
    assert verify(shelf.path, shelf.state.head).broken is not None


async def test_a_whole_line_without_its_end_is_ended(shelf: Shelf) -> None:
    await shelf.fill(2)
    shelf.path.write_bytes(shelf.path.read_bytes().rstrip(b"\n"))
    await shelf.fill(1)
    assert verify(shelf.path, shelf.state.head) == (3, 0, None)


async def test_a_cut_off_end_shows_for_good(shelf: Shelf) -> None:
    await shelf.fill(5)
    shelf.path.write_bytes(b"".join(shelf.path.read_bytes().splitlines(keepends=True)[:3]))
    await shelf.fill(2)
    assert "audit-truncated" in shelf.what()
    broken = verify(shelf.path, shelf.state.head).broken
    assert broken is not None
    assert broken.line == 4


async def test_a_deleted_log_shows(shelf: Shelf) -> None:
    await shelf.fill(5)
    shelf.path.unlink()
    await shelf.fill(1)
    assert shelf.what() == ["audit-truncated", "test"]
    assert [orjson.loads(line)["seq"] for line in newest_first(shelf.path)] == [7, 6]  # no number twice
    assert verify(shelf.path, shelf.state.head).broken is not None


async def test_unreadable_lines_at_the_end_show_for_good(shelf: Shelf) -> None:
    await shelf.fill(3)
    lines = shelf.path.read_bytes().splitlines(keepends=True)
    shelf.path.write_bytes(lines[0] + lines[1] + b"nonsense\n")
    await shelf.fill(1)
    broken = verify(shelf.path, shelf.state.head).broken
    assert broken is not None
    assert broken.line == 3


async def test_a_chain_made_anew_up_to_the_head_shows(shelf: Shelf, tmp_path: Path) -> None:
    await shelf.fill(3)
    other = Shelf(tmp_path / "other" / "audit.log")
    other.clock.wall += 1
    await other.fill(3)
    shelf.path.write_bytes(other.path.read_bytes())
    assert verify(shelf.path, shelf.state.head).broken is not None
    await shelf.fill(1)
    assert "audit-damaged" in shelf.what()


async def test_rotation_keeps_the_chain_and_a_bound(shelf: Shelf) -> None:
    for _ in range(8):
        await shelf.fill(5, max_bytes=1000, keep=3)
    older = sorted(shelf.path.parent.glob("audit-*.log"))
    assert len(older) == 3
    result = verify(shelf.path, shelf.state.head, keep=3)
    assert result.broken is None
    assert result.lines < 40
    assert verify(shelf.path, shelf.state.head, keep=4).broken is not None
    log = await shelf.open(keep=3)
    tail = await log.tail(limit=12)
    assert [entry["seq"] for entry in tail] == list(range(40, 28, -1))
    assert [entry["seq"] for entry in await log.tail(2, before=35)] == [34, 33]
    await log.close()
    changed = older[1].read_bytes().replace(b'"number":', b'"nomber":', 1)
    older[1].write_bytes(changed)
    broken = verify(shelf.path, shelf.state.head, keep=3).broken
    assert broken is not None
    assert (broken.file, broken.line) == (older[1].name, 1)


async def test_a_full_disk_loses_nothing_that_fits_the_queue(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = await shelf.open()
    log.record("first")
    await log.flush()
    real, room = os.write, [50]

    def write(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = real(handle, data[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(audit_file.os, "write", write)
    for number in range(WAITING + 5):
        log.record("during", number=number)
    await log.flush()
    assert "No space left" in caplog.text
    assert shelf.what() == ["first"]
    monkeypatch.setattr(audit_file.os, "write", real)
    await log.close()
    assert verify(shelf.path, shelf.state.head) == (1 + WAITING + 1, 0, None)
    assert shelf.what()[-1] == "audit-lost"
    assert orjson.loads(next(newest_first(shelf.path)))["count"] == 5


async def test_where_the_file_may_only_grow_half_a_line_is_marked(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await shelf.open()
    real, room = os.write, [500]

    def write(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = real(handle, data[: room[0]])
        room[0] -= count
        return count

    def refuse(handle: int, size: int) -> None:
        raise PermissionError(1, "append-only")

    monkeypatch.setattr(audit_file.os, "write", write)
    monkeypatch.setattr(audit_file.os, "ftruncate", refuse)
    for number in range(4):
        log.record("during", number=number)
    await log.flush()
    room[0] = 10_000
    await log.close()
    assert verify(shelf.path, shelf.state.head) == (5, 1, None)
    assert sorted(shelf.what()) == ["audit-torn"] + ["during"] * 4


async def test_the_end_is_remembered_now_and_then_not_for_each_entry(shelf: Shelf) -> None:
    log = await shelf.open()
    seqs = []
    for seconds in (0.0, 1.0, 61.0, 1.0):
        shelf.clock.pass_seconds(seconds)
        log.record("tick")
        await log.flush()
        seqs.append(shelf.state.head.seq)
    assert seqs == [1, 1, 3, 3]
    await log.close()
    assert shelf.state.head.seq == 4


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 16])
async def test_lines_are_read_backwards_whatever_the_block(shelf: Shelf, block: int) -> None:
    await shelf.fill(3)
    lines = shelf.path.read_bytes().splitlines()
    assert list(newest_first(shelf.path, block)) == lines[::-1]


async def test_what_comes_while_the_end_is_remembered_is_written_too(shelf: Shelf) -> None:

    async def put(key: str, value: Any) -> None:
        if value["seq"] == 1:
            log.record("meanwhile")

    shelf.state.put = put  # type: ignore[method-assign]
    log = await shelf.open()
    log.record("first")
    await log.flush()
    assert shelf.what() == ["first", "meanwhile"]
    await log.close()
