"""Commands over MQTT and the API, through the whole agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio

from gatepost.client import GatewayError
from tests.uplink.broker import running

from .rig import LATEST, Agent, Lines, Listener, Mosquitto, agent, lines, listening, settings_for, twin, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class World(NamedTuple):
    agent: Agent
    there: Listener
    device: Lines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("commands")
    allow = {
        "probe": ["ping", "status", "read_now", "start_monitoring", "stop_monitoring", "set_interval"],
        "locked": ["status", "set_interval"],
        "gateway": ["*"],
    }
    async with running(Mosquitto(folder / "m")) as broker, twin(folder / "tty") as (device, _):
        devices = {"probe": lines(folder / "tty"), "locked": lines(folder / "nowhere", token="open sesame")}
        settings = settings_for(folder, broker.url, devices, commands={"allow": allow, "respond_to": ["answers/#"]})
        async with listening(broker.url) as there, agent(folder, settings) as one:
            await one.device("probe", "online")
            await until(lambda: there.on("devices/probe/status"), LATEST)
            yield World(one, there, device)


async def answer(world: World, topic: str, wanted: str) -> dict[str, Any]:
    """The answer with this id."""
    await world.agent.until(lambda: any(found["id"] == wanted for found in world.there.on(topic)))
    return next(found for found in world.there.on(topic) if found["id"] == wanted)


async def ask(world: World, body: dict[str, Any], device: str = "probe", **options: Any) -> dict[str, Any]:
    topic = "gateways/gw" if device == "gateway" else f"devices/{device}"
    world.there.publish(f"{topic}/commands", orjson.dumps(body), **options)
    return await answer(world, f"{topic}/responses", body["id"])


async def test_done(world: World) -> None:
    got = await ask(world, {"id": "c1", "command": "set_interval", "parameters": {"interval": 0.05}})
    assert (got["status"], got["error"], got["device_id"], got["command"]) == ("done", None, "probe", "set_interval")
    got = await ask(world, {"id": "c2", "command": "set_interval", "interval": 0})
    assert got["status"] == "done"


@pytest.mark.parametrize(
    ("id_", "device", "body", "key"),
    [
        ("r1", "probe", {"command": "reboot"}, "unknown-command"),
        ("r2", "probe", {"command": "set_interval", "parameters": {"interval": "often"}}, "bad-parameters"),
        ("r3", "probe", {"command": "set_interval"}, "bad-parameters"),
        ("r4", "probe", {"parameters": {}}, "malformed"),
        ("r5", "locked", {"command": "status"}, "unauthenticated"),
        ("r6", "locked", {"command": "status", "token": "open"}, "unauthenticated"),
        ("r7", "locked", {"command": "read_now", "token": "open sesame"}, "not-allowed"),
        ("r8", "nobody", {"command": "status"}, "unknown-device"),
        ("r9", "probe", {"command": "status", "expires_at": "2020-01-01T00:00:00Z"}, "expired"),
        ("r10", "probe", {"command": "status", "issued_at": "2020-01-01T00:00:00Z"}, "expired"),
    ],
)
async def test_rejected(world: World, id_: str, device: str, body: dict[str, Any], key: str) -> None:
    got = await ask(world, {"id": id_, **body}, device)
    assert got["status"] == "rejected"
    assert got["error"]["key"] == key
    assert got["error"]["message"]
    assert got["result"] in (None, {})


async def test_a_token_that_is_right(world: World) -> None:
    got = await ask(world, {"id": "t1", "command": "status", "token": "open sesame"}, "locked")
    assert got["status"] == "done"


async def test_what_is_no_json_is_answered_under_the_correlation_data(world: World) -> None:
    world.there.publish("devices/probe/commands", b"\xff{", correlation_data=b"\x01\x02")
    got = await answer(world, "devices/probe/responses", "0102")
    assert got["error"]["key"] == "malformed"


async def test_a_retained_command_is_refused(world: World) -> None:
    """It is seen as retained by those who subscribe after it: at the next connection."""
    body = {"id": "ret", "command": "set_interval", "parameters": {"interval": 0}}
    await world.agent.client.disconnect_broker("a")
    world.there.publish("devices/probe/commands", orjson.dumps(body), retain=True)
    await until(lambda: any(m.payload == orjson.dumps(body) for m in world.there.messages))
    await world.agent.client.connect_broker("a")
    got = await answer(world, "devices/probe/responses", "ret")
    assert (got["status"], got["error"]["key"]) == ("rejected", "retained")
    world.there.publish("devices/probe/commands", b"", retain=True)


async def test_a_repeat_is_told_and_not_carried_out_again(world: World) -> None:
    body = {"id": "twice", "command": "set_interval", "parameters": {"interval": 0}}
    assert (await ask(world, body))["status"] == "done"
    world.there.publish("devices/probe/commands", orjson.dumps(body))
    topic = "devices/probe/responses"
    await world.agent.until(lambda: sum(found["id"] == "twice" for found in world.there.on(topic)) == 2)
    second = [found for found in world.there.on(topic) if found["id"] == "twice"][1]
    assert (second["status"], second["error"]["key"]) == ("rejected", "duplicate")
    assert second["result"]["earlier"]["status"] == "done"


async def test_response_topic_and_correlation_data(world: World) -> None:
    body = orjson.dumps({"command": "status"})
    options = {"response_topic": "answers/for/me", "correlation_data": b"\xca\xfe"}
    world.there.publish("devices/probe/commands", body, **options)
    await world.agent.until(lambda: world.there.on("answers/for/me"))
    message = next(m for m in world.there.messages if m.topic == "answers/for/me")
    assert message.properties["correlation_data"] == b"\xca\xfe"
    got = orjson.loads(message.payload)
    assert (got["status"], got["id"]) == ("done", "cafe")


async def test_a_response_topic_that_is_not_allowed_is_not_used(world: World) -> None:
    for number, topic in enumerate(("alarms/siren", "devices/probe/data", "devices/locked/replies")):
        got = await ask(world, {"id": f"no{number}", "command": "status"}, response_topic=topic)
        assert got["status"] == "done"
    await ask(world, {"id": "bad", "command": "explode"}, response_topic="answers/for/me")
    world.there.publish(
        "devices/probe/commands",
        orjson.dumps({"id": "ok", "command": "status"}),
        response_topic="devices/probe/replies/7",
    )
    await answer(world, "devices/probe/replies/7", "ok")
    assert not {"alarms/siren", "devices/locked/replies"} & {message.topic for message in world.there.messages}
    assert "bad" not in {found["id"] for found in world.there.on("answers/for/me")}


async def test_a_message_that_expired_on_its_way(world: World) -> None:
    old = (datetime.now(UTC) - timedelta(seconds=90)).isoformat().replace("+00:00", "Z")
    got = await ask(world, {"id": "old", "command": "status", "issued_at": old}, message_expiry=3600)
    assert got["error"]["key"] == "expired"


async def test_the_gateway_s_own(world: World) -> None:
    assert (await ask(world, {"id": "g1", "command": "ping"}, "gateway"))["result"]["pong"] is True
    got = await ask(world, {"id": "g2", "command": "status"}, "gateway")
    assert got["result"]["devices"] == {"probe": "online", "locked": "offline"}
    got = await ask(world, {"id": "g3", "command": "connect_broker", "broker": "nowhere"}, "gateway")
    assert got["status"] == "failed"
    got = await ask(world, {"id": "g4", "command": "reload"}, "gateway")
    assert got["result"]["applied"] is True


async def test_a_broadcast(world: World) -> None:
    world.there.publish("organizations/org/broadcast", orjson.dumps({"id": "b1", "command": "ping"}))
    got = await answer(world, "gateways/gw/responses", "b1")
    assert got["status"] == "done"


async def test_a_patient_is_assigned_and_stays_so(world: World) -> None:
    readings = world.there
    params = {"device": "probe", "patient": "P-77"}
    got = await ask(world, {"id": "p1", "command": "assign_patient", "parameters": params}, "gateway")
    assert got["status"] == "done"
    await world.agent.until(lambda: readings.readings("probe")[-1].get("patient_id") == "P-77")
    await world.agent.stop()
    await world.agent.start()
    seen = len(readings.readings("probe"))
    await world.agent.until(lambda: len(readings.readings("probe")) > seen + 3)
    assert readings.readings("probe")[-1]["patient_id"] == "P-77"
    params["patient"] = None  # type: ignore[assignment]
    assert (await ask(world, {"id": "p2", "command": "assign_patient", "parameters": params}, "gateway"))[
        "status"
    ] == "done"
    await world.agent.until(lambda: "patient_id" not in readings.readings("probe")[-1])


async def test_a_patient_that_cannot_be_assigned_now_is_not_assigned_later(world: World) -> None:
    world.agent.drop("90-bad.yaml", "nonsense: 1\n")
    params = {"device": "probe", "patient": "P-88"}
    got = await ask(world, {"id": "p3", "command": "assign_patient", "parameters": params}, "gateway")
    assert got["status"] == "failed"
    assert "nonsense" in got["error"]["message"]
    (world.agent.drops / "90-bad.yaml").unlink()
    assert (await world.agent.client.reload())["applied"]
    seen = len(world.there.readings("probe"))
    await world.agent.until(lambda: len(world.there.readings("probe")) > seen + 3)
    assert "patient_id" not in world.there.readings("probe")[-1]


async def test_resend(world: World) -> None:
    await world.agent.until(lambda: len(set(world.there.numbers("probe"))) >= 40)
    world.device.quiet = True
    await world.agent.until(lambda: world.device.n in world.there.numbers("probe"))
    await world.agent.delivered()  # the backlog's may come after live ones
    first = (await world.agent.client.data("probe", limit=40))["readings"][-1]["timestamp"]
    stored = (await world.agent.client.data("probe", since=first, limit=1000))["readings"]
    before = len(world.there.readings("probe"))
    got = await ask(
        world, {"id": "rs1", "command": "resend", "parameters": {"from": first, "device": "probe"}}, "gateway"
    )
    assert got["status"] == "done"
    assert got["result"]["readings"] == len(stored) >= 40
    wanted = {reading["id"] for reading in stored}
    await world.agent.until(
        lambda: wanted <= {r["id"] for r in world.there.readings("probe")[before:] if r["replayed"]}
    )
    world.device.quiet = False


async def test_the_command_line(world: World) -> None:
    got = await world.agent.cli("send", "probe", "set_interval", "interval=0")
    assert got["status"] == "done"
    backlog = await world.agent.cli("backlog")
    assert backlog


async def test_the_audit_log_tells_of_all_and_names_no_patient(world: World) -> None:
    assert (await ask(world, {"id": "au1", "command": "status", "token": "open sesame"}, "locked"))["status"] == "done"
    await world.agent.stop()
    await world.agent.start()
    entries = (await world.agent.client.audit(limit=1000))["audit"]
    assert {"started", "stopped"} <= {entry["what"] for entry in entries}
    text = (world.agent.state / "audit.log").read_text("utf-8")
    assert "P-77" not in text
    assert "open sesame" not in text
    assert "open sesame" not in world.agent.tail(1_000_000)


async def test_the_api_answers_about_what_is_not_there(world: World) -> None:
    with pytest.raises(GatewayError) as wrong:
        await world.agent.client.device("nobody")
    assert (wrong.value.key, wrong.value.status) == ("not-found", 404)


async def test_killed_in_the_middle_the_outcome_is_unknown(world: World) -> None:
    """read_now waits for a reading, which does not come."""
    world.device.quiet = True
    await world.agent.until(lambda: world.device.n in world.there.numbers("probe"))  # none is on its way any more
    world.there.publish("devices/probe/commands", orjson.dumps({"id": "mid", "command": "read_now"}))

    async def executing() -> bool:
        ledger = (await world.agent.client.commands("probe"))["commands"]
        return any((one["id"], one["status"]) == ("mid", "executing") for one in ledger)

    async with asyncio.timeout(LATEST):
        while not await executing():
            await asyncio.sleep(0.02)
    await world.agent.kill()
    await world.agent.start()
    got = await answer(world, "devices/probe/responses", "mid")
    assert got["status"] == "outcome-unknown"
    again = await ask(world, {"id": "mid2", "command": "status"})
    assert again["status"] == "done"
    world.there.publish("devices/probe/commands", orjson.dumps({"id": "mid", "command": "read_now"}))
    topic = "devices/probe/responses"
    await world.agent.until(lambda: sum(found["id"] == "mid" for found in world.there.on(topic)) == 2)
    assert world.there.on(topic)[-1]["error"]["key"] == "duplicate"
    world.device.quiet = False
