"""Audit entries of access over the API: reads of patient data and refused changes, counted where they are many."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

SUMMARY = 60.0  # seconds between two counts
KINDS = 200  # different entries that are counted apart; what is over it is counted together

_Fields = tuple[tuple[str, str | None], ...]


class RecordsAudit(Protocol):
    def record(self, what: str, **fields: Any) -> None: ...


class AccessRecords:
    """Access records: the first of a kind at once, those that follow as a count a minute."""

    def __init__(self, audit: RecordsAudit) -> None:
        self._audit = audit
        self._counts: dict[tuple[str, _Fields], int] = {}
        self._others = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, what: str, **fields: str | None) -> None:
        kind = (what, tuple(fields.items()))
        if kind in self._counts:
            self._counts[kind] += 1
        elif len(self._counts) >= KINDS:
            self._others += 1
        else:
            self._counts[kind] = 0
            self._audit.record(what, **fields)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SUMMARY, self.sum_up)

    def sum_up(self) -> None:
        """Record what was counted; kinds that did not come again are forgotten."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for (what, fields), count in self._counts.items():
            if count:
                self._audit.record(what, **dict(fields), count=count)
        if self._others:
            self._audit.record("api-access", count=self._others)
        self._counts = {kind: 0 for kind, count in self._counts.items() if count}
        self._others = 0
        if self._counts:
            self._timer = asyncio.get_running_loop().call_later(SUMMARY, self.sum_up)

    def close(self) -> None:
        self.sum_up()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
