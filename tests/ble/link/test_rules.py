"""The parts of the radio side that need no radio: who is meant, when to try, when to bond, what failures are called."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from random import Random
from typing import Any, ClassVar, cast

import pytest
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from dbus_fast import Message, MessageType

from gatepost.drivers.ble.link.bleak_peripheral import ConnectedPeripheral, battery_status
from gatepost.drivers.ble.link.connect_policy import ConnectPolicy
from gatepost.drivers.ble.link.rssi_reporter import RssiReporter
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.stack.bond_policy import BondPolicy, BondStep
from gatepost.drivers.ble.stack.connection_slots import ConnectionSlots
from gatepost.drivers.ble.stack.dbus_client import BluezError
from gatepost.drivers.ble.stack.device_filter import DeviceFilter, adapter_of, address_of
from gatepost.drivers.ble.stack.link_errors import explain
from gatepost.drivers.ble.stack.pairing_agent import AGENT, PATH, answer
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.conftest import until

PLACE = "/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF"
TIMING = BleTiming()


# -- who is meant


@pytest.mark.parametrize(
    ("wanted", "name", "meant"),
    [
        (("aa:bb:cc:dd:ee:ff", None), "", True),
        (("AA-BB-CC-DD-EE-FF", None), "", True),
        (("AA:BB:CC:DD:EE:FE", None), "Polar H10", False),
        (("AA:BB:CC:DD:EE:FE", "Polar H10"), "Polar H10", False),  # the address counts
        ((None, "Polar H10"), "Polar H10", True),
        ((None, "Polar"), "Polar H10", True),
        ((None, "H10"), "Polar H10", False),
        ((None, "*H1?"), "Polar H10", True),
        ((None, "polar*"), "Polar H10", False),
        ((None, "Polar"), "", False),
    ],
)
def test_which_peripheral_is_meant(wanted: tuple[str | None, str | None], name: str, meant: bool) -> None:
    assert DeviceFilter.of(*wanted).matches("aa:bb:cc:dd:ee:ff", PLACE, name) is meant


def test_a_device_that_changed_its_address_is_known_by_its_identity_and_by_the_first_one() -> None:
    assert DeviceFilter.of("11:22:33:44:55:66", None).matches("11:22:33:44:55:66", PLACE, "")
    assert DeviceFilter.of("AA:BB:CC:DD:EE:FF", None).matches("11:22:33:44:55:66", PLACE, "")
    assert address_of(PLACE) == "AA:BB:CC:DD:EE:FF"
    assert (adapter_of(PLACE), adapter_of("/")) == ("hci0", "")


# -- when to try


def patience() -> ConnectPolicy:
    return ConnectPolicy(TIMING.hold_off, Random(1), TIMING)


def test_a_device_is_tried_at_once_and_not_hammered_after_a_failure() -> None:
    quiet = patience()
    assert quiet.may_connect(100.0)
    quiet.failed(100.0)
    assert not quiet.may_connect(100.5)
    assert quiet.may_connect(102.0)
    for _ in range(10):
        quiet.failed(102.0)
    assert not quiet.may_connect(116.0)
    assert quiet.may_connect(102.0 + TIMING.last_retry)
    assert quiet.failures == 11


def test_a_device_that_was_away_is_tried_at_once() -> None:
    quiet = patience()
    quiet.may_connect(0.0)
    for _ in range(10):
        quiet.failed(0.0)
    assert not quiet.may_connect(1.0)
    assert quiet.may_connect(1.0 + TIMING.away)


def test_a_device_that_gave_its_data_is_left_alone_for_a_while() -> None:
    quiet = patience()
    quiet.may_connect(0.0)
    quiet.ended(10.0, 2.0, gave_data=True)
    assert not quiet.may_connect(19.9)
    assert quiet.may_connect(20.0)
    assert quiet.failures == 0


def test_a_session_that_was_worth_nothing_counts_as_a_failure_and_a_long_one_does_not() -> None:
    quiet = patience()
    quiet.ended(10.0, 2.0, gave_data=False)
    assert quiet.failures == 1
    quiet.ended(100.0, TIMING.good, gave_data=False)
    assert quiet.failures == 0


# -- slots


async def test_slots_are_given_out_in_order() -> None:
    slots = ConnectionSlots(2, 60.0)
    first, second = await slots.take(True), await slots.take(True)
    assert not slots.free(True)
    order: list[str] = []

    async def wait(name: str) -> None:
        give_back = await slots.take(True)
        order.append(name)
        await asyncio.sleep(0)
        give_back()

    waiting = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    waiting[1].cancel()
    first()
    first()  # once is enough
    await asyncio.wait(waiting)
    assert order == ["a", "c"]
    assert slots.used == 1
    second()
    assert slots.used == 0


async def test_one_slot_is_kept_for_devices_that_come_now_and_then() -> None:
    slots = ConnectionSlots(3, 60.0)

    class Link:
        pass

    link: Link | None = Link()
    slots.occasional.add(link)
    await slots.take(True)
    await slots.take(True)
    assert not slots.free(True)
    strap = asyncio.create_task(slots.take(True))
    await asyncio.sleep(0)
    give_back = await asyncio.wait_for(slots.take(False), 1.0)
    assert slots.used == 3
    assert not slots.free(False)
    give_back()
    assert not strap.done()
    assert slots.free(False)
    link = None  # it is configured no more
    gc.collect()
    assert slots.free(True)
    strap.cancel()
    await asyncio.wait((strap,))
    assert slots.used == 2
    few = ConnectionSlots(2, 60.0)
    few.occasional.add(slots)
    await few.take(True)
    assert few.free(True)


async def test_a_slot_is_not_given_to_somebody_who_is_leaving() -> None:
    slots = ConnectionSlots(1, 60.0)
    give_back = await slots.take(True)
    waiting = [asyncio.create_task(slots.take(True)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # it has not heard of it when the slot comes back
    give_back()
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    waiting[1].result()()
    assert slots.used == 0


async def test_streaming_devices_take_turns_where_there_are_more_than_slots() -> None:
    slots, served = ConnectionSlots(2, 0.05), [0, 0, 0, 0]

    async def stream(number: int) -> None:
        while True:
            leave = asyncio.Event()
            give_back = await slots.take(True, leave.set)
            served[number] += 1
            assert slots.used <= 2
            await leave.wait()
            give_back()

    tasks = [asyncio.create_task(stream(number)) for number in range(4)]
    await until(lambda: min(served) >= 3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert max(served) - min(served) <= 2


async def test_a_device_that_measures_now_and_then_makes_nobody_leave() -> None:
    slots = ConnectionSlots(1, 0.01)
    left = asyncio.Event()
    give_back = await slots.take(True, left.set)
    cuff = asyncio.create_task(slots.take(False))
    await asyncio.sleep(0.05)
    assert not left.is_set()
    give_back()
    (await cuff)()


async def test_a_slot_that_was_granted_to_somebody_who_left_is_given_on() -> None:
    slots = ConnectionSlots(1, 60.0)
    give_back = await slots.take(True)
    waiting = asyncio.create_task(slots.take(True))
    await asyncio.sleep(0)
    give_back()
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert slots.used == 0


# -- when to bond


def bonding(policy: str = "auto", passkey: bool = False) -> BondPolicy:
    return BondPolicy(policy, passkey, Random(1), TIMING)


def test_policies() -> None:
    assert bonding().begin(paired=False) is BondStep.NONE
    assert bonding().refused(paired=False, now=0.0) is BondStep.PAIR
    assert bonding("always").begin(paired=False) is BondStep.PAIR
    assert bonding("always").begin(paired=True) is BondStep.NONE
    assert bonding(passkey=True).begin(paired=False) is BondStep.PAIR
    assert bonding("never", passkey=True).begin(paired=False) is BondStep.NONE
    assert bonding("never").refused(paired=False, now=0.0) is BondStep.NONE
    assert bonding("never").ended(True, 0.0, False, 0.0) is BondStep.NONE
    assert not bonding("never").distrust(True, 1.0)


def test_a_session_bonds_once() -> None:
    rule = bonding()
    rule.begin(paired=False)
    assert rule.refused(False, 1.0) is BondStep.PAIR
    rule.bonded()
    assert rule.refused(True, 2.0) is BondStep.NONE  # refused although it was just bonded: no bond mends that
    rule.begin(paired=True)
    assert rule.refused(True, 3.0) is BondStep.RENEW


def test_a_bond_is_renewed_after_two_ends_without_a_word_and_then_not_for_long() -> None:
    rule = bonding()
    assert rule.ended(True, 0.1, False, 1.0) is BondStep.NONE
    assert rule.ended(True, 0.1, False, 2.0) is BondStep.RENEW
    assert rule.begin(paired=False) is BondStep.PAIR
    rule.bonded()
    rule.begin(paired=True)
    for second in range(10):
        assert rule.ended(True, 0.1, False, 3.0 + second) is BondStep.NONE
    assert rule.refused(True, 20.0) is BondStep.NONE
    assert rule.ended(True, 0.1, False, 2.0 + 2 * TIMING.first_renewal) is BondStep.RENEW


def test_what_may_have_other_reasons_counts_half() -> None:
    rule = bonding()
    steps = [rule.ended(True, 0.0, False, float(second), sure=False) for second in range(1, 5)]
    assert steps == [BondStep.NONE] * 3 + [BondStep.RENEW]


@pytest.mark.parametrize(
    ("paired", "seconds", "gave_data"), [(False, 0.1, False), (True, TIMING.brief + 1, False), (True, 0.1, True)]
)
def test_other_ends_say_nothing_about_the_bond(paired: bool, seconds: float, gave_data: bool) -> None:
    rule = bonding()
    for second in range(5):
        assert rule.ended(paired, seconds, gave_data, float(second)) is BondStep.NONE


def test_a_good_session_clears_the_doubt() -> None:
    rule = bonding()
    rule.ended(True, 0.1, False, 1.0)
    rule.ended(True, 60.0, True, 2.0)
    assert rule.ended(True, 0.1, False, 3.0) is BondStep.NONE


def test_services_in_doubt_are_asked_anew_once_in_a_while() -> None:
    rule = bonding()
    assert rule.distrust(False, 1.0)
    assert rule.begin(paired=False) is BondStep.NONE  # there was no bond
    assert not rule.distrust(False, 2.0)
    rule = bonding()
    assert rule.distrust(True, 1.0)
    assert rule.begin(paired=False) is BondStep.PAIR


# -- the agent


def ask(member: str, signature: str, body: list[Any], devices: dict[str, str], path: str = PATH) -> Message | None:
    call = Message("x.y", path, AGENT, member, signature=signature, body=body, serial=1)
    call.sender = ":1.1"
    return answer(call, devices)


def test_the_agent_answers_for_known_devices_and_rejects_the_rest() -> None:
    devices = {PLACE: "", "/keyed": "012345"}

    def result(member: str, signature: str, body: list[Any]) -> Any:
        reply = ask(member, signature, body, devices)
        assert reply is not None
        return reply.body if reply.message_type is MessageType.METHOD_RETURN else reply.error_name

    rejected = "org.bluez.Error.Rejected"
    assert result("RequestPasskey", "o", ["/keyed"]) == [12345]
    assert result("RequestPinCode", "o", ["/keyed"]) == ["012345"]
    assert result("RequestPasskey", "o", [PLACE]) == rejected
    assert result("RequestPinCode", "o", [PLACE]) == rejected
    assert result("RequestPasskey", "o", ["/other"]) == rejected
    assert result("RequestConfirmation", "ou", [PLACE, 1]) == []
    assert result("RequestConfirmation", "ou", ["/other", 1]) == rejected
    assert result("RequestAuthorization", "o", [PLACE]) == []
    assert result("AuthorizeService", "os", ["/other", "x"]) == rejected
    assert result("Cancel", "", []) == []
    assert result("Release", "", []) == []
    assert result("Surprise", "", []) == rejected
    assert ask("Release", "", [], devices, "/elsewhere") is None


# -- what failures are called


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file"), Reason.NO_SERVICE),
        (ConnectionRefusedError(), Reason.NO_SERVICE),
        (BluezError("org.freedesktop.DBus.Error.ServiceUnknown", ""), Reason.NO_SERVICE),
        (BluezError("org.freedesktop.DBus.Error.Spawn.ExecFailed", ""), Reason.NO_SERVICE),
        (BleakDBusError("org.freedesktop.DBus.Error.NoReply", ["Message recipient disconnected"]), Reason.NO_SERVICE),
        (PermissionError(13, "denied"), Reason.PERMISSION),
        (BluezError("org.freedesktop.DBus.Error.AccessDenied", "Rejected send message"), Reason.PERMISSION),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), Reason.ADAPTER_OFF),
        (BleakDBusError("org.bluez.Error.Failed", ["Not Powered"]), Reason.ADAPTER_OFF),
        (BleakDBusError("org.bluez.Error.InProgress", []), Reason.IN_PROGRESS),
        (BleakDBusError("org.bluez.Error.Failed", ["Operation already in progress"]), Reason.IN_PROGRESS),
        (BleakDBusError("org.bluez.Error.Failed", ["br-connection-canceled"]), Reason.RADIO),
        (BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]), Reason.DROPPED),
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]), Reason.PAIRING),
        (BleakDBusError("org.bluez.Error.Failed", ["Input/output error"]), Reason.RADIO),
        (BleakDeviceNotFoundError("AA", "Device with address AA was not found."), Reason.GONE),
        (BleakError("failed to discover services, device disconnected"), Reason.DROPPED),
        (BleakError("device 'dev_AA' not found"), Reason.GONE),
        (TimeoutError(), Reason.TIMEOUT),
        (caused(BleakError("Failed to connect after 3 attempt(s)"), TimeoutError()), Reason.TIMEOUT),
        (LinkFailed(Reason.SCAN, "x"), Reason.SCAN),
        (ValueError("?"), Reason.RADIO),
    ],
)
def test_failures_have_a_reason_a_sentence_and_mostly_a_hint(error: Exception, reason: Reason) -> None:
    failure = explain("hci0", error)
    assert failure.reason is reason
    if not isinstance(error, LinkFailed):
        assert failure.message.startswith("hci0: ")
        assert failure.hint or reason in (Reason.IN_PROGRESS, Reason.DROPPED)


def test_an_auth_error_of_the_bus_is_a_matter_of_permission() -> None:
    from dbus_fast import AuthError

    assert explain("Bluetooth", AuthError("REJECTED")).reason is Reason.PERMISSION


def test_classic_bluetooth_gets_its_own_hint() -> None:
    error = BleakDBusError("org.bluez.Error.Failed", ["br-connection-canceled"])
    assert "ControllerMode" in explain("x", error).hint


# -- status


def test_the_strength_is_told_at_once_and_then_rarely() -> None:
    said: list[int] = []
    strength = RssiReporter(lambda known: said.append(known["signal_strength"]), TIMING)
    strength.report(None, 0.0)
    for second, rssi in ((0.0, -60), (1.0, -80), (29.0, -80), (31.0, -64), (32.0, -80), (61.5, -60)):
        strength.report(rssi, second)
    assert said == [-60, -80]
    assert strength.last == -60


def test_a_battery_level_is_a_percentage() -> None:
    assert battery_status({"Percentage": 88}) == {"battery": 88}
    assert battery_status({"Percentage": 255}) == {}
    assert battery_status({}) == {}


def test_refusals_carry_the_att_code() -> None:
    from gatepost.drivers.ble.link.bleak_peripheral import _explained
    from gatepost.drivers.ble.peripheral import GattError

    cases: list[tuple[Exception, int | None]] = [
        (BleakGATTProtocolError(0x80), 0x80),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), 0x05),
        (BleakDBusError("org.bluez.Error.Failed", ["?"]), None),
    ]
    for error, code in cases:
        explained = _explained("x", "reading", error)
        assert isinstance(explained, GattError)
        assert explained.code == code
    gone = _explained("x", "reading", BleakDBusError("org.bluez.Error.Failed", ["Not connected"]))
    assert isinstance(gone, LinkFailed)


def test_a_connection_that_is_gone_before_its_services_are_looked_at_is_lost() -> None:
    class Client:
        address = "AA:BB:CC:DD:EE:FF"

        @property
        def services(self) -> object:
            raise BleakError("Service Discovery has not been performed yet")

    client, unused = cast(Any, Client()), cast(Any, None)
    with pytest.raises(LinkFailed, match="x: the connection was lost"):
        ConnectedPeripheral(
            client, (PLACE,), "x", on_value=unused, on_refused=unused, on_first_data=unused, pair_it=unused
        )


async def test_whoever_waits_for_an_answer_is_told_when_the_connection_ends() -> None:
    class Services:
        characteristics: ClassVar[dict[int, Any]] = {}

    class Client:
        services = Services
        address = "AA:BB:CC:DD:EE:FF"

    async def nothing(*_: object) -> bool:
        return False

    def heard(value: GattValue) -> None:
        raise AssertionError

    async def forever() -> None:
        await asyncio.Event().wait()

    client: Any = Client()
    peripheral = ConnectedPeripheral(
        client, (PLACE,), "x", on_value=heard, on_refused=nothing, on_first_data=lambda: None, pair_it=forever
    )
    asking = asyncio.create_task(peripheral.pair(60.0))
    await asyncio.sleep(0)
    assert peripheral.awaiting_answer
    peripheral.end(LinkFailed(Reason.IO, "gone"))
    with pytest.raises(LinkFailed, match="gone"):
        await asyncio.wait_for(asking, 1.0)
    assert not peripheral.awaiting_answer
    with pytest.raises(LinkFailed, match="gone"):
        await peripheral.pair(60.0)


# -- memory


@pytest.mark.parametrize(
    "module",
    [
        "gatepost.drivers.ble.link.links",
        "gatepost.drivers.ble.driver",
        "gatepost.drivers.ble.adverts.driver",
        "gatepost.agent.app",
    ],
)
def test_no_bluetooth_library_is_loaded_before_a_ble_device_is_configured(module: str) -> None:
    program = f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] in {LIBRARIES!r}])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


LIBRARIES = ("bleak", "dbus_fast", "bleak_retry_connector", "bluetooth_adapters")
