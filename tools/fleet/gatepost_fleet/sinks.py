"""Catalogue of sinks, by the scheme of the address."""

from __future__ import annotations

from pathlib import Path

from gatepost_fleet.ingestion import Sink
from gatepost_fleet.postgres_sink import PostgresSink
from gatepost_fleet.sqlite_sink import SqliteSink


def make_sink(url: str) -> Sink:
    """ValueError for a scheme that is not known."""
    scheme, _, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return PostgresSink(url)
    if scheme == "sqlite":
        return SqliteSink(Path(rest))
    raise ValueError(f"sink {scheme!r} is not known; there are postgresql, and sqlite for trials")
