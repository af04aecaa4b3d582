"""Commands of one device: those that the gateway gives every device, and the driver's own.

`status`, `start_monitoring`, `stop_monitoring`, `set_interval` work on a device that is away; they are kept by the
store before they take effect (desired_state.py).
`read_now` waits for the next reading of a device that speaks by itself,
reports it at once outside of the pace, also while monitoring is stopped, and answers when it is stored. A driver with a
`read_now` of its own asks its device; a driver's own command of a generic name goes before the gateway's.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import DeviceBusy, DeviceOffline, Rejected
from gatepost.agent.devices.builtin_commands import GENERIC, SetInterval, StartMonitoring
from gatepost.agent.devices.desired_state import DesiredState, OrderSource
from gatepost.agent.devices.device_session import DeviceSession
from gatepost.agent.devices.health import reason_of
from gatepost.agent.devices.interfaces import DeliveredCommand, ReadingStore
from gatepost.agent.devices.reading_pipeline import RequestedReading
from gatepost.agent.devices.status_view import view_of
from gatepost.drivers.driver import Command, CommandFailed, Driver
from gatepost.drivers.reading import Reading

STORED_WITHIN = 10.0  # seconds; a store that takes longer is in trouble


def commands_of(driver: Driver | type[Driver]) -> dict[str, Command]:
    """What a device of this driver understands, by name; a command of the driver's own stands for the gateway's."""
    if isinstance(driver, type):
        return {command.name: command for command in (*GENERIC, *driver.commands)}
    generic = {command.name: driver.any_command(command.name) or command for command in GENERIC}
    return generic | {command.name: command for command in driver.named_commands()}


class CommandExecutor:
    """Executes one command of one device. Raises Rejected, DeviceOffline, DeviceBusy, CommandFailed, StoreError."""

    def __init__(self, store: ReadingStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def execute(
        self, session: DeviceSession, name: str, parameters: msgspec.Struct, source: str = ""
    ) -> dict[str, Any]:
        if isinstance(parameters, DeliveredCommand):
            return await self._deliver(session, parameters)
        command = commands_of(session.driver).get(name)
        if command is None:
            known = ", ".join(sorted(commands_of(session.driver)))
            raise Rejected(f"{session.name} has no command {name}", f"it has {known}", key="unknown-command")
        if not isinstance(parameters, command.parameters):  # another driver since they were checked
            raise Rejected(f"{session.name} was changed meanwhile", "send the command again", key="busy")
        if command in session.driver.commands:
            return await self._own(session, command, parameters)
        match name:
            case "status":
                return dict(view_of(session, self._clock))
            case "read_now":
                return await self._read_now(session, command)
            case _:
                return await self._want(session, parameters, source)

    async def _deliver(self, session: DeviceSession, command: DeliveredCommand) -> dict[str, Any]:
        """To a device that carries it out itself."""
        link: Any = session.link
        if link is None or not hasattr(link, "command"):
            raise _offline(session)
        result: dict[str, Any] = await link.command(command)
        return result

    async def _want(self, session: DeviceSession, parameters: msgspec.Struct, source: str) -> dict[str, Any]:
        """Change what is wanted of the device."""
        now, boot, every = self._clock.now(), self._clock.boot_id, session.device.every

        def change(desired: DesiredState) -> DesiredState:
            match parameters:
                case StartMonitoring():
                    return desired.started(parameters.interval, parameters.duration, every, now, boot, source)
                case SetInterval():
                    return desired.paced(parameters.interval, every, OrderSource(now.wall, source))
                case _:
                    return desired.stopped(OrderSource(now.wall, source))

        await session.order(change)
        return {**session.desired.as_dict(), "every": session.every}

    async def _read_now(self, session: DeviceSession, command: Command) -> dict[str, Any]:
        if session.link is None:
            raise _offline(session)
        ask = session.pipeline.ask()
        try:
            async with asyncio.timeout(command.timeout):
                asked = await ask
        except TimeoutError:
            message = f"{session.name} gave no reading within {command.timeout:g} s"
            raise CommandFailed("timeout", message) from None
        finally:
            session.pipeline.forget(ask)
        return await self._shown(asked)

    async def _own(self, session: DeviceSession, command: Command, parameters: msgspec.Struct) -> dict[str, Any]:
        if session.link is None:
            raise _offline(session)
        if session.pipeline.exchange is not None:
            raise DeviceBusy(f"{session.name} is carrying out another command", "try again when that is done")
        exchange = session.exchange(session.link, at_once=command.name == "read_now")
        session.pipeline.exchange = exchange
        try:
            async with asyncio.timeout(command.timeout):
                result = await session.driver.execute(command.name, parameters, exchange)
        except CommandFailed:
            raise
        except TimeoutError:
            message = f"{session.name} did not answer within {command.timeout:g} s"
            raise CommandFailed("timeout", message) from None
        except Exception as error:
            raise self._failure(session, error) from error
        finally:
            session.pipeline.exchange = None
            session.liveness.wake()
        if exchange.at_once and exchange.answer is not None:
            item, seq = exchange.answer
            if isinstance(item, Reading) and seq:
                return {**await self._shown(RequestedReading(item, seq)), **result}
        return result

    def _failure(self, session: DeviceSession, error: Exception) -> CommandFailed:
        reason = reason_of(error)
        if reason.key == "failed":
            session.health.faults.add("command-error", reason.message)
            return CommandFailed("driver-error", f"the driver could not do it: {reason.message}")
        return CommandFailed("connection-lost", reason.message)

    async def _shown(self, asked: RequestedReading) -> dict[str, Any]:
        """The reading that was asked for, once it is stored."""
        try:
            async with asyncio.timeout(STORED_WITHIN):
                await self._store.stored(asked.seq)
        except TimeoutError:
            raise CommandFailed("store-timeout", f"the reading was not stored within {STORED_WITHIN:g} s") from None
        reading = asked.reading
        return {
            "reading_id": self._store.reading_id(asked.seq),
            "metric_type": reading.metric,
            "values": reading.values,
            "units": reading.units,
            "quality": reading.quality,
            "flags": list(reading.flags),
        }


def _offline(session: DeviceSession) -> DeviceOffline:
    reason = session.health.reason
    why = f": {reason.message}" if reason.message else ""
    return DeviceOffline(f"{session.name} is not there now{why}", reason.hint)
