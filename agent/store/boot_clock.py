"""Boot clock: turns the time since a boot into wall time, once the clock was synchronised in that boot."""

from __future__ import annotations

from collections.abc import Iterable

Row = tuple[int, str, int | None]  # number, boot id of the kernel, wall - boot time in microseconds or None


class BootClock:
    """Boots of this machine. `current` is this boot's number, new (to be written) when the file does not know it."""

    def __init__(self, rows: Iterable[Row], top: int, name: str) -> None:
        self._rows: dict[int, Row] = {row[0]: row for row in rows}
        found = [number for number, known, _ in self._rows.values() if known == name]
        self.is_new = not found
        self.current = found[0] if found else top + 1
        self._rows.setdefault(self.current, (self.current, name, None))

    def row(self) -> Row:
        """Of this boot."""
        return self._rows[self.current]

    def rows(self) -> list[Row]:
        """Of all boots that are known."""
        return list(self._rows.values())

    def shift(self, boot: int) -> int | None:
        """Wall minus boot time in microseconds; None where the clock was never known to be right in that boot."""
        row = self._rows.get(boot)
        return None if row is None else row[2]

    def put(self, row: Row) -> None:
        """A boot, as it is known now."""
        self._rows[row[0]] = row
