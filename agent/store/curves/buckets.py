"""Buckets of time: how many numbers came in each, the least, the most, their sum, and the last one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Generic, TypeVar

import orjson

Curve = TypeVar("Curve", bound=Hashable)

SAFE_INTEGER = 1 << 53  # beyond it a double is not exact, and SQLite takes no more than 63 bits


class BucketCell:
    """One bucket of one value; `last` is the sequence number of `newest`."""

    __slots__ = ("count", "last", "least", "most", "newest", "total")

    def __init__(self, count: int, least: float, most: float, total: float, last: int, newest: float) -> None:
        self.count = count
        self.least = least
        self.most = most
        self.total = total
        self.last = last
        self.newest = newest

    def join(self, count: int, least: float, most: float, total: float, last: int, newest: float) -> None:
        """Take in another part of the same bucket."""
        self.count += count
        self.total += total
        if least < self.least:
            self.least = least
        if most > self.most:
            self.most = most
        if last > self.last:
            self.last, self.newest = last, newest

    def row(self) -> tuple[int, float, float, float, int, float]:
        """count, least, most, total, last, newest."""
        return self.count, self.least, self.most, self.total, self.last, self.newest


class BucketTable(Generic[Curve]):
    """Cells of many curves by the start of their bucket, in seconds since 1970."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.curves: dict[Curve, dict[int, BucketCell]] = {}

    def add(
        self, curve: Curve, second: int, count: int, least: float, most: float, total: float, last: int, newest: float
    ) -> None:
        """`second`: any one of the bucket."""
        cells = self.curves.get(curve)
        if cells is None:
            cells = self.curves[curve] = {}
        start = second - second % self.step
        cell = cells.get(start)
        if cell is None:
            cells[start] = BucketCell(count, least, most, total, last, newest)
        else:
            cell.join(count, least, most, total, last, newest)

    def add_all(self, curve: Curve, second: int, values: Sequence[float], last: int) -> None:
        """Numbers of one bucket, the newest first."""
        self.add(curve, second, len(values), min(values), max(values), sum(values), last, values[0])

    def coarser(self, step: int) -> BucketTable[Curve]:
        """The same in buckets of `step` seconds, a multiple of those here."""
        table = BucketTable[Curve](step)
        for curve, cells in self.curves.items():
            for start, cell in cells.items():
                table.add(curve, start, *cell.row())
        return table

    @property
    def size(self) -> int:
        """How many cells there are."""
        return sum(map(len, self.curves.values()))


def numbers(body: bytes) -> Iterator[tuple[str, float]]:
    """The numbers of a stored body, by name; none of a waveform."""
    values = orjson.loads(body)
    if "samples" in values:
        return
    for name, value in values.items():
        if _is_number(value):
            yield name, value


def columns(bodies: Sequence[bytes], seqs: Sequence[int]) -> Iterator[tuple[str, Sequence[float], int]]:
    """Of many bodies, the newest first: a name, the numbers of it, and the sequence number of the newest of them.

    The same as `numbers` of each, several times as fast: most values are numbers in every body of a series.
    """
    text = b"[%b]" % b",".join(bodies)
    rows: list[dict[str, Any]] = orjson.loads(text)
    if b'"samples"' in text:
        rows = [{} if "samples" in row else row for row in rows]
    for name, values in _by_name(rows):
        kinds = set(map(type, values))
        if kinds == {int}:
            least, most = min(values), max(values)
            if least > SAFE_INTEGER or most < -SAFE_INTEGER:  # nanoseconds since 1970, as a rule
                continue
            if least >= -SAFE_INTEGER and most <= SAFE_INTEGER:
                yield name, values, seqs[0]
                continue
        if kinds == {float}:
            yield name, values, seqs[0]
        elif kept := [(seq, value) for seq, value in zip(seqs, values, strict=True) if _is_number(value)]:
            yield name, [value for _, value in kept], kept[0][0]


def _by_name(rows: list[dict[str, Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Each name with the values of all rows, None where a row has none."""
    names = tuple(rows[0])
    if len(names) > 1 and sum(map(len, rows)) == len(names) * len(rows):  # all have the same names, as a rule
        try:
            yield from zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True)
            return
        except KeyError:
            pass
    for name in dict.fromkeys(chain.from_iterable(rows)):
        yield name, [row.get(name) for row in rows]


def _is_number(value: object) -> bool:
    if type(value) is int:  # a bool is an int, too
        return -SAFE_INTEGER <= value <= SAFE_INTEGER
    return type(value) is float
