"""Link to one connected peripheral: waits until it advertises, takes a slot, connects, disconnects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gatepost.drivers.ble.link.bleak_peripheral import ConnectedPeripheral
from gatepost.drivers.ble.link.connect_policy import ConnectPolicy
from gatepost.drivers.ble.link.device_claim import DeviceClaim
from gatepost.drivers.ble.link.gatt_connection import GattSession, RememberedDevice, forget_device
from gatepost.drivers.ble.link.rssi_reporter import RssiReporter
from gatepost.drivers.ble.stack.adapter import BluetoothAdapter
from gatepost.drivers.ble.stack.bond_policy import BondPolicy, BondStep
from gatepost.drivers.ble.stack.dbus_client import DEVICE, BluezError
from gatepost.drivers.ble.stack.device_filter import DeviceFilter, addresses_of
from gatepost.drivers.ble.stack.link_errors import PASSING, dropped, error_name, explain
from gatepost.drivers.ble.stack.scanner import AdvertListener, AdvertSighting
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import LinkFailed, Reason

if TYPE_CHECKING:
    from gatepost.drivers.ble.stack.shared_stack import SharedStack
    from gatepost.drivers.link import LinkEvents

WAITING_STATUS = (
    "waiting",
    "waiting for the device to advertise",
    "switch it on, press its button, or take a measurement",
)
STUCK_REASONS = frozenset({Reason.TIMEOUT, Reason.IN_PROGRESS, Reason.RADIO})
MOST_TOLD = 16  # other devices of the same name
FORGET_AFTER_PENDING = 2  # attempts in a row that an earlier one blocked, before the device is forgotten


async def wait_for_advertisement(
    adapter: BluetoothAdapter,
    wanted: DeviceFilter,
    accept: Callable[[AdvertSighting], bool],
    limit: float | None = None,
) -> AdvertSighting | None:
    """The first advertisement that `accept` takes; None after `limit` seconds. LinkFailed: nothing can be heard."""
    caught: asyncio.Future[AdvertSighting] = asyncio.get_running_loop().create_future()

    def seen(sighting: AdvertSighting) -> None:
        if not caught.done() and accept(sighting):
            caught.set_result(sighting)

    def failed(failure: LinkFailed) -> None:
        if not caught.done():
            caught.set_exception(failure)

    end = adapter.scanner.listen(AdvertListener(wanted, seen, failed))
    try:
        async with asyncio.timeout(limit):
            return await caught
    except TimeoutError:
        return None
    finally:
        end()


class GattLink:
    """GATT link to one device; it can be opened again after it was closed or lost, and never has two connections.

    `peripheral` is there while it is open. Every step but the wait for the device is bounded.
    """

    can_pause = False

    def __init__(
        self,
        radio: Callable[[], SharedStack],
        claim: DeviceClaim,
        adapter: str | None,
        driver: Driver,
        events: LinkEvents,
    ) -> None:
        self._get_radio = radio
        self._claim = claim
        self._told: set[str] = set()  # addresses of other devices of the same name
        self._adapter = adapter
        self._events = events
        self._driver = driver
        self._known: RememberedDevice | None = None
        self._rssi: RssiReporter | None = None
        self._session: GattSession | None = None
        self._parting: asyncio.Task[None] | None = None
        self._passkey = ""
        self._pending = 0
        self._listed_in: int | None = None  # with which generation of the daemon

    @property
    def peripheral(self) -> ConnectedPeripheral | None:
        return None if self._session is None or not self._session.open else self._session.peripheral

    async def open(self, timeout: float = 0.0) -> None:
        """Waits without a limit for the device to show itself, and connects each time it does until that works.

        LinkFailed for what another advertisement does not mend: no adapter, no service, no permission, no pairing.
        """
        radio = self._get_radio()
        known = self._remember(radio)
        if self._session is not None:
            await self.close()
        await self._claim.load()
        while True:
            adapter = await radio.adapter(self._adapter, self._events.waiting)
            began = asyncio.get_running_loop().time()
            adapter.awaiting.add(self)
            try:
                if await self._attempt(radio, known, adapter):
                    return
            except LinkFailed as failure:
                if failure.reason not in PASSING and failure.reason is not Reason.ADAPTER_OFF:
                    raise
                known.faults[failure.reason.value] += 1
                self._events.waiting(failure.reason.value, failure.message, failure.hint)
            finally:
                adapter.awaiting.discard(self)
            # Whatever fails at once, or finds the device taken, is not tried in a tight loop.
            await asyncio.sleep(began + radio.timing.first_retry / 2 - asyncio.get_running_loop().time())

    def pause(self) -> None:
        """A peripheral cannot be slowed down."""

    def resume(self) -> None:
        """See `pause`."""

    async def send(self, data: bytes, timeout: float = 0.0) -> None:
        raise LinkFailed(Reason.SETTINGS, f"{self._claim.filter}: a BLE device is written to by characteristic")

    async def close(self, timeout: float = 2.0) -> None:
        """Disconnects, in the background where that takes longer."""
        session, self._session = self._session, None
        if session is not None:
            self._parting = session.part()
            await asyncio.wait((self._parting,), timeout=timeout)

    async def usable_again(self) -> None:
        await self._get_radio().usable_again(self._adapter)

    def counters(self) -> dict[str, int]:
        """Faults that were not reported otherwise, by kind, since the link was made."""
        return {} if self._known is None else dict(self._known.faults)

    def statistics(self) -> dict[str, int]:
        """Connections, losses, bonds, notifications; the last signal strength in dBm."""
        if self._known is None:
            return {}
        counts = self._known.counts.copy()
        if self._session is not None:
            counts["notifications"] += self._session.notifications
        if self._rssi is not None and self._rssi.last is not None:
            counts["rssi"] = self._rssi.last
        return dict(counts)

    # -- one attempt

    def _remember(self, radio: SharedStack) -> RememberedDevice:
        if self._known is None:
            timing, options = radio.timing, self._driver.options
            hold_off = getattr(self._driver, "hold_off", 0.0 if self._driver.streams else timing.hold_off)
            self._passkey = str(getattr(options, "pin", None) or getattr(options, "passkey", None) or "")
            bonding = BondPolicy(str(getattr(options, "pair", "auto")), bool(self._passkey), radio.rng, timing)
            self._known = RememberedDevice(
                str(self._claim.filter), ConnectPolicy(hold_off, radio.rng, timing), bonding, radio.log
            )
            self._rssi = RssiReporter(self._events.known, timing)
        return self._known

    async def _attempt(self, radio: SharedStack, known: RememberedDevice, adapter: BluetoothAdapter) -> bool:
        """Wait for the device, and connect it; False when it was gone, or taken, before its turn came."""
        if not self._driver.streams:
            adapter.slots.occasional.add(self)
        if self._parting is not None:
            await asyncio.wait((self._parting,), timeout=radio.timing.disconnect + radio.timing.undo)
        sighting = await self._left_over(radio, adapter)
        adopted = sighting is not None
        if sighting is None:
            trouble = known.trouble
            if trouble is not None:
                self._events.waiting(trouble.reason.value, trouble.message, trouble.hint)
            elif not known.policy.failures:
                self._events.waiting(*WAITING_STATUS)
            sighting = await self._wait_for_advertisement(adapter, known, None)
        if not adapter.slots.free(self._driver.streams):
            full = f"all connections of {adapter.name} are in use ({adapter.slots.used} of {adapter.slots.limit})"
            if self._driver.streams:
                full += f"; devices that send all the time take turns of {radio.timing.share:.0f} s"
            self._events.waiting(Reason.SLOT.value, full, "it connects when another device disconnects")
        share = radio.timing.share
        try:
            async with AsyncExitStack() as stack:
                stack.callback(await adapter.slots.take(self._driver.streams, lambda: self._make_room(share)))
                async with adapter.turn:
                    if sighting and asyncio.get_running_loop().time() - sighting.at > radio.timing.fresh:
                        sighting = await self._wait_for_advertisement(adapter, known, radio.timing.reappear)
                    if sighting is None or adapter.claims.get(sighting.path, self) is not self:
                        return False
                    session, client = await self._connect(radio, known, adapter, sighting, stack)
        except LinkFailed as failure:
            if sighting is not None and failure.reason is not Reason.ADAPTER_OFF:
                await self._after_failure(radio, known, adapter, sighting, failure, adopted)
            raise
        try:
            await session.begin(client, sighting.name)
        except BaseException:
            self._parting = session.part()
            raise
        self._session = session
        self._pending = 0
        adapter.works()
        if self._rssi is not None:
            self._rssi.report(sighting.rssi, sighting.at)
        return True

    def _make_room(self, share: float) -> None:
        if self._session is not None:
            message = f"{self._claim.filter}: its turn of {share:.0f} s is over, another device gets the connection"
            self._session.leave(LinkFailed(Reason.SLOT, message))

    async def _wait_for_advertisement(
        self, adapter: BluetoothAdapter, known: RememberedDevice, limit: float | None
    ) -> AdvertSighting | None:
        def accept(sighting: AdvertSighting) -> bool:
            if adapter.claims.get(sighting.path, self) is not self or not self._is_meant(sighting):
                return False
            return known.policy.may_connect(sighting.at)

        return await wait_for_advertisement(adapter, self._claim.filter, accept, limit)

    def _is_meant(self, sighting: AdvertSighting) -> bool:
        """False for a second device of the name; that is told once."""
        addresses = addresses_of(sighting.path, sighting.properties)
        if self._claim.may_be(addresses):
            return True
        if self._claim.addresses and addresses[0] not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(addresses[0])
            own = self._claim.addresses[0]
            message = f"{addresses[0]} has the same name, but this entry belongs to {own}, which is awaited"
            self._events.waiting("other-device", message, f"set `address: {addresses[0]}` if that one is meant")
        return False

    async def _left_over(self, radio: SharedStack, adapter: BluetoothAdapter) -> AdvertSighting | None:
        """The device where it is connected already: a killed process leaves that, and no scan shows it."""
        for path, properties in (await self._kept(radio, adapter)).items():
            if not properties.get("Connected") or path in adapter.claims:
                continue
            name = properties.get("Name") or properties.get("Alias") or ""
            if self._claim.filter.matches(properties["Address"], path, name) and self._claim.may_be(
                addresses_of(path, properties)
            ):
                device = BLEDevice(properties["Address"], name, {"path": path, "props": properties})
                data = AdvertisementData(name, {}, {}, [], None, -127, (path, properties))
                return AdvertSighting(device, data, asyncio.get_running_loop().time())
        return None

    async def _kept(self, radio: SharedStack, adapter: BluetoothAdapter) -> dict[str, dict[str, Any]]:
        """Properties of known devices that may be ours: all of them once, after that the one of our address."""
        bluez, root = radio.bluez, f"/org/bluez/{adapter.name}/"
        try:
            wanted = self._claim.filter
            if self._listed_in == bluez.generation and wanted.address and not wanted.also:
                path = root + "dev_" + wanted.address.replace(":", "_")
                return {path: await bluez.properties(path, DEVICE)}
            devices = {path: of[DEVICE] for path, of in (await bluez.objects()).items() if DEVICE in of}
        except (BluezError, TimeoutError) as error:
            failure = explain(adapter.name, error)
            if failure.reason is Reason.GONE or "UnknownInterface" in error_name(error):
                return {}
            raise failure from error
        self._listed_in = bluez.generation
        return {path: properties for path, properties in devices.items() if path.startswith(root)}

    async def _connect(
        self,
        radio: SharedStack,
        known: RememberedDevice,
        adapter: BluetoothAdapter,
        sighting: AdvertSighting,
        stack: AsyncExitStack,
    ) -> tuple[GattSession, BleakClient]:
        """A session that has the slot; or LinkFailed, and the slot is given back."""
        path, bonded = sighting.path, bool(sighting.properties.get("Paired"))
        adapter.claims[path] = self
        stack.callback(adapter.claims.pop, path, None)
        if known.bonding.allowed:
            radio.pairing.devices[path] = self._passkey
            stack.callback(radio.pairing.devices.pop, path, None)
            await radio.pairing.register()
        session = GattSession(radio, known, self._events, self._claim, path, bonded)

        async def hurry() -> bool:
            return adapter.awaits_others(self) and not await self._connected(radio, path)

        async with adapter.scanner.paused():
            client = await radio.connecting.connect(known.label, sighting.device, bonded, session.on_gone, hurry)
        if not client.is_connected:
            radio.connecting.let_go(client)
            raise dropped(known.label)
        session.own(stack.pop_all())
        return session, client

    async def _connected(self, radio: SharedStack, path: str) -> bool:
        """True unless the daemon says that it is not."""
        with contextlib.suppress(BluezError, LinkFailed, TimeoutError):
            return bool((await radio.bluez.properties(path, DEVICE)).get("Connected"))
        return True

    async def _after_failure(
        self,
        radio: SharedStack,
        known: RememberedDevice,
        adapter: BluetoothAdapter,
        sighting: AdvertSighting,
        failure: LinkFailed,
        adopted: bool,
    ) -> None:
        """After a connection that failed: what may have kept it from succeeding is put out of the way."""
        now = asyncio.get_running_loop().time()
        bonded = bool(sighting.properties.get("Paired"))
        known.policy.failed(now)
        if failure.reason in STUCK_REASONS:
            adapter.failed()
        self._pending = self._pending + 1 if failure.reason is Reason.IN_PROGRESS else 0
        forget = self._pending >= FORGET_AFTER_PENDING and not bonded
        if failure.reason in (Reason.DROPPED, Reason.PAIRING, Reason.RADIO):
            sure = failure.reason is not Reason.RADIO
            forget |= known.bonding.ended(bonded, 0.0, False, now, sure=sure) is BondStep.RENEW
        with contextlib.suppress(BluezError, LinkFailed, TimeoutError):
            if adopted or self._pending:
                await radio.bluez.call(sighting.path, DEVICE, "Disconnect", timeout=radio.timing.undo)
        if forget:
            await forget_device(radio, known, sighting.path)
