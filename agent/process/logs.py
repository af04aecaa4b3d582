"""Log lines on one stream, or as entries of the journal where it listens: text or JSON, repeats held back.

Nothing here or elsewhere logs a payload, a value of a reading, or a secret.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import orjson

from gatepost.agent.core.printable import printable
from gatepost.agent.process.journal import SOCKET, JournalSocket
from gatepost.agent.process.log_ring import LEVELS, LogRing, held_back, log_time

# Loggers of libraries: their debug lines cost more than the work they tell of, and may show payloads.
QUIET = {
    "aiosqlite": logging.WARNING,
    "amqtt": logging.WARNING,
    "asyncio": logging.WARNING,
    "gmqtt": logging.CRITICAL,  # the uplink says the same in its own words
    "pymodbus": logging.WARNING,
    "uvicorn": logging.ERROR,  # the listener says itself what it refuses
    "zeroconf": logging.WARNING,
}

BURST = 5  # the same line so often ...
WINDOW = 60.0  # ... in so many seconds; the rest is counted
REMEMBERED = 512  # different lines
LONGEST_NAME = 256  # letters by which a name is known again

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "held_back"}


class RepeatFilter(logging.Filter):
    """Lets BURST lines of one kind through in WINDOW seconds; the first one of the next window carries the count.

    The same kind: one logger, level and sentence about the same names; its numbers may differ.
    Debug is never held back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[tuple[Any, ...], list[float]] = {}  # kind -> [window began, lines in it]

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return True
        kind = _kind(record)
        now = self._monotonic()
        spell = self._seen.pop(kind, None)
        if spell is None or now - spell[0] >= WINDOW:
            record.held_back = max(0, int(spell[1]) - BURST) if spell else 0
            spell = [now, 0]
        spell[1] += 1
        self._seen[kind] = spell
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return spell[1] <= BURST


def _kind(record: logging.LogRecord) -> tuple[Any, ...]:
    args = record.args if isinstance(record.args, tuple) else ()
    names = tuple(str(arg)[:LONGEST_NAME] for arg in args if not isinstance(arg, int | float))
    return (record.name, record.levelno, str(record.msg), names)


class TextFormatter(logging.Formatter):
    """`2026-11-20T10:30:00.123Z warning gatepost.agent.store: sentence`; the journal adds time and level itself. What
    others put into a sentence stays within its line."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        lines = f"{record.name}: {printable(record.getMessage())}{held_back(record)}"
        if trace := _trace(record):
            lines += "\n" + printable(trace, "\n")
        return lines if self._journal else f"{log_time(record.created)} {record.levelname.lower():7} {lines}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; then the fields given as `extra`, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": log_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if count := getattr(record, "held_back", 0):
            entry["held_back"] = count
        if trace := _trace(record):
            entry["traceback"] = trace
        return printable(orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


class _Handler(logging.StreamHandler[TextIO]):
    """A log that cannot be written is counted, and harms nobody."""

    lost = 0

    def __init__(self, stream: TextIO, journal: JournalSocket | None, ring: LogRing) -> None:
        super().__init__(stream)
        self._journal = journal
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        """The journal's own entry; a line with its priority on the stream where it does not take that."""
        try:
            self._ring.add(record)
        except Exception:
            self.handleError(record)
        if self._journal is None:
            super().emit(record)
            return
        try:
            text, priority = self.format(record), _priority(record)
            if not self._journal.send(record, text, priority):
                lines = (f"<{priority}>{line}" for line in text.splitlines())
                self.stream.write("\n".join(lines) + self.terminator)
                self.flush()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self.lost += 1


class AgentLogs:
    """The process's log: set up once, its level and style changeable while it runs, `close` undoes it."""

    def __init__(
        self,
        stream: TextIO,
        env: Mapping[str, str],
        *,
        level: str = "info",
        style: str = "text",
        monotonic: Callable[[], float] = time.monotonic,
        journal: Path = SOCKET,
    ) -> None:
        self._journal = goes_to_journal(stream, env)
        self._root = logging.getLogger()
        self._before = self._root.level
        self.ring = LogRing()
        self._handler = _Handler(stream, JournalSocket(journal) if self._journal else None, self.ring)
        self._handler.addFilter(RepeatFilter(monotonic))
        self._root.addHandler(self._handler)
        for name, least in QUIET.items():
            logging.getLogger(name).setLevel(least)
        self.level = level
        self.apply(level, style)

    def apply(self, level: str, style: str) -> None:
        """Level: debug, info, warning, error; style: text, json."""
        self._handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(self._journal))
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Raises KeyError for an unknown level."""
        self._root.setLevel(LEVELS[level])
        self.level = level

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._handler.lost

    def close(self) -> None:
        self._root.removeHandler(self._handler)
        self._handler.close()
        self._root.setLevel(self._before)


def goes_to_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Whether `stream` is the socket that systemd named in $JOURNAL_STREAM as `device:inode`."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _priority(record: logging.LogRecord) -> int:
    """As syslog(3) numbers them."""
    if record.levelno >= logging.WARNING:
        return 4 if record.levelno < logging.ERROR else 3
    return 7 if record.levelno <= logging.DEBUG else 6


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return logging.Formatter().formatException(record.exc_info)
