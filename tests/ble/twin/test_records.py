"""The record access control point of the simulated meters: operators, counting, aborting, refusals, interruptions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import date_time
from gatepost.drivers.ble.twin.devices.glucose import GlucoseTwin
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.uuids import uuid
from tests.ble.twin.test_devices import MOMENT
from tests.support.failing import failing

MEASUREMENT, CONTEXT, POINT = (uuid(number) for number in (0x2A18, 0x2A34, 0x2A52))


class Meter:
    def __init__(self, stored: int = 10, subscribed: bool = True, **settings) -> None:
        self.twin = GlucoseTwin(0, stored=stored, every_seconds=0, **settings)
        self.said: list[tuple[str, bytes]] = []
        self.connect(subscribed)

    def connect(self, subscribed: bool = True) -> None:
        self.twin.attach(lambda characteristic, data: self.said.append((characteristic.uuid, data)), lambda: None)
        for number in (0x2A18, 0x2A34, 0x2A52) if subscribed else ():
            self.twin.subscribe(self.twin.find(number), True)

    def tell(self, order: str) -> None:
        self.twin.access.point.write(bytes.fromhex(order))

    def ask(self, order: str) -> tuple[list[int], str]:
        """The sequence numbers that are reported, and the answer."""
        self.said.clear()
        self.tell(order)
        while self.twin.access.busy:
            self.twin.tick()
        numbers = [int.from_bytes(data[1:3], "little") for name, data in self.said if name == MEASUREMENT]
        assert self.said[-1][0] == POINT
        return numbers, self.said[-1][1].hex()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwinPeripheral, "clock", staticmethod(lambda: MOMENT))


def when(ago: float) -> str:
    """A Date Time so many hours before the twin's clock."""
    return date_time(MOMENT - timedelta(hours=ago)).hex()


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("0101", list(range(1, 11))),
        ("0102010300", [1, 2, 3]),
        ("0103010800", [8, 9, 10]),
        ("01040103000500", [3, 4, 5]),
        ("01040104000400", [4]),
        ("0105", [1]),
        ("0106", [10]),
        ("010302" + when(8), [9, 10]),
        ("010202" + when(36), [1, 2]),
        ("010402" + when(12) + when(8), [8, 9]),
    ],
)
def test_reports(order: str, numbers: list[int]) -> None:
    meter = Meter()
    assert meter.ask(order) == (numbers, "06000101")
    assert meter.ask("04" + order[2:]) == ([], f"0500{len(numbers):02x}00")
    assert len(meter.twin.records) == 10


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("01", 3),  # no operator
        ("0100", 3),
        ("0107", 4),
        ("010101", 5),  # all, with an operand
        ("010301", 5),  # cut short
        ("01030101", 5),
        ("0103010100ff", 5),
        ("01040105000300", 5),  # from 5 to 3
        ("010302" + "00" * 7, 5),  # no date
        ("0103", 9),
        ("0103030100", 9),  # filtered by something unknown
        ("0103010b00", 6),  # nothing so new
        ("0701", 2),
        ("ff01", 2),
        ("", 2),
    ],
)
def test_refusals(order: str, code: int) -> None:
    numbers, answer = Meter().ask(order)
    assert numbers == []
    assert answer == f"0600{order[:2] or '00'}{code:02x}"


def test_an_empty_memory() -> None:
    assert Meter(stored=0).ask("0101") == ([], "06000106")
    assert Meter(stored=0).ask("0401") == ([], "05000000")


def test_contexts_follow_their_measurements() -> None:
    meter = Meter()
    meter.ask("0101")
    for (first, measurement), (second, following) in zip(meter.said, meter.said[1:], strict=False):
        announced = first == MEASUREMENT and measurement[0] & 0x10
        assert bool(announced) == (second == CONTEXT)
        if announced:
            assert following[1:3] == measurement[1:3]


def test_one_procedure_at_a_time_and_abort() -> None:
    meter = Meter(stored=100)
    meter.tell("0101")
    meter.twin.tick()
    with failing(GattError, code=0x80):
        meter.tell("0401")
    numbers, answer = meter.ask("0300")
    assert answer == "06000301"
    assert len(numbers) == 0
    assert meter.ask("0300") == ([], "06000307")
    assert meter.ask("0106") == ([100], "06000101")


def test_who_does_not_listen_is_refused() -> None:
    meter = Meter(subscribed=False)
    with failing(GattError, code=0x81):
        meter.tell("0101")
    meter.twin.subscribe(meter.twin.access.point, True)
    with pytest.raises(GattError):
        meter.tell("0101")
    meter.tell("0401")


def test_a_lost_link_ends_the_procedure() -> None:
    meter = Meter(stored=100)
    meter.tell("0101")
    for _ in range(3):
        meter.twin.tick()
    meter.twin.detach()
    sent = len(meter.said)
    for _ in range(20):
        meter.twin.tick()
    assert len(meter.said) == sent
    meter.connect()
    assert len(meter.ask("0101")[0]) == 100


def test_a_procedure_may_fail_in_the_middle() -> None:
    meter = Meter()
    meter.twin.access.fail_after = 3
    assert meter.ask("0101") == ([1, 2, 3], "06000108")


def test_what_is_deleted_is_counted() -> None:
    meter = Meter()
    assert meter.ask("0202010400") == ([], "06000201")
    assert (meter.twin.access.deleted, len(meter.twin.records)) == (4, 6)


def test_the_memory_is_bounded_and_numbers_go_round() -> None:
    meter = Meter(stored=600)
    assert len(meter.twin.records) == 500
    meter.twin.number = 0xFFFF
    assert meter.twin.measure().number == 1
