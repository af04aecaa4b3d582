"""The newest log lines in memory, bounded in octets, for the API and `gatepost logs`; nothing here that no log has."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from gatepost.agent.core.printable import printable
from gatepost.agent.process.journal import subject

RING_OCTETS = 256 * 1024
LINE_COST = 300  # octets that a line takes beside its text
LONGEST_LINE = 4000
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogLine(NamedTuple):
    """One line; `created` in seconds since 1970, `message` made safe to show."""

    number: int
    created: float
    level: int
    logger: str
    device: str | None
    broker: str | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "time": log_time(self.created),
            "level": level_name(self.level),
            "logger": self.logger,
            "device": self.device,
            "broker": self.broker,
            "message": self.message,
        }


class LogChoice(NamedTuple):
    """Lines that somebody wants to see; None = of any."""

    level: str = "debug"
    device: str | None = None
    words: str | None = None

    def has(self, line: LogLine) -> bool:
        return (
            line.level >= LEVELS[self.level]
            and self.device in (None, line.device)
            and (not self.words or self.words.lower() in f"{line.message} {line.logger}".lower())
        )


class LogRing:
    """Ring of lines, which come from any thread; `listeners` hear of each, in the thread that wrote it."""

    def __init__(self, octets: int = RING_OCTETS) -> None:
        self.listeners: list[Callable[[LogLine], None]] = []
        self._most = octets
        self._lines: deque[LogLine] = deque()
        self._octets = 0
        self._number = 0
        self._lock = threading.Lock()

    def add(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        text += held_back(record)
        about = subject(record)
        with self._lock:
            self._number += 1
            line = LogLine(
                self._number,
                record.created,
                record.levelno,
                record.name,
                about.get("DEVICE"),
                about.get("BROKER"),
                printable(text[:LONGEST_LINE]),
            )
            self._lines.append(line)
            self._octets += len(line.message) + LINE_COST
            while self._octets > self._most:
                self._octets -= len(self._lines.popleft().message) + LINE_COST
        for tell in tuple(self.listeners):
            tell(line)

    def newest(self, limit: int, choice: LogChoice) -> list[LogLine]:
        """Oldest first."""
        with self._lock:
            lines = list(self._lines)
        return list(islice(filter(choice.has, reversed(lines)), limit))[::-1]


def held_back(record: logging.LogRecord) -> str:
    count = getattr(record, "held_back", 0)
    return f" ({count} more like this were held back)" if count else ""


def level_name(level: int) -> str:
    return next((name for name, number in reversed(LEVELS.items()) if level >= number), "debug")


def log_time(created: float) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{seconds}.{int(created % 1 * 1000):03d}Z"
