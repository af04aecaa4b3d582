"""Files of a state directory, and what can happen to them while the agent is down; a small disk for them."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

BALLAST = "ballast"


def small_disk(stack: ExitStack, place: Path, size: str = "200m") -> bool:
    """A small disk at `place` until the stack is left; False where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return False
    stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    return True


class StateFiles:
    """The files of a state directory, and what can happen to them."""

    def __init__(self, state: Path, rng: random.Random) -> None:
        self.state, self.rng = state, rng
        self.older: list[Path] = []  # copies of the whole directory
        self.kinds: dict[str, Callable[[str], object]] = {
            "bits": self.bits,
            "block": self.page,
            "cut": self.cut,
            "removed": self.remove,
            "older": self.roll_back,
            "alone older": self.roll_back_alone,
        }

    def keep(self) -> Path:
        """A copy that may come back; where it is."""
        copy = self.state.with_name(f"older-{time.time_ns()}")
        shutil.copytree(self.state, copy, ignore=shutil.ignore_patterns("*.sock", "*damaged-*", BALLAST))
        self.older.append(copy)
        for old in self.older[:-4]:
            shutil.rmtree(old)
        del self.older[:-4]
        return copy

    def bits(self, name: str) -> None:
        path = self._file(name)
        data = bytearray(path.read_bytes())
        for _ in range(self.rng.choice((1, 1, 3, 100))):
            if data:
                data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        path.write_bytes(data)

    def page(self, name: str) -> None:
        """A block that the card gives back as zeros."""
        path = self._file(name)
        data = bytearray(path.read_bytes())
        at = self.rng.randrange(max(1, len(data) // 4096)) * 4096
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        path.write_bytes(data)

    def cut(self, name: str) -> None:
        path = self._file(name)
        with path.open("r+b") as file:
            file.truncate(self.rng.randrange(path.stat().st_size + 1))

    def remove(self, name: str) -> None:
        self._file(name).unlink()

    def roll_back(self, name: str) -> Path | None:
        """An older copy of this file; of the log with the write-ahead log that belonged to it. Where it came from."""
        if not self.older:
            return None
        older = self.rng.choice(self.older)
        for each in (name, f"{name}-wal") if name.endswith(".db") else (name,):
            self._file(each).unlink(missing_ok=True)
            if (older / each).exists():
                shutil.copy(older / each, self.state / each)
        return older

    def roll_back_alone(self, name: str) -> None:
        """An older copy of this file, and nothing else: a database that somebody has copied over a running one's."""
        if self.older and (copy := self.rng.choice(self.older) / name).exists():
            shutil.copy(copy, self.state / name)

    def roll_all_back(self) -> Path | None:
        """An older copy of the whole directory; where it came from."""
        if not self.older:
            return None
        older = self.rng.choice(self.older)
        for path in self.state.iterdir():
            path.unlink() if path.is_file() and path.name != BALLAST else None
        for path in older.iterdir():
            shutil.copy(path, self.state / path.name) if path.is_file() else None
        return older

    def fill(self) -> None:
        """Nothing more can be written on its disk, until it is emptied."""
        with (self.state / BALLAST).open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        with (self.state / BALLAST).open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 10)):
                pass

    def empty(self) -> None:
        (self.state / BALLAST).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.state / name
