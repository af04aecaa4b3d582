"""AgentManager1, and pairing: which agent is asked what (BlueZ doc/agent-api, src/agent.c, src/device.c)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from dbus_fast import Message, MessageType

from gatepost.drivers.ble.twin.dbus_objects import Answer, BusCall, BusError, ObjectTree
from gatepost.drivers.ble.twin.errors import failure

if TYPE_CHECKING:
    from gatepost.drivers.ble.twin.peripheral import TwinPeripheral

PATH, MANAGER, AGENT = "/org/bluez", "org.bluez.AgentManager1", "org.bluez.Agent1"
CAPABILITIES = ("", "DisplayOnly", "DisplayYesNo", "KeyboardOnly", "NoInputNoOutput", "KeyboardDisplay")
KEYBOARD, YES_NO = ("", "KeyboardOnly", "KeyboardDisplay"), ("", "DisplayYesNo", "KeyboardDisplay")
ANSWER_LIMIT = 60.0


class TwinAgent(NamedTuple):
    """Agent of a client."""

    owner: str
    path: str
    capability: str


class TwinAgents:
    """Agents that clients registered; the last default is asked where the caller has none of its own."""

    def __init__(self, objects: ObjectTree) -> None:
        self._objects = objects
        self._agents: dict[str, TwinAgent] = {}
        self._defaults: list[str] = []
        self.asked: list[str] = []  # what agents were asked, for tests

    def publish(self) -> None:
        self._agents.clear()
        self._defaults.clear()
        self._objects.add(PATH, {MANAGER: {}})
        methods = {
            "RegisterAgent": self._register,
            "UnregisterAgent": self._unregister,
            "RequestDefaultAgent": self._default,
        }
        self._objects.serve(PATH, MANAGER, methods)

    def gone(self, owner: str) -> None:
        self._agents.pop(owner, None)
        if owner in self._defaults:
            self._defaults.remove(owner)

    async def _register(self, call: BusCall) -> Answer:
        path, capability = call.body
        if call.sender in self._agents:
            raise failure("AlreadyExists")
        if capability not in CAPABILITIES:
            raise failure("InvalidArguments")
        self._agents[call.sender] = TwinAgent(call.sender, path, capability)
        if not self._defaults:
            self._defaults.append(call.sender)
        return None

    async def _unregister(self, call: BusCall) -> Answer:
        self._mine(call)
        self.gone(call.sender)
        return None

    async def _default(self, call: BusCall) -> Answer:
        self._mine(call)
        if call.sender in self._defaults:
            self._defaults.remove(call.sender)
        self._defaults.append(call.sender)
        return None

    def _mine(self, call: BusCall) -> TwinAgent:
        agent = self._agents.get(call.sender)
        if agent is None or agent.path != call.body[0]:
            raise failure("DoesNotExist")
        return agent

    def of(self, caller: str) -> TwinAgent | None:
        if caller in self._agents:
            return self._agents[caller]
        return self._agents.get(self._defaults[-1]) if self._defaults else None

    async def authenticate(self, device: str, peripheral: TwinPeripheral, caller: str) -> None:
        """Pair by the peripheral's way; raises BusError as Pair() does. `caller` is "" where a request on an
        encrypted characteristic began it."""
        agent = self.of(caller)
        if agent is None:
            raise failure("AuthenticationFailed")
        way = peripheral.pairing
        if way == "just-works":
            if not caller:
                await self._ask(agent, "RequestAuthorization", "o", [device])
        elif way == "passkey" and agent.capability in KEYBOARD:
            if await self._ask(agent, "RequestPasskey", "o", [device]) != peripheral.passkey:
                raise failure("AuthenticationFailed")
        elif way == "pin" and agent.capability in KEYBOARD:
            if await self._ask(agent, "RequestPinCode", "o", [device]) != f"{peripheral.passkey:04d}":
                raise failure("AuthenticationFailed")
        elif way == "confirm" and agent.capability in YES_NO:
            await self._ask(agent, "RequestConfirmation", "ou", [device, peripheral.passkey])
        else:
            raise failure("AuthenticationFailed")

    async def _ask(self, agent: TwinAgent, member: str, signature: str, body: list[Any]) -> Any:
        self.asked.append(member)
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                reply = await self._objects.call(agent.owner, agent.path, AGENT, member, signature, body)
        except TimeoutError:
            raise failure("AuthenticationTimeout") from None
        if reply.message_type is MessageType.ERROR:
            raise _refused(reply)
        return reply.body[0] if reply.body else None


def _refused(reply: Message) -> BusError:
    name = (reply.error_name or "").rpartition(".")[2]
    known = {"Rejected": "AuthenticationRejected", "Canceled": "AuthenticationCanceled"}
    return failure(known.get(name, "AuthenticationFailed"))
