"""Connection to a peripheral: bonding when it is asked for, loss, clean-up afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import Enum
from typing import TYPE_CHECKING, Any

from bleak import BleakClient

from gatepost.drivers.ble.link.bleak_peripheral import ConnectedPeripheral, battery_status
from gatepost.drivers.ble.link.connect_policy import ConnectPolicy
from gatepost.drivers.ble.link.device_claim import DeviceClaim
from gatepost.drivers.ble.stack.bond_policy import BondPolicy, BondStep
from gatepost.drivers.ble.stack.dbus_client import BATTERY, DEVICE, BluezError
from gatepost.drivers.ble.stack.device_filter import adapter_of, addresses_of
from gatepost.drivers.ble.stack.link_errors import dropped, lost
from gatepost.drivers.link import LinkFailed, Reason

if TYPE_CHECKING:
    from gatepost.drivers.ble.stack.shared_stack import SharedStack
    from gatepost.drivers.link import LinkEvents


class DisconnectedBy(Enum):
    """Side that ended a connection."""

    US = "us"
    THEM = "them"
    RADIO = "radio"


class RememberedDevice:
    """Device state that a link keeps from one connection to the next."""

    def __init__(self, label: str, policy: ConnectPolicy, bonding: BondPolicy, log: logging.Logger) -> None:
        self.label = label
        self.policy = policy
        self.bonding = bonding
        self.log = log
        self.trouble: LinkFailed | None = None  # with its bond; it goes on until the device gives something
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()


class GattSession:
    """One GATT connection. It reports its loss once it was `open`; what it was given to `own` is undone after it
    ended."""

    def __init__(
        self,
        radio: SharedStack,
        known: RememberedDevice,
        events: LinkEvents,
        claim: DeviceClaim,
        path: str,
        bonded: bool,
    ) -> None:
        self.path = path
        self.open = False
        self.peripheral: ConnectedPeripheral | None = None
        self._radio = radio
        self._known = known
        self._events = events
        self._claim = claim
        self._bonded = bonded
        self._properties: dict[str, Any] = {}  # of Device1, as it was last read
        self._stack = AsyncExitStack()
        self._client: BleakClient | None = None
        self._began = 0.0
        self._over: LinkFailed | None = None
        self._forget = False
        self._keeping: asyncio.Task[None] | None = None
        self._parting: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._generation = radio.bluez.generation

    @property
    def notifications(self) -> int:
        """Notifications not yet counted in the remembered device."""
        return 0 if self.peripheral is None or self._over is not None else self.peripheral.notifications

    # -- its life

    def own(self, stack: AsyncExitStack) -> None:
        """Its slot and its claims."""
        self._stack = stack

    def on_gone(self, client: BleakClient) -> None:
        """bleak's word that the client is not connected; attempts that fail before it is ours say so too."""
        if client is self._client:
            self._end(lost(self._known.label), DisconnectedBy.THEM)

    async def begin(self, client: BleakClient, name: str) -> None:
        """The client is connected: make the peripheral ready to be spoken to. LinkFailed."""
        self._client = client
        self._began = asyncio.get_running_loop().time()
        self._unwatch = self._radio.bluez.watch(self._on_radio)
        self._known.counts["connects"] += 1
        self._bonded = await self._is_bonded()
        self.peripheral = ConnectedPeripheral(
            client,
            tuple(dict.fromkeys((*addresses_of(self.path, self._properties), *self._claim.addresses))),
            name,
            on_value=self._events.data,
            on_refused=self._on_refused,
            on_first_data=self._confirmed,
            pair_it=self._pair,
        )
        if not self.peripheral.characteristics:
            self._forget = not self._bonded
            raise LinkFailed(Reason.GONE, f"{self._known.label}: the device has no services")
        if self._known.bonding.begin(self._bonded) is BondStep.PAIR:
            await self._pair()
        with contextlib.suppress(BluezError, LinkFailed, TimeoutError):
            self._known_now(battery_status(await self._radio.bluez.properties(self.path, BATTERY)))
        if not client.is_connected:
            self._end(dropped(self._known.label), DisconnectedBy.THEM)
        if self._over is not None:
            raise self._over
        self.open = True

    async def _meet(self) -> None:
        """Keep the addresses under which the device is known now."""
        self._claim.met(self.path, self._properties)
        self._known_now(self._claim.status)
        await self._claim.keep()

    def _confirmed(self) -> None:
        self._claim.confirm()
        self._keeping = asyncio.get_running_loop().create_task(self._claim.keep(), name=f"claim {self._known.label}")

    def _known_now(self, known: dict[str, Any]) -> None:
        if known:
            self._events.known(known)

    def part(self) -> asyncio.Task[None]:
        """Let go, whatever state it is in; the task ends when the connection is really gone."""
        self.open = False
        self._end(lost(self._known.label), DisconnectedBy.US)
        if self._parting is None:
            self._parting = asyncio.get_running_loop().create_task(self._part(), name=f"leave {self._known.label}")
        return self._parting

    def leave(self, why: LinkFailed) -> None:
        """End it for the sake of other devices."""
        self._end(why, DisconnectedBy.US)

    async def _part(self) -> None:
        async with self._stack:
            if self._client is not None:
                if self.peripheral is not None and self.peripheral.denied and self._client.is_connected:
                    await self._compare()
                if not self._bonded and self._client.is_connected:
                    with contextlib.suppress(LinkFailed):  # the daemon may have bonded by itself
                        await self._is_bonded()
                if self._keeping is not None:
                    await self._keeping
                await asyncio.shield(self._radio.connecting.let_go(self._client))
            if self._forget:
                await forget_device(self._radio, self._known, self.path)

    async def _compare(self) -> None:
        """bleak says that the device is connected, an answer of the daemon said that it is not: ask."""
        with contextlib.suppress(LinkFailed, TimeoutError):
            try:
                connected = (await self._radio.bluez.properties(self.path, DEVICE)).get("Connected")
            except BluezError:
                connected = False  # it does not know the device
            if not connected and self._client is not None and self._client.is_connected:
                self._radio.bluez.resync()

    # -- its end

    def _on_radio(self) -> None:
        """An adapter that went or a daemon that was killed does not always say that its connections are gone."""
        bluez = self._radio.bluez
        state = bluez.adapters.get(adapter_of(self.path))
        if bluez.generation != self._generation or state is None or not state.powered:
            self._end(lost(self._known.label), DisconnectedBy.RADIO)

    def _end(self, failure: LinkFailed, by: DisconnectedBy) -> None:
        if self._over is not None:
            return
        if by is DisconnectedBy.THEM and self._known.trouble is not None and not self._gave_data:
            failure = self._known.trouble
        self._over = failure
        self._unwatch()
        if self.peripheral is None:
            return
        self._known.counts["notifications"] += self.peripheral.notifications
        if by is not DisconnectedBy.RADIO:
            self._judge(self.peripheral, by)
        self.peripheral.end(failure)
        if self.open:
            self.open = False
            self._known.counts["lost"] += 1
            self._events.lost(failure)

    def _judge(self, peripheral: ConnectedPeripheral, by: DisconnectedBy) -> None:
        """Draw conclusions about the device from the way the connection ended."""
        known, now = self._known, asyncio.get_running_loop().time()
        gave_data, seconds = peripheral.gave_data, now - self._began
        known.policy.ended(now, seconds, gave_data)
        # Hanging up on a request is no sign of trust, though what needs no bond was read before.
        trusted = peripheral.notifications > 0 or (gave_data and not peripheral.awaiting_answer)
        if by is DisconnectedBy.THEM and known.bonding.ended(self._bonded, seconds, trusted, now) is BondStep.RENEW:
            self._forget = True
        doubtful = peripheral.stale or (peripheral.missed and not gave_data and by is DisconnectedBy.US)
        if doubtful and known.bonding.distrust(self._bonded, now):
            self._forget = True  # the services that BlueZ keeps of it may be those of an older firmware

    # -- bonding

    async def _is_bonded(self) -> bool:
        """As the system says; it is also asked for the identity, which a bond reveals."""
        try:
            self._properties = await self._radio.bluez.properties(self.path, DEVICE)
        except (BluezError, TimeoutError):
            return self._bonded
        await self._meet()
        return bool(self._properties.get("Paired"))

    @property
    def _gave_data(self) -> bool:
        return self.peripheral is not None and self.peripheral.notifications > 0

    async def _pair(self) -> None:
        try:
            await self._radio.pairing.pair(self._known.label, self.path)
        except LinkFailed as failure:
            if failure.reason is Reason.PAIRING:
                self._known.trouble = failure
            raise
        self._known.trouble = None
        self._bonded = True
        await self._is_bonded()
        self._known.bonding.bonded()
        self._known.counts["bonds"] += 1

    async def _on_refused(self, code: int) -> bool:
        """A request was refused for want of security: whether it may be made once more."""
        self._known.faults["refused"] += 1
        self._bonded = await self._is_bonded()
        match self._known.bonding.refused(self._bonded, asyncio.get_running_loop().time()):
            case BondStep.PAIR:
                await self._pair()
                return True
            case BondStep.RENEW:
                self._forget = True
                raise LinkFailed(
                    Reason.BOND_LOST,
                    f"{self._known.label}: the device lost its bond; it is paired again",
                    "put it in pairing mode if pairing fails",
                )
        if not self._known.bonding.allowed:
            message = f"{self._known.label}: the device wants to be paired, and `pair: never` forbids it"
            self._known.trouble = LinkFailed(Reason.PAIRING, message, "set its option `pair: auto`")
        return False


async def forget_device(radio: SharedStack, known: RememberedDevice, path: str) -> None:
    """Have the system forget a device with its bond and its services, so that it is found and asked anew."""
    known.faults["forgotten"] += 1
    known.log.info("%s: removed from BlueZ, to be found again", known.label)
    with contextlib.suppress(BluezError, LinkFailed, TimeoutError):
        await radio.bluez.remove(path)
