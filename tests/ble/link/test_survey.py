"""Looking around."""

from __future__ import annotations

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.stack.survey import survey
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.link import LinkFailed, Reason
from tests.ble.link.rig import QUICK, Strap
from tests.support.failing import failing


async def test_every_device_once_the_strongest_first(bluez: TwinDaemon) -> None:
    near, far, nameless = Strap(), Strap("C0:FF:EE:00:00:02", "Far"), Strap("C0:FF:EE:00:00:03", "")
    near.rssi, far.rssi, nameless.rssi = -40, -80, -60
    for strap in (far, near, nameless):
        bluez.place(strap)
    seen: list[ReceivedAdvert] = []
    found = await survey(0.3, on_seen=seen.append, timing=QUICK)
    assert [(advert.address, advert.name) for advert in found] == [
        (near.address, "Strap"),
        (nameless.address, ""),
        (far.address, "Far"),
    ]
    assert uuid(0x180D) in found[0].services
    assert len(seen) >= 3
    assert not bluez.adapter.discovering


async def test_an_adapter_that_is_off_or_missing_says_so(bluez: TwinDaemon) -> None:
    with failing(LinkFailed, reason=Reason.NO_ADAPTER):
        await survey(5.0, "hci3", timing=QUICK)
    await bluez.adapter.power(False)
    with failing(LinkFailed, reason=Reason.ADAPTER_OFF):
        await survey(5.0, timing=QUICK)


async def test_no_daemon(bus: PrivateBus) -> None:
    with failing(LinkFailed, reason=Reason.NO_SERVICE):
        await survey(5.0, timing=QUICK)
