"""Uplinks on a real log against a real mosquitto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.core.errors import NotConnected, NotTaken, UplinkError
from gatepost.agent.settings.model import BacklogSettings, BrokerSettings, RouteRule, SecretRef, TlsSettings
from tests.support.failing import failing
from tests.support.ports import free_port
from tests.support.waiting import until

from .broker import Authority, FakeBroker, Mosquitto, running
from .gateway import Gateway, listening

pytestmark = pytest.mark.usefixtures("soon")


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_readings_arrive(gw: Gateway, broker: Mosquitto, protocol: Any, qos: Any) -> None:
    async with listening(broker.url, protocol="5") as there:
        await gw.apply(a=BrokerSettings(broker.url, protocol=protocol, qos=qos))
        uplink = await gw.state("connected")
        await gw.put(*range(50))
        await until(lambda: len(there.readings()) >= 50)
        assert there.numbers() == list(range(50))
        await gw.delivered()
        assert uplink.as_dict()["protocol"] == ("3.1.1" if protocol == "3.1.1" else "5")
        first = next(m for m in there.messages if m.topic == "devices/d/data")
        assert first.qos == min(qos, 1)  # the listener subscribed with 1
        assert uplink.counters.delivered == 50
        if protocol != "3.1.1":
            assert first.properties["content_type"] == "application/json"
            assert dict(first.properties["user_property"])["id"] == there.readings()[0]["id"]


async def test_after_an_outage_the_backlog_comes_beside_live(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url, window=20))
    await gw.deliver(*range(10))
    broker.kill()
    await gw.state("waiting")
    await gw.put(*range(100, 2100))
    assert await gw.owes() == 2000
    entry = (await gw.store.backlog.undelivered())[0]
    assert entry["oldest"] is not None
    await gw.uplink().disconnect()  # until the listener is there
    await broker.start()
    async with listening(broker.url) as there:
        await gw.uplink().connect()
        await gw.state("connected")
        for number in range(5000, 5200):
            await gw.put(number)
        await until(lambda: len(set(there.numbers())) == 2200)
        readings = there.readings()
    old = [r["n"] for r in readings if r["replayed"]]
    new = [r["n"] for r in readings if not r["replayed"]]
    assert old == sorted(old)
    assert new == sorted(new)
    assert set(range(100, 2100)) <= set(old)
    assert set(new) <= set(range(5000, 5200))


async def test_will_status_and_goodbye(gw: Gateway, broker: Mosquitto, tmp_path: Path) -> None:
    gw.statuses = {"d": {"device_id": "d", "status": "online"}, "e": {"device_id": "e", "status": "offline"}}
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url))
        uplink = await gw.state("connected")
        status = "gateways/gw/status"
        await until(lambda: [s["status"] for s in there.on(status)] == ["online"])
        await until(lambda: there.on("devices/e/status") and there.on("devices/d/status"))
        uplink.device_status("d", {"device_id": "d", "status": "error"})
        await until(lambda: [s["status"] for s in there.on("devices/d/status")] == ["online", "error"])
        assert uplink._connection is not None
        uplink._connection._stream.abort()  # as if the cable was cut
        await until(lambda: [s["status"] for s in there.on(status)] == ["online", "offline", "online"])
        await gw.uplinks.close()
        await until(lambda: len(there.on(status)) == 4)
        assert there.on(status)[-1]["reason"] == "stopped"
    async with listening(broker.url, client_id="later") as later:
        await until(lambda: later.on(status))
        retained = {m.topic for m in later.messages if m.retain}
        assert retained == {status, "devices/d/status", "devices/e/status"}
        assert later.on(status)[0]["status"] == "offline"


def online(*devices: str) -> dict[str, dict[str, Any]]:
    return {name: {"device_id": name, "status": "online", "timestamp": "2026-11-20T10:30:00Z"} for name in devices}


async def remembered(url: str, *topics: str) -> list[tuple[str, str | None]]:
    """Status and reason that the broker keeps on each topic."""
    async with listening(url, client_id="later") as later:
        await until(lambda: all(later.on(topic) for topic in topics))
        return [(each["status"], each.get("reason")) for topic in topics for each in later.on(topic)[:1]]


async def test_a_device_that_leaves_a_broker_is_offline_there_until_it_comes_back(
    gw: Gateway, broker: Mosquitto
) -> None:
    gw.statuses = online("d", "kept")
    topic = "devices/d/status"
    said = lambda: [(each["status"], each.get("reason")) for each in there.on(topic)]  # noqa: E731
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url))
        await until(lambda: len(said()) == 1 and bool(there.on("devices/kept/status")))
        await gw.apply({"d": ["b"]}, a=BrokerSettings(broker.url))
        await until(lambda: len(said()) == 2)
        await gw.apply(a=BrokerSettings(broker.url))
        await until(lambda: len(said()) == 3)
        assert said() == [("online", None), ("offline", "elsewhere"), ("online", None)]
        assert len(there.on("devices/kept/status")) == 1


async def test_a_device_that_was_removed_while_its_broker_was_away_is_offline_there(
    gw: Gateway, broker: Mosquitto
) -> None:
    gw.statuses = online("d", "kept")
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url))
        await until(lambda: bool(there.on("devices/d/status") and there.on("devices/kept/status")))
        await gw.deliver(1)
        gw.store.pending.save_now()
        await gw.put(2)  # with its commit goes what is remembered
        await gw.uplink().disconnect()
        await gw.state("disconnected")
        del gw.statuses["d"]
        await gw.apply()  # nothing of it is left in memory
        await gw.apply(a=BrokerSettings(broker.url))
        await until(lambda: len(there.on("devices/d/status")) == 2)
        assert there.on("devices/d/status")[-1]["reason"] == "removed"
        await until(lambda: len(there.on("devices/kept/status")) == 2)
        assert there.on("devices/kept/status")[-1]["status"] == "online"


async def test_no_device_stays_online_where_a_layout_or_a_broker_was_left(gw: Gateway, broker: Mosquitto) -> None:
    gw.statuses = online("d")
    old, new = "devices/d/status", "gateways/gw/devices/d/status"
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url))
        await until(lambda: bool(there.on(old)))
        await gw.apply(a=BrokerSettings(broker.url, layout="gateway"))
        await until(lambda: len(there.on(old)) == 2 and bool(there.on(new)))
    assert await remembered(broker.url, old, new) == [("offline", "elsewhere"), ("online", None)]
    await gw.apply()
    assert await remembered(broker.url, old, new) == [("offline", "elsewhere")] * 2


async def test_a_clean_stop_leaves_nothing_to_repeat(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, window=10))
        await gw.put(*range(500))
        await gw.uplinks.close()
        await gw.apply(a=BrokerSettings(broker.url, window=10))
        await gw.delivered()
        await until(lambda: len(there.readings()) >= 500)
        assert sorted(there.numbers()) == list(range(500))


async def test_disconnect_and_connect_at_run_time(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings(broker.url))
    uplink = await gw.state("connected")
    await uplink.disconnect()
    await gw.state("disconnected")
    assert uplink.hint == "`gatepost brokers connect a`"
    with pytest.raises(NotConnected):
        await uplink.send("t", b"x")
    await gw.put(1)
    await uplink.connect()
    await gw.state("connected")
    await gw.delivered()
    assert uplink.as_dict()["active"] is True


async def test_a_broker_that_is_not_active_waits_to_be_connected(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings(broker.url, active=False))
    uplink = await gw.state("disconnected")
    assert uplink.as_dict()["attempts"] == 0
    await uplink.connect()
    await gw.state("connected")


async def test_disconnect_does_not_wait_for_an_attempt_under_way(gw: Gateway) -> None:
    async with FakeBroker() as fake:
        fake.on[1] = lambda peer, command, body: None  # no CONNACK
        await gw.apply(a=BrokerSettings(fake.url))
        uplink = gw.uplink()
        await until(lambda: fake.peers and fake.peers[0].packets)
        assert uplink.state == "connecting"
        await uplink.disconnect()
        await gw.state("disconnected", seconds=2)
        await until(lambda: fake.peers[0].gone)


async def test_failover(gw: Gateway, broker: Mosquitto) -> None:
    dead = f"mqtt://127.0.0.1:{free_port()}"
    await gw.apply(a=BrokerSettings(dead, failover=[dead, broker.url]))
    uplink = await gw.state("connected")
    assert uplink.as_dict()["endpoint"] == str(broker.url)
    await gw.deliver(1)


async def test_an_address_that_accepts_and_hangs_up_gives_way(gw: Gateway, broker: Mosquitto) -> None:
    async with FakeBroker() as fake:
        fake.on[8] = lambda peer, command, body: peer.hang_up()
        await gw.apply(a=BrokerSettings(fake.url, failover=[broker.url]))
        await until(lambda: gw.uplink().state == "connected" and gw.uplink().as_dict()["endpoint"] == broker.url)
        assert len(fake.peers) <= 3


async def test_one_broker_in_the_dark_does_not_hold_up_the_other(gw: Gateway, broker: Mosquitto) -> None:
    async with FakeBroker() as fake:
        fake.on[1] = lambda peer, command, body: peer.stall()
        await gw.apply(dark=BrokerSettings(fake.url), a=BrokerSettings(broker.url))
        await gw.state("connected")
        await gw.deliver(*range(300))
        assert gw.uplink("dark").state == "connecting"
        assert await gw.owes("dark") == 300


async def test_a_password_that_is_refused(gw: Gateway, tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m", users={"ward": "right"})) as strict:
        gw.environ["PASSWORD"] = "wrong"
        await gw.apply(a=BrokerSettings(strict.url, username="ward", password=SecretRef(env="PASSWORD")))
        uplink = await gw.state("refused")
        assert "not authori" in uplink.reason or "bad user name" in uplink.reason
        assert uplink.hint
        assert uplink.as_dict()["next_attempt_in"] is not None
        gw.environ["PASSWORD"] = "right"
        await gw.state("connected")


async def test_a_password_that_is_not_there(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings(broker.url, username="ward", password=SecretRef(env="NOWHERE")))
    uplink = await gw.state("blocked")
    assert "NOWHERE" in uplink.reason
    gw.environ["NOWHERE"] = "x"
    await gw.state("connected")


async def test_a_certificate_of_another_authority(gw: Gateway, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "another authority")
    async with running(Mosquitto(tmp_path / "m", authority=authority)) as secure:
        await gw.apply(a=BrokerSettings(secure.url, tls=TlsSettings(ca=str(other.ca))))
        uplink = await gw.state("blocked")
        assert "certificate is not trusted" in uplink.reason
        assert "tls.ca" in uplink.hint
        await gw.connect(a=BrokerSettings(secure.url, tls=TlsSettings(ca=str(authority.ca))))


async def test_a_certificate_file_that_is_missing(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings("mqtts://127.0.0.1:1", tls=TlsSettings(ca="/nowhere/ca.pem")))
    uplink = await gw.state("blocked")
    assert "/nowhere/ca.pem" in uplink.reason


async def test_routes_of_broker_and_device(gw: Gateway, broker: Mosquitto, tmp_path: Path) -> None:
    async with (
        running(Mosquitto(tmp_path / "other")) as second,
        listening(broker.url) as here,
        listening(second.url) as there,
    ):
        routes = [RouteRule(devices=["bp-*"]), RouteRule(metrics=["heart_rate"])]
        brokers = {"a": BrokerSettings(broker.url, routes=routes), "b": BrokerSettings(second.url)}
        await gw.apply({"private": ["b"]}, **brokers)
        await gw.state("connected")
        await gw.state("connected", "b")
        await gw.put(1, device="bp-1", metric="blood_pressure")
        await gw.put(2, device="x", metric="heart_rate")
        await gw.put(3, device="x", metric="other")
        await gw.put(4, device="private", metric="heart_rate")
        await gw.delivered("a")
        await gw.delivered("b")
        await until(lambda: there.numbers("private") and there.numbers("x") == [2, 3] and here.numbers("x"))
        assert (here.numbers("bp-1"), here.numbers("x"), here.numbers("private")) == ([1], [2], [])
        assert (there.numbers("bp-1"), there.numbers("x"), there.numbers("private")) == ([1], [2, 3], [4])
        # other routes count without a new connection
        changed = await gw.apply({}, a=BrokerSettings(broker.url, backlog=BacklogSettings(share=0.5)), b=brokers["b"])
        assert changed == []
        await gw.put(5, device="x", metric="other")
        await until(lambda: here.numbers("x") == [2, 5])
        assert gw.uplink().as_dict()["connects"] == 1


async def test_only_the_broker_that_changed_is_connected_anew(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url, client_id="one"), b=BrokerSettings(broker.url, client_id="two"))
    await gw.state("connected", "b")
    kept = gw.uplink("a")
    assert await gw.apply(a=gw.brokers["a"], b=BrokerSettings(broker.url, client_id="two", window=7)) == ["b"]
    assert gw.uplink("a") is kept
    await gw.state("connected", "b")
    assert await gw.apply(a=gw.brokers["a"]) == ["b"]
    assert gw.uplinks.get("b") is None


async def test_a_broker_that_comes_later_owes_what_comes_from_then_on(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings(broker.url))
    await gw.deliver(*range(10))
    async with listening(broker.url, ["later/#"]) as there:
        later = BrokerSettings(broker.url, client_id="later", topics={"data": "later/{device}"})
        await gw.apply(a=gw.brokers["a"], b=later)
        await gw.state("connected", "b")
        await gw.put(10)
        await gw.delivered("b")
        await until(lambda: there.on("later/d"))
        assert [reading["n"] for reading in there.on("later/d")] == [10]


async def test_what_is_owed_again_goes_out_with_the_backlog(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url))
        uplink = await gw.state("connected")
        await gw.put(*range(20))
        await until(lambda: len(there.readings()) == 20)
        assert await gw.store.backlog.mark_for_resend(0, None, None) == 20
        uplink.requeue()
        await until(lambda: len(there.readings()) >= 40)
        await gw.delivered()
    again = there.readings()[20:]
    assert [reading["n"] for reading in again] == list(range(20))
    assert all(reading["replayed"] for reading in again)
    assert len({reading["id"] for reading in there.readings()}) == 20


async def test_commands_are_handed_over(gw: Gateway, broker: Mosquitto) -> None:
    gw.statuses = {"d": {"device_id": "d", "status": "online"}}
    await gw.connect(a=BrokerSettings(broker.url))
    async with listening(broker.url, ["gateways/gw/status"]) as there:
        await until(lambda: there.on("gateways/gw/status"))
        there.publish("devices/d/commands", b"1", response_topic="answers/here", correlation_data=b"\x01\x02")
        there.publish("gateways/gw/commands", b"2")
        there.publish("organizations/org/broadcast", b"3")
        there.publish("devices/unknown/commands", b"4")
        await until(lambda: len(gw.commands) == 4)
    seen = {message.payload: (broker, device, broadcast) for broker, device, message, broadcast in gw.commands}
    assert seen == {
        b"1": ("a", "d", False),
        b"2": ("a", None, False),
        b"3": ("a", None, True),
        b"4": ("a", "unknown", False),
    }
    first = next(message for _, _, message, _ in gw.commands if message.payload == b"1")
    assert first.properties["response_topic"] == "answers/here"
    assert first.properties["correlation_data"] == b"\x01\x02"


async def test_a_device_of_another_gateway_is_left_to_it(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url))
    async with listening(broker.url, ["gateways/gw/status"]) as there:
        await until(lambda: there.on("gateways/gw/status"))
        there.publish("devices/theirs/status", b'{"status":"online"}', retain=True)
        there.publish("devices/theirs/commands", b"1")
        there.publish("gateways/gw/commands", b"2")
        await until(lambda: any(message.payload == b"2" for _, _, message, _ in gw.commands))
        await until(lambda: not gw.uplink()._tasks._subscriptions._lookups)
        assert [message.payload for _, _, message, _ in gw.commands] == [b"2"]


async def test_without_commands_nothing_is_subscribed(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url, commands=False))
    await until(lambda: gw.connected)
    async with listening(broker.url) as there:
        there.publish("gateways/gw/commands", b"1")
        await until(lambda: there.on("gateways/gw/commands"))
    assert gw.commands == []


async def test_sending_something_else(gw: Gateway, broker: Mosquitto) -> None:
    await gw.apply(a=BrokerSettings(broker.url))
    uplink = await gw.state("connected")
    async with listening(broker.url, ["x/#"]) as there:
        await uplink.send("x/y", b"{}")
        await uplink.answer("d", b"[]", "x/answer", b"\x07")
        await until(lambda: len(there.messages) == 2)
        assert there.messages[1].properties["correlation_data"] == b"\x07"
    with failing(UplinkError, kind="broker-topic-wrong"):
        await uplink.send("x/#", b"{}")


async def test_what_the_broker_finds_too_large_is_refused_and_kills_no_connection(gw: Gateway, tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m", max_packet_size=500)) as small:
        await gw.apply(a=BrokerSettings(small.url))
        uplink = await gw.state("connected")
        with pytest.raises(NotTaken):
            await uplink.send("x", b"y" * 600)
        await gw.put("z" * 600)
        await gw.deliver(2)
        letters = await gw.store.dead_letters()
        assert [(letter["code"], letter["broker"]) for letter in letters] == [(0x95, "a")]
        assert uplink.as_dict()["connects"] == 1


async def test_a_failing_resume_is_tried_again(gw: Gateway, broker: Mosquitto) -> None:
    gw.failing_resumes = 2
    await gw.apply(a=BrokerSettings(broker.url))
    await until(lambda: gw.connected == ["a"])
    assert gw.uplink().as_dict()["connects"] == 1


async def test_devices_that_come_later_are_subscribed_where_no_wildcard_is_possible(
    gw: Gateway, broker: Mosquitto
) -> None:
    gw.statuses = {"d": {"device_id": "d", "status": "online"}}
    await gw.apply(a=BrokerSettings(broker.url))
    uplink = await gw.state("connected")
    await until(lambda: gw.connected)
    uplink._tasks._subscriptions._single = {"devices/d/commands"}  # as after a refused wildcard
    assert uplink._connection is not None
    await uplink._connection.unsubscribe(["devices/+/commands"], 5)
    gw.statuses["e"] = {"device_id": "e", "status": "online"}
    await gw.apply(a=gw.brokers["a"])
    await until(lambda: uplink._tasks._subscriptions._single == {"devices/d/commands", "devices/e/commands"})
    async with listening(broker.url, ["nothing"]) as there:
        there.publish("devices/e/commands", b"1")
        await until(lambda: gw.commands)
    assert gw.commands[0][1] == "e"
