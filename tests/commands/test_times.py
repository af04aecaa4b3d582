from __future__ import annotations

import pytest

from gatepost.agent.commands.expiry import AHEAD, parse_time, too_old
from gatepost.agent.core.clock import US, Stamp
from gatepost.drivers.driver import Command

from .helpers import T0, Office

NOW = Stamp(T0, 0, True)
ADRIFT = Stamp(T0, 0, False)


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("2026-11-20T10:30:00Z", T0),
        ("2026-11-20t10:30:00z", T0),
        ("2026-11-20T12:30:00+02:00", T0),
        ("2026-11-20T10:30:00.000001Z", T0 + 1),
        ("2026-11-20T10:30:00.123456789Z", T0 + 123456),
        ("1969-12-31T23:59:59Z", -US),
    ],
)
def test_times_are_read(text: str, wall: int) -> None:
    assert parse_time(text) == wall


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-20", "2026-11-20T10:30:00", "2026-11-20T10:30:60Z", "9" * 99, "2026-13-01T00:00:00Z"]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zone|expected"):
        parse_time(text)


@pytest.mark.parametrize(
    ("now", "issued", "expires", "left", "good"),
    [
        (NOW, None, None, None, True),
        (NOW, None, None, 1.0, True),
        (NOW, None, None, 0.0, False),
        (NOW, T0, T0 + 1, 0.0, True),
        (NOW, None, T0 + 1, None, True),
        (NOW, None, T0, None, False),
        (NOW, T0 - 59 * US, None, None, True),
        (NOW, T0 - 60 * US, None, None, False),
        (NOW, T0 - 3600 * US, T0 + 1, None, True),
        (NOW, T0 - 1, T0 - 1, None, False),
        (NOW, T0 + AHEAD, None, None, True),
        (NOW, T0 + AHEAD + 1, None, None, False),
        (NOW, T0 + AHEAD + 1, T0 + 2 * AHEAD, None, False),
        (ADRIFT, T0 + 100 * AHEAD, None, None, True),
        (ADRIFT, T0 - 60 * US, None, None, False),
    ],
)
def test_validity(now: Stamp, issued: int | None, expires: int | None, left: float | None, good: bool) -> None:
    refusal = too_old(now, issued, expires, 60.0, left)
    assert (refusal is None) is good
    assert good or (refusal is not None and refusal.key == "expired")


@pytest.mark.parametrize(
    ("late", "told"),
    [(1.25, "1.2 s"), (119.0, "119.0 s"), (600.0, "10 min"), (51072.1, "14 h"), (10 * 86400.0, "10 days")],
)
def test_how_late_it_is_in_plain_words(late: float, told: str) -> None:
    refusal = too_old(NOW, None, T0 - round(late * US), 60.0, None)
    assert refusal is not None
    assert refusal.message == f"The command was valid until {told} ago."


async def test_a_device_that_carries_out_commands_itself_is_told_how_long_they_are_valid(office: Office) -> None:
    office.room.any_command = lambda device_id, name, /: Command(name, "", free=True)
    times = {"issued_at": "2026-11-20T10:29:50.000000Z", "expires_at": "2026-11-20T10:30:20.000000Z"}
    assert (await office.ask({"id": "s", "command": "set_led", "on": True, **times})).status == "done"
    ((_, _, sent),) = office.room.done
    assert (sent["issued_at"], sent["expires_at"]) == tuple(times.values())
    assert sent["expires_in"] == pytest.approx(20.0)


async def test_an_expired_command_leaves_no_trace_but_in_the_audit(office: Office) -> None:
    body = {"id": "e", "command": "read_now", "expires_at": "2026-11-20T10:29:59Z"}
    assert (await office.ask(body)).error["key"] == "expired"
    assert not office.room.done
    assert await office.ledger.find("e") is None
    assert office.audit.all[-1]["key"] == "expired"
    assert (await office.ask(body | {"expires_at": "2026-11-20T10:30:01Z"})).status == "done"
