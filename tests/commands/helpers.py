"""A desk over the real ledger; clock, devices and the app's actions implement their interfaces for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import orjson

from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.dispatcher import CommandDispatcher
from gatepost.agent.commands.model import AddressedResponse, CommandRequest, CommandResponse
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.builtin_commands import GENERIC, AcceptedCommand
from gatepost.agent.devices.health import DeviceCondition, DeviceState
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.command_ledger import CommandLedger
from gatepost.agent.store.database import Database
from gatepost.agent.store.schema import migrate
from gatepost.drivers.driver import Command
from tests.support.clock import T0 as T0
from tests.support.clock import HandClock

BOUND = 10.0


class SyncTime(msgspec.Struct, forbid_unknown_fields=True):
    zone: str = "UTC"


class OneDevice:
    state = DeviceState.ONLINE


class Room:
    """Devices whose commands do what the test says."""

    def __init__(self) -> None:
        self.all = {name: OneDevice() for name in ("oximeter-1", "scale-2")}
        self.done: list[tuple[str, str, dict[str, Any]]] = []
        self.result: Any = {"ok": True}
        self.sources: list[str] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.lasting: asyncio.Future[dict[str, Any]] | None = None

    def state_of(self, device_id: str, /) -> DeviceCondition | None:
        device = self.all.get(device_id)
        return None if device is None else DeviceCondition(device.state)

    def commands(self, device_id: str, /) -> dict[str, Command]:
        own = Command("sync_time", "Set the device's clock", SyncTime)
        return {command.name: command for command in (*GENERIC, own)}

    def any_command(self, device_id: str, name: str, /) -> Command | None:
        return None

    async def execute(self, device_id: str, command: str, parameters: msgspec.Struct, source: str, /) -> Any:
        self.sources.append(source)
        self.done.append((device_id, command, msgspec.to_builtins(parameters)))
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return AcceptedCommand({"for": 60}, self.lasting) if self.lasting is not None else self.result


class Actions:
    """The app's side of the gateway's commands, remembering what it was asked."""

    def __init__(self) -> None:
        self.done: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        async def action(**given: Any) -> dict[str, Any]:
            self.done.append((name, given))
            return {"did": name}

        return action


class Lines:
    """An audit that keeps its entries in a list."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def record(self, what: str, **fields: Any) -> None:
        self.all.append({"what": what, **fields})


class Office:
    """Everything around one desk; `link` False = the broker's link is down."""

    def __init__(self, database: Database, settings: Settings, clock: HandClock) -> None:
        self.clock = clock
        self.settings = settings
        self.ledger = CommandLedger(database)
        self.audit = Lines()
        self.room = Room()
        self.actions = Actions()
        self.events = EventBus()
        self.tokens: dict[str, str] = {}
        self.key: str | None = None
        self.sent: list[AddressedResponse] = []
        self.attempts = 0
        self.link = True
        self.slow: asyncio.Event | None = None  # an acknowledgement waits for it
        guard = CommandAuthenticator(lambda device: self.tokens.get(device), lambda: self.key)
        self.dispatcher = CommandDispatcher(
            self.ledger,
            self.audit,
            self.room,
            self.actions,
            lambda: self.settings,
            clock,
            guard,
            self._send,
            self.events,
        )

    async def _send(self, answer: AddressedResponse) -> bool:
        self.attempts += 1
        if self.link:
            self.sent.append(answer)
        if self.slow is not None:
            await self.slow.wait()
        return self.link

    async def ask(self, body: Any, target: str | None = "oximeter-1", **more: Any) -> CommandResponse:
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        response = await self.dispatcher.handle(
            CommandRequest(**{"source": "mqtt:hospital", "target": target, "payload": payload} | more)
        )
        while self.slow is None and self.dispatcher._refusals:  # a refusal waits for no broker
            await asyncio.sleep(0)
        return response

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [orjson.loads(answer.payload) for answer in self.sent]


async def open_database(path: Path) -> Database:
    """The real file: WAL, synchronous = FULL."""
    database = Database(path)
    await database.open()
    await migrate(database, "ward-7")
    return database


def settings(**commands: Any) -> Settings:
    body = {
        "gateway": {"id": "ward-7"},
        "devices": {"oximeter-1": {"driver": "lines"}, "scale-2": {"driver": "lines", "token": {"env": "SCALE"}}},
        "commands": commands,
    }
    return msgspec.convert(body, Settings)
