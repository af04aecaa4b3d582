"""Pairing agent: answers bluetoothd while it pairs (doc/org.bluez.Agent.rst), and asks it to pair.

The agent speaks for devices of the settings only. It says that it has neither input nor output, which gives "Just
Works"; a device with a passkey is paired over a bus connection of its own, whose agent says that it has a keyboard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio.message_bus import MessageBus

from gatepost.drivers.ble.stack.dbus_client import DEVICE, SERVICE, BluezClient, BluezError, body_of
from gatepost.drivers.ble.stack.link_errors import error_name, explain
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed, Reason

AGENT = "org.bluez.Agent1"
MANAGER = "org.bluez.AgentManager1"
PATH = "/org/gatepost/agent"
REJECTED = "org.bluez.Error.Rejected"
# BlueZ says no more when a device with a display or a label refuses to pair without its passkey.
REFUSED_BY_DEVICE = (".AuthenticationFailed", ".AuthenticationRejected")
_NOTHING = frozenset({"Release", "Cancel"})
_YES = frozenset(
    {"RequestConfirmation", "RequestAuthorization", "AuthorizeService", "DisplayPasskey", "DisplayPinCode"}
)

Devices = Mapping[str, str]  # object path of a device that may pair -> its passkey, "" = it has none


def answer(message: Message, devices: Devices) -> Message | None:
    """The reply to a call of Agent1; None where it is none of ours. Anything about other devices is rejected."""
    if message.interface != AGENT or message.path != PATH or message.message_type is not MessageType.METHOD_CALL:
        return None
    if message.member in _NOTHING:
        return Message.new_method_return(message)
    device = str(message.body[0]) if message.body else ""
    passkey = devices.get(device)
    if passkey is not None:
        if message.member in _YES:
            return Message.new_method_return(message)
        if passkey and message.member == "RequestPinCode":
            return Message.new_method_return(message, "s", [passkey])
        if passkey.isdigit() and message.member == "RequestPasskey":
            return Message.new_method_return(message, "u", [int(passkey)])
    return Message.new_error(message, REJECTED, "not for this device")


class PairingAgent:
    """The agent of one process, registered when the first device needs it. `devices` may pair."""

    def __init__(self, bluez: BluezClient, timing: BleTiming, log: logging.Logger) -> None:
        self.devices: dict[str, str] = {}
        self._bluez = bluez
        self._timing = timing
        self._log = log
        self._registered: int | None = None  # with which generation of the daemon
        bluez.handler = lambda message: answer(message, self.devices)

    async def register(self) -> None:
        """Without an agent the daemon lets encrypted reads hang. A daemon that wants none of ours is only warned of."""
        if self._registered == self._bluez.generation:
            return
        generation = self._bluez.generation
        try:
            try:
                await self._bluez.call("/org/bluez", MANAGER, "RegisterAgent", "os", [PATH, "NoInputNoOutput"])
            except BluezError as error:
                if not error.dbus_error.endswith(".AlreadyExists"):
                    raise
            await self._bluez.call("/org/bluez", MANAGER, "RequestDefaultAgent", "o", [PATH])
        except (BluezError, TimeoutError) as error:
            self._log.warning("devices that want to be paired cannot be: %s", explain("pairing", error).message)
            return
        self._registered = generation

    async def pair(self, label: str, path: str) -> None:
        """Bond with the connected device at `path`; one that is bonded is left so. LinkFailed `pairing`."""
        passkey = self.devices.get(path, "")
        try:
            async with asyncio.timeout(self._timing.pair):
                if passkey:
                    await self._with_keyboard(path, passkey)
                else:
                    await self._bluez.call(path, DEVICE, "Pair", timeout=self._timing.pair)
        except Exception as error:
            if error_name(error).endswith(".AlreadyExists"):
                return
            with contextlib.suppress(BluezError, LinkFailed, TimeoutError):
                await self._bluez.call(path, DEVICE, "CancelPairing", timeout=self._timing.undo)
            raise _pairing_failure(label, error, bool(passkey)) from error

    async def _with_keyboard(self, path: str, passkey: str) -> None:
        """Pair with an agent that can type the passkey."""
        bus = MessageBus(bus_type=BusType.SYSTEM)
        try:
            await bus.connect()
            bus.add_message_handler(
                lambda message: answer(message, {path: passkey}) if message.sender == self._bluez.owner else None
            )
            agent = Message(
                SERVICE, "/org/bluez", MANAGER, "RegisterAgent", signature="os", body=[PATH, "KeyboardOnly"]
            )
            for request in (agent, Message(SERVICE, path, DEVICE, "Pair")):
                body_of(await bus.call(request))
        finally:
            bus.disconnect()  # the daemon forgets the agent with its connection
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await bus.wait_for_disconnect()


def _pairing_failure(label: str, error: Exception, has_passkey: bool) -> LinkFailed:
    failure = explain(label, error)
    if failure.reason in (Reason.NO_SERVICE, Reason.PERMISSION, Reason.ADAPTER_OFF):
        return failure
    if failure.reason is Reason.PAIRING and error_name(error).endswith(REFUSED_BY_DEVICE) and not has_passkey:
        hint = "if it shows or has a PIN or passkey, set its option `passkey`; else put it in pairing mode"
        return LinkFailed(Reason.PAIRING, f"{label}: the device wants a passkey, or is not in pairing mode", hint)
    if failure.reason is Reason.PAIRING:
        return failure
    hint = "put the device in pairing mode; if it has a PIN or passkey, set its option `passkey`"
    return LinkFailed(Reason.PAIRING, f"{label}: pairing failed: {failure.message}", hint)
