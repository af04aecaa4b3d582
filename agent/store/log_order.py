"""Order of the log: a number that damage has changed ends a search as if no more came, and SQLite tells no error.

So whoever has searched a stretch of it asks from the other end as well. What is wrong is raised as any other damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

from gatepost.agent.store.database import Params, Rows, corrupt

Read = Callable[[str, Params], Awaitable[Rows]]


def out_of_order() -> sqlite3.DatabaseError:
    return corrupt("rows of the log are out of order")


def check_rows(seqs: Sequence[int], lo: int, hi: int, newest_first: bool = False) -> None:
    """Numbers that a search of [lo, hi) gave, in its order. Raises sqlite3.DatabaseError."""
    if newest_first:
        seqs = seqs[::-1]
    # Numbers begin with 1: part of a page is zeros where they do not.
    if seqs and not (max(lo, 1) <= seqs[0] and seqs[-1] < hi and all(one < other for one, other in pairwise(seqs))):
        raise out_of_order()


async def check_rest(read: Read, name: str, lo: int, hi: int, **filters: object) -> None:
    """A search found no row in [lo, hi); `name` is the one from the other end. Raises sqlite3.Error."""
    if lo < hi and any(row[0] is not None for row in await read(name, {**filters, "lo": lo, "hi": hi, "limit": 1})):
        raise out_of_order()


async def check_count(read: Read, lo: int, hi: int, least: int | None, most: int | None, urgent: bool = False) -> None:
    """Rows from `least` to `most` were counted in [lo, hi). Raises sqlite3.Error."""
    check_rows([] if least is None else [least], lo, hi)
    await check_rest(read, "reading_last_urgent" if urgent else "reading_last", lo if most is None else most + 1, hi)


async def count_of(read: Read, lo: int, hi: int, urgent: bool = False) -> int:
    """How many rows of one track are in [lo, hi). Raises sqlite3.Error."""
    count, least, most = (await read("reading_count_urgent" if urgent else "reading_count", (lo, hi)))[0]
    await check_count(read, lo, hi, least, most, urgent)
    return int(count)


async def first_of(read: Read, lo: int, hi: int) -> int | None:
    """The lowest number in [lo, hi). Raises sqlite3.Error."""
    found: int | None = (await read("reading_first", {"lo": lo, "hi": hi}))[0][0]
    await check_rest(read, "reading_last", lo, hi if found is None else found)
    return found


async def last_of(read: Read, lo: int, hi: int) -> int | None:
    """The highest number in [lo, hi). Raises sqlite3.Error."""
    found: int | None = (await read("reading_last", {"lo": lo, "hi": hi}))[0][0]
    await check_rest(read, "reading_first", lo if found is None else found + 1, hi)
    return found


async def is_ordered(read: Read, lo: int, hi: int) -> bool:
    """Whether no row of [lo, hi) is out of order: for whoever deletes them. Raises sqlite3.Error."""
    wrong, least, most, last = (await read("reading_order", {"lo": lo, "hi": hi}))[0]
    return not wrong and (last is None or last < lo if least is None else lo <= least and last == most)
