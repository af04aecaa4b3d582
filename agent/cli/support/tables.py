"""Text that fits a terminal: tables whose wide cells move to lines below their row, and lines folded between words.

A word is never split: one that is wider than the terminal stands alone and runs over.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatepost.agent.core.printable import without_colours

GAP = "  "
NOTHING = "-"
BELOW = "    "
SHORT = 24  # letters to which a path is shortened in the middle


def length(text: str) -> int:
    """Letters on the screen, without colours."""
    return len(without_colours(text)) if "\x1b" in text else len(text)


def fold(text: str, width: int | None, indent: int = 0) -> list[str]:
    """Lines of at most `width` letters where words allow it; all but the first indented."""
    if width is None or length(text) <= width:
        return [text]
    found, line = [], ""
    for number, word in enumerate(text.split(" ")):
        if number and line.strip() and length(line) + 1 + length(word) > width:
            found.append(line.rstrip())
            line = " " * indent + word
        else:
            line += (" " if number else "") + word
    return [*found, line.rstrip()]


def shortened(path: str) -> str:
    """A path by its name, and that shortened in the middle, when it is longer than SHORT."""
    if len(path) <= SHORT:
        return path
    name = path.rsplit("/", 1)[-1] or path
    if len(name) <= SHORT:
        return name
    head = (SHORT - 1) // 2
    return f"{name[:head]}…{name[-(SHORT - 1 - head) :]}"


class ColumnPlan:
    """Which columns stand beside each other in `width` letters, and how wide each is.

    Where rows are too wide, paths are shortened; then cells of the columns `below` move to lines of their own: of the
    first two those of a few long rows, else all of the first column named, then those from the right.
    """

    def __init__(
        self,
        columns: Sequence[str],
        cells: list[list[str]],
        width: int | None,
        below: Sequence[str] = (),
        paths: Sequence[str] = (),
    ) -> None:
        self._columns = columns
        self._whole = self._cells = cells
        self.widths = self._natural()
        if width is None or self._total() <= width:
            return
        self._cells = [
            [shortened(cell) if name in paths else cell for name, cell in zip(columns, row, strict=True)]
            for row in cells
        ]
        self.widths = self._natural()
        if len(below) > 1:
            self._share(columns.index(below[0]), columns.index(below[1]), width)
        others = [at for at in range(len(columns) - 1, 0, -1) if columns[at] not in below]
        for at in [*map(columns.index, below), *others]:
            if self._total() > width:
                self._narrow(at, width)

    def _natural(self) -> dict[int, int]:
        return {
            at: max(len(row[at]) for row in [list(self._columns), *self._cells]) for at in range(len(self._columns))
        }

    def _total(self) -> int:
        return sum(self.widths.values()) + len(GAP) * (len(self.widths) - 1)

    def _share(self, one: int, other: int, width: int) -> None:
        """One long cell must not move a whole column below: as many rows as can be stay on one line."""
        room = width - self._total() + self.widths[one] + self.widths[other]
        if room >= self.widths[one] + self.widths[other]:
            return
        least = len(self._columns[other])
        sizes = [(len(row[one]), len(row[other])) for row in self._cells]
        best, chosen = 0, (0, 0)
        for size in {max(len(self._columns[one]), size) for size, _ in sizes}:
            left = room - size
            held = sum(first <= size and second <= left for first, second in sizes)
            if left >= least and held > best:
                best = held
                chosen = size, max(least, *(second for _, second in sizes if second <= left))
        if 2 * best >= len(sizes):
            self.widths[one], self.widths[other] = chosen

    def _narrow(self, at: int, width: int) -> None:
        """As wide as leaves room for the others, if any cell fits into that; else none of it beside the others."""
        room = width - self._total() + self.widths.pop(at)
        told = [len(row[at]) for row in self._cells if row[at] != NOTHING]
        fitting = [size for size in told if size <= room]
        if fitting and len(self._columns[at]) <= room:
            self.widths[at] = max(len(self._columns[at]), *fitting)
            self.widths = dict(sorted(self.widths.items()))

    def heading(self) -> list[tuple[str, str]]:
        return [(self._columns[at], self._columns[at].upper().ljust(width)) for at, width in self.widths.items()]

    def row(self, number: int) -> list[tuple[str, str]]:
        """(column, text of its full width) of the cells that stand beside each other."""
        row = self._cells[number]
        return [
            (self._columns[at], (row[at] if len(row[at]) <= width else "").ljust(width))
            for at, width in self.widths.items()
        ]

    def below(self, number: int) -> list[tuple[str, str]]:
        """(column, text) of the cells that do not, in full."""
        row = self._cells[number]
        return [
            (name, self._whole[number][at])
            for at, name in enumerate(self._columns)
            if row[at] != NOTHING and len(row[at]) > self.widths.get(at, 0)
        ]
