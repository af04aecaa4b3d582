"""A small peripheral for the tests of the emulated daemon, and an agent on the bus."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakBluetoothNotAvailableError
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.ble.uuids import uuid

ADDRESS = "C0:FF:EE:00:00:01"
SITE, STREAM, POINT = (uuid(number) for number in (0x2A38, 0x2A37, 0x2A39))


class Strap(TwinPeripheral):
    """It does nothing by itself but advertise."""

    interval = 0.0
    advert_interval = 0.02

    def __init__(self, address: str = ADDRESS, encrypted: bool = False) -> None:
        self.heard: list[bytes] = []
        self.stream = TwinCharacteristic(0x2A37, "notify", encrypted=encrypted)
        self.point = TwinCharacteristic(0x2A39, "write indicate", on_write=self._told, encrypted=encrypted)
        self.site = TwinCharacteristic(0x2A38, "read", b"\x01", encrypted=encrypted)
        self.level = TwinCharacteristic(0x2A19, "read notify", b"\x58")
        heart = TwinService(0x180D, [self.stream, self.site, self.point])
        super().__init__("Strap", address, [heart, TwinService(0x180F, [self.level])])

    def _told(self, data: bytes) -> None:
        if data == b"\xff":
            raise GattError("no", 0x80)
        self.heard.append(data)
        self.send(self.point, b"ok" + data)


async def find(address: str = ADDRESS, timeout: float = 5.0) -> BLEDevice:
    """bleak may still have to hear of an adapter that has just come."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(BleakBluetoothNotAvailableError):
                device = await BleakScanner.find_device_by_address(address, timeout=timeout)
                assert device is not None, f"{address} was not found"
                return device
            await asyncio.sleep(0.005)


class PairingAgent:
    """`async with`: an Agent1 on the bus that answers everything as it was told to."""

    def __init__(self, address: str, capability: str = "NoInputNoOutput", answer: Any = None, reject: bool = False):
        self._address = address
        self._capability = capability
        self._answer = answer
        self._reject = reject
        self.asked: list[str] = []

    async def __aenter__(self):
        self.bus = await MessageBus(bus_address=self._address).connect()
        self.bus.add_message_handler(self._hear)
        await self.call("RegisterAgent", "os", ["/agent", self._capability])
        await self.call("RequestDefaultAgent", "o", ["/agent"])
        return self

    async def __aexit__(self, *_):
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()

    async def call(self, member, signature, body):
        manager = "org.bluez.AgentManager1"
        message = Message("org.bluez", "/org/bluez", manager, member, signature=signature, body=body)
        reply = await self.bus.call(message)
        assert reply.message_type is MessageType.METHOD_RETURN, reply.error_name

    def _hear(self, message):
        if message.message_type is not MessageType.METHOD_CALL or message.interface != "org.bluez.Agent1":
            return None
        self.asked.append(message.member)
        if self._answer == "nothing":
            return True
        if self._reject:
            return Message.new_error(message, "org.bluez.Error.Rejected", "no")
        if self._answer is None:
            return Message.new_method_return(message)
        return Message.new_method_return(message, "s" if isinstance(self._answer, str) else "u", [self._answer])
