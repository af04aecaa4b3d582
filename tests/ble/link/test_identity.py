"""Which device an entry means: names that two share, addresses that change, over bonds and restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatepost.drivers.ble.link.gatt_link import GattLink
from gatepost.drivers.ble.profile import ProfileMemory
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.reading import Faults
from tests.ble.conftest import until
from tests.ble.link.rig import Heard, Kind, Rig, Strap, read
from tests.support.failing import failing

PRIVATE, LATER, IDENTITY = "4C:11:22:33:44:55", "5E:66:77:88:99:AA", "00:1B:63:00:00:07"
FIRST, SECOND = "C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02"
LIMIT = 5.0


class KeptStates:
    """What the store would keep, for any number of links."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.broken = False

    def of(self, name: str) -> Memory:
        return Memory(self, name)


class Memory:
    def __init__(self, kept: KeptStates, name: str) -> None:
        self.kept, self.name = kept, name

    async def load(self) -> tuple[Any, list[Any]]:
        if self.kept.broken:
            raise OSError("disk")
        others = [state for name, state in self.kept.states.items() if name != self.name]
        return self.kept.states.get(self.name), others

    async def keep(self, state: Any) -> None:
        self.kept.states[self.name] = state


def entry(rig: Rig, kept: KeptStates, name: str, wanted: str, **options: str) -> tuple[GattLink, Heard]:
    events = Heard()
    events.memory = kept.of(name)
    return rig.link(wanted, Kind(**options), events=events)


async def used(link: GattLink, limit: float = LIMIT) -> tuple[str, ...]:
    """Open it, take something, close it; the addresses of the device."""
    await asyncio.wait_for(link.open(limit), limit)
    await read(link)
    assert link.peripheral is not None
    addresses = link.peripheral.addresses
    await link.close(1.0)
    return addresses


def private(bonds: bool = True) -> Strap:
    strap = Strap(PRIVATE, encrypted=bonds)
    strap.random_address, strap.identity = True, IDENTITY
    return strap


# -- a device that changes its address


@pytest.mark.parametrize("pair", ["auto", "always"])
async def test_marks_of_a_device_that_changes_its_address_go_on(bluez: TwinDaemon, rig: Rig, pair: str) -> None:
    kept, bookmarks = KeptStates(), dict[str, Any]()
    bluez.place(strap := private())
    link, _ = entry(rig, kept, "a", PRIVATE, pair=pair)
    names = []
    for address in (PRIVATE, PRIVATE, LATER):
        strap.address = address
        addresses = await used(link)
        name = ProfileMemory(None, Faults(), bookmarks, {}, addresses).mark("glucose")
        bookmarks[name] = "taken"
        names.append(name)
    assert names == [f"glucose/{PRIVATE}"] * 3
    await link.close(1.0)
    again, _ = entry(rig, kept, "a", PRIVATE, pair=pair)  # the agent was restarted, and the daemon too
    await bluez.restart(killed=True)
    addresses = await asyncio.wait_for(used(again), LIMIT)
    assert addresses == (IDENTITY, PRIVATE)
    assert ProfileMemory(None, Faults(), bookmarks, {}, addresses).mark("glucose") == names[0]


async def test_its_identity_address_does_in_the_settings_too(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    bluez.place(private())
    first, events = entry(rig, kept, "a", PRIVATE)
    await used(first)
    assert events.status["address"] == IDENTITY
    other, _ = entry(rig, kept, "a", IDENTITY)
    assert IDENTITY in await used(other)


async def test_a_bond_that_the_daemon_made_by_itself_is_noticed_at_the_end(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    bluez.place(private())
    link, _ = entry(rig, kept, "a", PRIVATE)
    assert await used(link) == (PRIVATE,)
    assert kept.states["a"]["addresses"] == (IDENTITY, PRIVATE)


async def test_an_address_that_changes_without_a_bond_is_no_claim(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    bluez.place(private(bonds=False))
    link, _ = entry(rig, kept, "a", "Strap")
    await used(link)
    assert kept.states == {}


# -- two devices of one name


async def test_two_entries_of_one_name_keep_their_devices_over_restarts(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    one = bluez.place(Strap(FIRST))
    a, heard_a = entry(rig, kept, "a", "Strap")
    assert await used(a) == (FIRST,)
    assert heard_a.status["address"] == FIRST
    bluez.place(Strap(SECOND))
    b, _ = entry(rig, kept, "b", "Strap")
    assert await used(b) == (SECOND,)
    await bluez.take_away(one)  # after a restart only the second one is there
    again_a, heard = entry(rig, kept, "a", "Strap")
    again_b, _ = entry(rig, kept, "b", "Strap")
    waiting = asyncio.create_task(again_a.open(LIMIT))
    await until(lambda: "other-device" in heard.keys)
    assert not waiting.done()
    key, message, hint = heard.waits[heard.keys.index("other-device")]
    assert (FIRST in message, SECOND in message, SECOND in hint) == (True, True, True)
    assert heard.keys.count(key) == 1
    assert await used(again_b) == (SECOND,)
    bluez.place(Strap(FIRST))
    await asyncio.wait_for(waiting, LIMIT)


async def test_a_device_that_another_entry_claimed_is_not_taken(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    bluez.place(Strap(FIRST))
    a, _ = entry(rig, kept, "a", "Strap")
    await used(a)
    del a
    rig.links.clear()
    b, _ = entry(rig, kept, "b", "Strap")  # entry a does not run at all
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(b.open(LIMIT), 0.3)
    await b.close(1.0)
    c, _ = entry(rig, kept, "c", FIRST)  # an address is an order
    assert await used(c) == (FIRST,)


async def test_a_device_that_never_gave_anything_is_not_claimed(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    wrong = bluez.place(Strap(FIRST))
    a, _ = entry(rig, kept, "a", "Strap")
    await asyncio.wait_for(a.open(LIMIT), LIMIT)
    await a.close(1.0)  # as after `wrong-device`
    await bluez.take_away(wrong)
    bluez.place(Strap(SECOND))
    assert await used(a) == (SECOND,)


async def test_other_settings_claim_anew(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    bluez.place(Strap(FIRST))
    a, _ = entry(rig, kept, "a", "Strap")
    await used(a)
    bluez.place(Strap(SECOND, name="Other"))
    changed, _ = entry(rig, kept, "a", "Other")
    assert await used(changed) == (SECOND,)


async def test_a_claim_that_cannot_be_read_is_not_guessed(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    kept.broken = True
    bluez.place(Strap(FIRST))
    named, _ = entry(rig, kept, "a", "Strap")
    with failing(LinkFailed, reason=Reason.STORE):
        await named.open(LIMIT)
    kept.broken = False
    kept.states["a"] = {"addresses": 7}  # damaged: as if there were none
    assert await used(named) == (FIRST,)
    kept.broken = True
    bluez.place(Strap(SECOND))
    addressed, _ = entry(rig, kept, "b", SECOND)
    assert await used(addressed) == (SECOND,)


async def test_broadcasters_of_one_name_do_not_mix(bluez: TwinDaemon, rig: Rig) -> None:
    kept = KeptStates()
    one, two = Strap(FIRST), Strap(SECOND)
    bluez.place(one)
    events = Heard()
    events.memory = kept.of("a")
    link: Any
    link, _ = rig.link("Strap", Kind(advertisement=True), events=events)
    await asyncio.wait_for(link.open(LIMIT), LIMIT)
    bluez.place(two)
    await until(lambda: len(events.values) > 5)
    await asyncio.sleep(0.1)
    assert {value.address for value in events.values} == {FIRST}
    assert events.status["address"] == FIRST
    assert kept.states["a"]["addresses"] == (FIRST,)
