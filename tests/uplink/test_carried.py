"""Readings carried from a gateway without a network to one that has one, and the receipt back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatepost.agent.core.errors import BadInput, Conflict, UplinkError
from gatepost.agent.settings.model import BrokerSettings, RouteRule
from gatepost.agent.uplink.carried.backlog_export import BacklogExport
from gatepost.agent.uplink.carried.backlog_import import NO_COMMANDS, BacklogImport
from gatepost.agent.uplink.carried.carried_message import (
    CarriedMessage,
    CarriedRange,
    DeliveryReceipt,
    RefusedReading,
    carried,
)
from gatepost.agent.uplink.formats.interface import OutgoingMessage
from tests.support.ports import free_port
from tests.support.waiting import until

from .broker import Mosquitto, running
from .gateway import Gateway, gateway, listening

PARCEL = "ab" * 32


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose broker cannot be reached."""
    async with gateway(tmp_path / "home") as one:
        await one.apply(a=BrokerSettings(f"mqtt://127.0.0.1:{free_port()}", active=False))
        yield one


@pytest.fixture
async def courier(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(Mosquitto(tmp_path / "mosquitto")) as broker, gateway(tmp_path / "courier") as one:
        await one.apply(up=BrokerSettings(broker.url))
        await one.state("connected", "up")
        yield one


def export_of(home: Gateway, name: str = "a") -> BacklogExport:
    export = home.uplinks.backlog_export(name)
    assert export is not None
    return export


def receipt_of(owed: dict[str, Any], page: dict[str, Any], lo: int, refused: tuple[Any, ...] = ()) -> DeliveryReceipt:
    assert [part.lo for part in page["ranges"]] == [lo]
    count, at = len(page["readings"]), "2026-11-29T10:00:00Z"
    unsigned = DeliveryReceipt("gw", "a", owed["export"], 1, count, page["ranges"], list(refused), "courier", at)
    return unsigned.signed(owed["key"])


def messages_of(page: dict[str, Any]) -> list[list[CarriedMessage]]:
    return [reading["messages"] for reading in page["readings"]]


async def test_what_is_owed_is_sent_elsewhere_and_marked_delivered(home: Gateway, courier: Gateway) -> None:
    seqs = await home.put(*range(20))
    export = export_of(home)
    owed = await export.owed()
    assert owed["normal"] == [[seqs[0], seqs[-1] + 1]]
    page = await export.page(False, *owed["normal"][0], 100)
    assert [reading["seq"] for reading in page["readings"]] == seqs
    async with listening(courier.uplink("up").settings.url) as there:
        progress = await courier.uplinks.backlog_import().send(courier.uplink("up"), PARCEL, 0, messages_of(page))
        await until(lambda: len(there.readings()) >= 20)
        assert progress == {"done": [(0, 20)], "refused": []}
        assert [reading["id"] for reading in there.readings()] == [home.store.reading_id(seq) for seq in seqs]
        assert {(r["gateway_id"], r["replayed"]) for r in there.readings()} == {("gw", True)}
        properties = there.messages[-1].properties
        assert dict(properties["user_property"])["id"] == home.store.reading_id(seqs[-1])
        await courier.uplinks.backlog_import().send(courier.uplink("up"), PARCEL, 0, messages_of(page))
        await courier.put("own", device="own")
        await until(lambda: bool(there.readings("own")))
        assert len(there.readings()) == 20
    assert await home.owes() == 20
    assert await export.take_receipt(receipt_of(owed, page, seqs[0])) == 20
    assert await home.owes() == 0
    assert await export_of(home).take_receipt(receipt_of(owed, page, seqs[0])) == 0


async def test_a_link_that_is_up_goes_on_without_what_was_carried(home: Gateway, tmp_path: Path) -> None:
    seqs = await home.put(*range(5))
    owed = await export_of(home).owed()
    page = await export_of(home).page(False, seqs[0], seqs[3], 100)
    await export_of(home).take_receipt(receipt_of(owed, page, seqs[0]))
    async with running(Mosquitto(tmp_path / "late")) as broker, listening(broker.url) as there:
        await home.apply(a=BrokerSettings(broker.url))
        await home.delivered()
        await until(lambda: len(there.readings()) >= 2)
        assert there.numbers() == [3, 4]


async def test_a_receipt_that_was_changed_or_is_of_another_log_is_refused(home: Gateway) -> None:
    seqs = await home.put(*range(5))
    owed = await export_of(home).owed()
    page = await export_of(home).page(False, seqs[0], seqs[-1] + 1, 100)
    good = receipt_of(owed, page, seqs[0])
    wider = msgspec.structs.replace(good, ranges=[CarriedRange(False, 1, 1000, home.store.reading_id(999))])
    with pytest.raises(BadInput, match="not for readings that this gateway gave out"):
        await export_of(home).take_receipt(wider)
    older = [CarriedRange(False, seqs[0], seqs[-1] + 1, f"gw:00000000:{seqs[-1]}")]
    with pytest.raises(BadInput, match="does not hold any more"):
        await export_of(home).take_receipt(msgspec.structs.replace(good, ranges=older).signed(owed["key"]))
    assert await home.owes() == 5


async def test_what_the_broker_refused_is_a_dead_letter_at_home(home: Gateway) -> None:
    seqs = await home.put(*range(3))
    owed = await export_of(home).owed()
    page = await export_of(home).page(False, seqs[0], seqs[-1] + 1, 100)
    refused = (RefusedReading(seqs[1], "up refused a message: not authorized"),)
    await export_of(home).take_receipt(receipt_of(owed, page, seqs[0], refused))
    await until(lambda: not home.store.pending.unwritten_dead_letters())
    letters = await home.store.dead_letters()
    assert [letter["reading"] for letter in letters] == [home.store.reading_id(seqs[1])]
    assert letters[0]["reason"] == "up refused a message: not authorized"


async def test_routes_hold_for_what_is_carried(home: Gateway) -> None:
    rules = [RouteRule(metrics=["noise"], drop=True), RouteRule(topic="ward/{device}")]
    await home.apply(a=BrokerSettings("mqtt://127.0.0.1:1", active=False, routes=rules))
    first = (await home.put(1))[0]
    await home.put(2, metric="noise")
    page = await export_of(home).page(False, first, first + 2, 100)
    assert page["upto"] == first + 2
    assert [[message.topic for message in each] for each in messages_of(page)] == [["ward/d"]]


async def test_pages_go_on_where_the_last_one_ended(home: Gateway) -> None:
    seqs = await home.put(*range(10))
    urgent = await home.put(99, urgent=True)
    found, at = [], seqs[0]
    while at < urgent[0] + 1:
        page = await export_of(home).page(False, at, urgent[0] + 1, 3)
        found += [reading["seq"] for reading in page["readings"]]
        at = page["upto"]
    assert found == seqs
    page = await export_of(home).page(True, seqs[0], urgent[0] + 1, 3)
    assert [reading["seq"] for reading in page["readings"]] == urgent


async def test_messages_of_a_connection_are_not_given_out(home: Gateway) -> None:
    await home.apply(a=BrokerSettings("mqtt://127.0.0.1:1", active=False, format="sparkplug"))
    with pytest.raises(Conflict, match="cannot be carried"):
        await export_of(home).owed()


class Sender:
    """A broker that takes what `judge` says."""

    name = "up"

    def __init__(self, judge: Any) -> None:
        self.judge = judge
        self.taken: list[str] = []

    async def send(self, topic: str, payload: bytes, *_: Any) -> None:
        self.judge(topic)
        self.taken.append(payload.decode())


async def test_what_was_taken_before_the_link_broke_is_not_sent_again(courier: Gateway) -> None:
    def broken(topic: str) -> None:
        if topic == "x/3":
            raise UplinkError("the link is gone")

    readings = [[CarriedMessage(f"x/{number}", str(number))] for number in range(6)]
    importer = BacklogImport(courier.store, courier.context.clock)
    first = Sender(broken)
    with pytest.raises(UplinkError, match="the link is gone"):
        await importer.send(first, PARCEL, 0, readings)
    again = Sender(lambda topic: None)
    importer = BacklogImport(courier.store, courier.context.clock)
    assert await importer.send(again, PARCEL, 0, readings) == {"done": [(0, 6)], "refused": []}
    assert (first.taken, again.taken) == (["0", "1", "2", "4", "5"], ["3"])


@pytest.mark.parametrize(
    "topic", ["devices/d/commands", "spBv1.0/g/DCMD/e/d", "organizations/o/broadcast", "gateways/g/desired/confirm"]
)
async def test_a_stick_carries_no_commands(courier: Gateway, topic: str) -> None:
    sender = Sender(lambda topic: None)
    importer = BacklogImport(courier.store, courier.context.clock)
    progress = await importer.send(sender, PARCEL, 0, [[CarriedMessage(topic, "x")]])
    assert progress["refused"] == [(0, NO_COMMANDS)]
    assert sender.taken == []


def test_octets_that_are_no_text_survive() -> None:
    message = carried(OutgoingMessage("t", b"\xff\x00", 0, False, "application/cbor"))
    again = msgspec.json.decode(msgspec.json.encode(message), type=CarriedMessage)
    assert (again.octets, again.qos, again.content_type) == (b"\xff\x00", 1, "application/cbor")
