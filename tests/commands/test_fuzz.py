from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from gatepost.agent.commands.model import CommandRequest
from gatepost.agent.commands.parsed_command import RESERVED, parse

from .helpers import HandClock, Office, open_database, settings

names = st.sampled_from(
    [*sorted(RESERVED), "interval", "duration", "zone", "level", "x", "device_id", "status", "error"]
)
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
known = st.sampled_from(
    ["ping", "status", "read_now", "set_interval", "start_monitoring", "set_log_level", "assign_patient", "resend"]
)
times = st.sampled_from(["2026-11-20T10:30:00Z", "2026-11-20T10:29:00Z", "2026-11-20T10:31:00+00:00", "then"])
values = st.recursive(
    leaves | known | times,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
bodies = st.dictionaries(names, values, max_size=6) | st.fixed_dictionaries(
    {"command": known}, optional={"id": leaves, "parameters": values, "issued_at": times, "interval": leaves}
)


def dumps(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # integers beyond 64 bits
        return repr(body).encode("utf-8", "replace")


payloads = st.binary(max_size=200) | bodies.map(dumps)
requests = st.builds(
    CommandRequest,
    source=st.sampled_from(["mqtt:a", "broadcast:a", "api", "cli", ""]),
    target=st.none() | st.sampled_from(["oximeter-1", "scale-2", "nobody", ""]),
    payload=payloads,
    retained=st.booleans(),
    correlation=st.none() | st.binary(max_size=100),
    response_topic=st.none() | st.text(max_size=10),
    trusted=st.booleans(),
    expires_in=st.none() | st.floats(allow_nan=False),
    redelivered=st.booleans(),
)


@effort(max_examples=60, deadline=None)
@given(st.lists(requests, min_size=1, max_size=8))
def test_whatever_comes_there_is_one_response_and_one_decision(batch: list[CommandRequest]) -> None:
    """Nothing raises; each request is answered or dropped on purpose, is in the audit, and runs at most once."""

    async def run(directory: Path) -> None:
        database = await open_database(directory / "ledger.db")
        office = Office(database, settings(allow={"*": ["*"]}), HandClock())
        try:
            for request in batch:
                before, done = len(office.audit.all), len(office.room.done) + len(office.actions.done)
                response = await office.dispatcher.handle(request)
                body = orjson.loads(response.as_bytes())
                assert body["id"]
                assert body["status"] in ("done", "rejected")
                ran = len(office.room.done) + len(office.actions.done) - done
                assert ran == (body["status"] == "done")
                assert len(office.audit.all) - before == 1 + ran
            rows = await office.ledger.history(limit=1000)
            assert len({row.id for row in rows}) == len(rows) <= len(office.room.done) + len(office.actions.done)
        finally:
            await office.dispatcher.close(0)
            await database.close()

    with TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


@effort(max_examples=500, deadline=None)
@given(requests)
def test_a_payload_is_understood_or_refused(request: CommandRequest) -> None:
    order, refusal = parse(request)
    assert 0 < len(order.id) <= 128
    assert refusal is not None or order.command
    assert parse(request)[0].id == order.id
