from __future__ import annotations

import asyncio
import contextlib

import orjson
import pytest

from gatepost.agent.commands import execution
from gatepost.agent.commands.admission import not_online
from gatepost.agent.commands.dispatcher import MAX_REFUSALS
from gatepost.agent.commands.execution import AT_ONCE, LASTING
from gatepost.agent.commands.model import CommandRequest
from gatepost.agent.core.errors import DeviceBusy, DeviceOffline
from gatepost.agent.devices.health import DeviceCondition, DeviceState, StatusReason
from gatepost.agent.store.command_ledger import CommandLedger
from gatepost.agent.store.database import Database
from gatepost.drivers.driver import CommandFailed
from tests.support.clock import HandClock
from tests.support.waiting import until

from .helpers import BOUND, Office, open_database, settings

READ = {"id": "r-1", "command": "read_now"}


async def test_a_command_is_carried_out_and_answered_in_the_members_of_the_contract(office: Office) -> None:
    response = await office.ask(READ)
    assert orjson.loads(response.as_bytes()) == {
        "id": "r-1",
        "device_id": "oximeter-1",
        "command": "read_now",
        "status": "done",
        "result": {"ok": True},
        "error": None,
        "timestamp": "2026-11-20T10:30:00.000000Z",
    }
    assert office.answers == [orjson.loads(response.as_bytes())]
    assert office.room.done == [("oximeter-1", "read_now", {})]
    assert office.room.sources == ["mqtt:hospital"]
    entry = await office.ledger.find("r-1")
    assert entry is not None
    assert (entry.state, entry.answered, entry.source) == ("done", True, "mqtt:hospital")


@pytest.mark.parametrize(
    "body",
    [
        {"command": "start_monitoring", "parameters": {"interval": 30, "duration": "1h"}},
        {"command": "start_monitoring", "interval": 30, "duration": "1h"},
        {"command": "start_monitoring", "interval": "30s", "parameters": {"duration": 3600}},
    ],
)
async def test_parameters_may_stand_flat(office: Office, body: dict) -> None:
    assert (await office.ask(body)).status == "done"
    assert office.room.done == [("oximeter-1", "start_monitoring", {"interval": 30.0, "duration": 3600.0})]


@pytest.mark.parametrize(
    ("body", "key", "says"),
    [
        (b"", "malformed", "empty"),
        (b"{", "malformed", "not JSON"),
        (b"\xff\xfe", "malformed", "not JSON"),
        (b"[1]", "malformed", "not an object"),
        (b"[" * 5000, "malformed", "not JSON"),
        (b'{"command":"read_now","x":' + b"[" * 600 + b"]" * 600 + b"}", "malformed", "deeply"),
        (b'{"command":"read_now","x":18446744073709551616}', "malformed", "64 bits"),
        (b'{"command":"read_now","x":"' + b"x" * 65536 + b'"}', "malformed", "65536"),
        ({"parameters": {}}, "malformed", "command"),
        ({"command": 7}, "malformed", "command"),
        ({"command": "read_now", "id": True}, "malformed", "id"),
        ({"command": "read_now", "id": "x" * 129}, "malformed", "id"),
        ({"command": "read_now", "parameters": [1]}, "malformed", "parameters"),
        ({"command": "set_interval", "interval": 1, "parameters": {"interval": 2}}, "malformed", "beside"),
        ({"command": "read_now", "issued_at": "yesterday"}, "malformed", "issued_at"),
        ({"command": "read_now", "issued_at": "2026-11-20T10:30:00"}, "malformed", "zone"),
        ({"command": "read_now", "expires_at": 1795170600}, "malformed", "expires_at"),
        ({"command": "read_now", "expires_at": "0001-01-01T00:00:00+14:00"}, "expired", "valid until"),
        ({"command": "explode"}, "unknown-command", "no such command"),
        ({"command": "read_now", "x": 1}, "bad-parameters", "x: unknown parameter"),
        ({"command": "set_interval"}, "bad-parameters", "interval: is missing"),
        ({"command": "set_interval", "interval": True}, "bad-parameters", "interval: expected a duration such as 30s"),
        ({"command": "set_interval", "interval": -1}, "bad-parameters", "interval: expected a duration such as 30s"),
        ({"command": "set_interval", "interval": "soon"}, "bad-parameters", "interval"),
        ({"command": "set_interval", "interval": "2d"}, "bad-parameters", "interval: expected 0 to 86400"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_done(office: Office, body: object, key: str, says: str) -> None:
    response = await office.ask(body)
    assert response.status == "rejected"
    assert response.error is not None
    assert response.error["key"] == key
    assert says in response.error["message"]
    assert response.id
    assert not office.room.done
    assert office.audit.all[-1]["key"] == key
    assert await office.ledger.history() == []


async def test_the_usage_of_a_command_is_the_hint(office: Office) -> None:
    response = await office.ask({"command": "set_log_level", "level": "loud"}, target=None)
    assert response.error is not None
    assert response.error["hint"] == "Parameters of set_log_level: level (debug|error|info|warning)."


async def test_unknown_device(office: Office) -> None:
    assert (await office.ask(READ, target="nobody")).error["key"] == "unknown-device"


async def test_retained_is_refused_and_clearing_one_is_not_answered(office: Office) -> None:
    assert (await office.ask(READ, retained=True)).error["key"] == "retained"
    assert len(office.sent) == 1
    await office.ask(b"", retained=True)
    await office.ask(b"")
    assert len(office.sent) == 1
    assert not office.room.done


async def test_a_message_waits_until_its_command_is_recorded_and_not_for_what_comes_of_it(office: Office) -> None:
    office.slow, office.room.gate = asyncio.Event(), asyncio.Event()
    responses: list[str] = []

    async def take(body: bytes) -> None:
        request = CommandRequest(source="mqtt:hospital", target="oximeter-1", payload=body)
        async with asyncio.timeout(BOUND):
            await office.dispatcher.take(request, lambda response: responses.append(response.status))

    for number in range(2 * MAX_REFUSALS):  # as many as that, and no acknowledgement of an answer
        await take(b'{"id": "n-%d", "command": "nonsense"}' % number)
    await until(lambda: len(office.sent) == MAX_REFUSALS)
    await take(orjson.dumps(READ))
    entry = await office.ledger.find("r-1")
    assert entry is not None
    assert entry.state not in ("done", "failed")
    assert responses == ["rejected"] * 2 * MAX_REFUSALS
    office.room.gate.set()
    await until(lambda: len(office.sent) == MAX_REFUSALS + 1)
    assert orjson.loads(office.sent[-1].payload)["status"] == "done"
    office.slow.set()
    await until(lambda: responses[-1] == "done")


async def test_its_own_responses_are_not_answered(office: Office) -> None:
    """A response topic that is a command topic would make two gateways talk for ever."""
    response = await office.ask(READ)
    echo = await office.ask(response.as_bytes())
    assert echo.error["key"] == "malformed"
    assert len(office.sent) == 1


def test_a_command_for_a_device_that_isnot_there_says_why() -> None:
    wrong = StatusReason("wrong-device", "it shows a scale", "`gatepost scan` finds one")
    refusal = not_online("cuff", DeviceCondition(DeviceState.ERROR, wrong))
    assert (refusal.message, refusal.hint) == ("cuff is in error: it shows a scale", "`gatepost scan` finds one")
    asleep = StatusReason("asleep", "it sleeps", "press its button")
    refusal = not_online("cuff", DeviceCondition(DeviceState.OFFLINE, asleep))
    assert (refusal.message, refusal.hint) == ("cuff is offline: it sleeps", "Send it again when the device is back.")
    assert not_online("cuff", DeviceCondition(DeviceState.OFFLINE)).message == "cuff is offline."


async def test_offline_is_known_before_and_leaves_the_id_free(office: Office) -> None:
    office.room.all["oximeter-1"].state = DeviceState.OFFLINE
    assert (await office.ask(READ)).error["key"] == "device-offline"
    assert (await office.ask({"command": "status"})).status == "done"
    assert (await office.ask({"command": "set_interval", "interval": 5})).status == "done"
    office.room.all["oximeter-1"].state = DeviceState.ONLINE
    assert (await office.ask(READ)).status == "done"


@pytest.mark.parametrize(
    ("error", "status", "key"),
    [
        (CommandFailed("no-finger", "No finger."), "failed", "no-finger"),
        (DeviceOffline("It went away."), "failed", "device-offline"),
        (DeviceBusy("It measures."), "rejected", "busy"),
        (TimeoutError(), "failed", "timeout"),
        (asyncio.CancelledError(), "failed", "cancelled"),
    ],
)
async def test_how_an_execution_ends_is_told(office: Office, error: Exception, status: str, key: str) -> None:
    office.room.error = error
    response = await office.ask(READ)
    assert (response.status, response.error["key"]) == (status, key)
    assert (await office.ledger.find("r-1")).state == status


async def test_an_unexpected_error_is_told_without_its_text(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.room.error = RuntimeError("secret of the device")
    response = await office.ask(READ)
    assert (response.status, response.error["key"]) == ("failed", "failed")
    assert b"secret" not in response.as_bytes()
    assert "failed unexpectedly" in caplog.text


async def test_a_command_that_takes_too_long_fails(database: Database) -> None:
    office = Office(database, settings(timeout=0.05), HandClock())
    office.room.gate = asyncio.Event()
    response = await office.ask(READ)
    assert (response.status, response.error["key"]) == ("failed", "timeout")
    office.room.gate = None
    assert (await office.ask({"command": "read_now"})).status == "done"


async def test_a_device_stays_busy_until_a_command_that_will_not_let_go_has_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "GRACE", 0.01)
    office = Office(database, settings(timeout=0.05), HandClock())
    gate = asyncio.Event()

    async def stubborn(device_id: str, command: str, parameters: dict, source: str) -> dict:
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        return {}

    office.room.execute = stubborn
    try:
        assert (await office.ask(READ)).error["key"] == "timeout"
        assert (await office.ask({"id": "2", "command": "read_now"})).error["key"] == "busy"
    finally:
        gate.set()
    async with asyncio.timeout(BOUND):
        while (await office.ask({"id": "3", "command": "read_now"})).status != "done":
            await asyncio.sleep(0.001)


async def test_one_command_at_a_time_for_each_device(office: Office) -> None:
    office.room.gate = asyncio.Event()
    first = asyncio.ensure_future(office.ask(READ))
    await asyncio.wait_for(office.room.entered.wait(), BOUND)
    assert (await office.ask({"command": "sync_time"})).error["key"] == "busy"
    assert (await office.ask(READ)).error["key"] == "duplicate"
    gate, office.room.gate = office.room.gate, None
    assert (await office.ask({"command": "status"})).status == "done"
    gate.set()
    assert (await first).status == "done"
    assert (await office.ask({"command": "sync_time"})).status == "done"


async def test_the_number_at_work_is_bounded(office: Office) -> None:
    office.room.all |= {f"d{n}": office.room.all["oximeter-1"] for n in range(AT_ONCE)}
    office.room.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(office.ask({"command": "read_now"}, target=f"d{n}")) for n in range(AT_ONCE)]
    async with asyncio.timeout(BOUND):
        while len(office.room.done) < AT_ONCE:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
    assert (await office.ask(READ)).error["key"] == "busy"
    office.room.gate.set()
    assert {response.status for response in await asyncio.gather(*waiting)} == {"done"}
    assert (await office.ask(READ)).status == "done"


async def test_a_lasting_command_is_accepted_then_done(office: Office) -> None:
    office.room.lasting = asyncio.get_running_loop().create_future()
    with office.events.listen() as events:
        assert (await office.ask({"id": "m", "command": "start_monitoring", "duration": 60})).status == "accepted"
        assert (await office.ask({"id": "m", "command": "start_monitoring"})).error["key"] == "duplicate"
        office.room.lasting.set_result({"readings": 12})
        async with asyncio.timeout(BOUND):
            kinds = [(await events.get()).data["status"] for _ in range(2)]
            while (await office.ledger.find("m")).answered is False:
                await asyncio.sleep(0.001)
    assert kinds == ["accepted", "done"]
    assert [(a["id"], a["status"], a["result"]) for a in office.answers if a["status"] != "rejected"] == [
        ("m", "accepted", {"for": 60}),
        ("m", "done", {"readings": 12}),
    ]


async def test_lasting_commands_are_bounded_for_each_target(office: Office) -> None:
    office.room.lasting = asyncio.get_running_loop().create_future()
    for number in range(LASTING):
        assert (await office.ask({"id": str(number), "command": "start_monitoring"})).status == "accepted"
    assert (await office.ask({"id": "x", "command": "start_monitoring"})).error["key"] == "busy"
    office.room.lasting.set_exception(CommandFailed("no-finger", "No finger."))
    async with asyncio.timeout(BOUND):
        while (await office.ledger.find("3")).state != "failed":
            await asyncio.sleep(0.001)
    office.room.lasting = None
    assert (await office.ask({"id": "x", "command": "start_monitoring"})).status == "done"


async def test_cancelling_the_caller_cancels_no_command(office: Office) -> None:
    office.room.gate = asyncio.Event()
    caller = asyncio.ensure_future(office.ask(READ))
    await office.room.entered.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    office.room.gate.set()
    await until(lambda: office.sent)
    assert office.answers[0]["status"] == "done"


async def test_closing_gives_up_what_is_at_work_and_takes_nothing_more(office: Office) -> None:
    office.room.gate = asyncio.Event()
    caller = asyncio.ensure_future(office.ask(READ))
    await office.room.entered.wait()
    await office.dispatcher.close(0.05)
    assert (await caller).status == "outcome-unknown"
    assert (await office.ask({"command": "ping"}, target=None)).error["key"] == "busy"
    assert (await office.ledger.find("r-1")).state == "executing"


async def test_where_the_ledger_cannot_be_written_only_the_harmless_is_done(tmp_path, office: Office) -> None:
    database = await open_database(tmp_path / "other.db")
    broken = Office(database, settings(allow={"*": ["*"]}), HandClock())
    await database.close()
    response = await broken.ask(READ)
    assert (response.status, response.error["key"]) == ("failed", "store-error")
    assert not broken.room.done
    assert (await broken.ask({"command": "ping"}, target=None)).status == "done"
    assert [answer["status"] for answer in broken.answers] == ["failed", "done"]


async def test_a_result_that_is_no_json_is_answered_all_the_same(office: Office) -> None:
    deep: list = []
    for _ in range(300):
        deep = [deep]
    office.room.result = {"deep": deep, 1: float("nan")}
    response = await office.ask(READ)
    assert orjson.loads(response.as_bytes())["status"] == "done"


async def test_a_large_result_is_answered_whole_and_kept_short(office: Office) -> None:
    office.room.result = {"text": "x" * 100_000}
    await office.ask(READ)
    assert len(office.sent[0].payload) > 100_000
    assert len((await office.ledger.find("r-1")).response) < 1000


async def test_the_gateways_own_commands(office: Office) -> None:
    asked = [
        ({"command": "ping"}, ("ping", {})),
        ({"command": "set_log_level", "level": "debug"}, ("set_log_level", {"level": "debug"})),
        ({"command": "disconnect_broker", "broker": "hospital"}, ("disconnect_broker", {"broker": "hospital"})),
        (
            {"command": "resend", "from": "2026-11-20T10:30:00Z", "to": "2026-11-20T10:30:01Z"},
            ("resend", {"since": office.clock.wall, "until": office.clock.wall + 1_000_000, "device": None}),
        ),
        ({"command": "assign_patient", **(one := {"device": "x", "patient": None})}, ("assign_patient", one)),
    ]
    for body, expected in asked:
        response = await office.ask(body, target=None)
        assert response.status == "done", response
        assert (response.device_id, response.gateway_id) == (None, "ward-7")
        assert office.actions.done[-1] == expected
    backwards = {"command": "resend", "from": "2026-11-20T10:30:01Z", "to": "2026-11-20T10:30:00Z"}
    assert (await office.ask(backwards, target=None)).error["key"] == "bad-parameters"


@pytest.mark.parametrize(
    ("topic", "used"),
    [("reply/7", "reply/7"), ("a/#", None), ("a/+/b", None), ("$SYS/x", None), ("", None), ("x" * 2000, None)],
)
async def test_only_a_topic_that_can_be_published_to_is_taken_as_response_topic(
    office: Office, topic: str, used: str | None
) -> None:
    await office.ask(READ, response_topic=topic, correlation=b"\x01")
    assert (office.sent[0].response_topic, office.sent[0].correlation) == (used, b"\x01")


async def test_a_command_that_is_rejected_has_no_say_in_where_the_response_goes(office: Office) -> None:
    office.tokens["scale-2"] = "hush"
    for body, target in (
        (b"no json", "oximeter-1"),
        ({"id": "u", "command": "read_now"}, "scale-2"),
        ({"id": "n", "command": "explode"}, "oximeter-1"),
        (READ, "nobody"),
    ):
        await office.ask(body, target, response_topic="alarms/siren", correlation=b"7")
    office.room.error = DeviceBusy("It is measuring.")
    await office.ask({"id": "b", "command": "read_now"}, response_topic="alarms/siren")
    assert [answer["status"] for answer in office.answers] == ["rejected"] * 5
    assert {sent.response_topic for sent in office.sent} == {None}


async def test_the_ledger_of_a_local_source_owes_no_answer(office: Office) -> None:
    assert (await office.ask(READ, source="cli", trusted=True)).status == "done"
    assert not office.sent
    assert (await office.ledger.find("r-1")).answered


async def test_no_value_token_or_subject_reaches_the_audit(office: Office) -> None:
    office.tokens["scale-2"] = "hush"
    body = {"command": "assign_patient", "device": "x", "patient": "P-001", "token": "hush"}
    assert (await office.ask(body, target=None)).status == "done"
    await office.ask({"command": "P-001 Smith", "P-001": 1}, target=None)
    text = repr(office.audit.all)
    assert "'parameters': ['device', 'patient']" in text
    assert "P-001" not in text
    assert "hush" not in text
    ledger: CommandLedger = office.ledger
    assert "P-001" not in repr(await ledger.history())


async def test_live_views_hear_of_refusals(office: Office) -> None:
    with office.events.listen() as events:
        await office.ask({"id": "r-9", "command": "dance"})
        event = events.get_nowait()
    assert (event.kind, event.data["id"], event.data["status"]) == ("command", "r-9", "rejected")
    assert event.data["error"]["key"] == "unknown-command"
