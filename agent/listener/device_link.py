"""The way to a device that speaks MQTT: always open, while the device comes and goes with what carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from gatepost.agent.core.errors import DeviceOffline, OutcomeUnknown
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.agent.devices.interfaces import DeliveredCommand
from gatepost.agent.listener.client_sessions import NotDelivered
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.link import LinkEvents
from gatepost.drivers.mqtt.message import MqttMessage
from gatepost.drivers.mqtt.options import LISTENER, MqttOptions
from gatepost.drivers.mqtt.topics import TopicPattern

LONGEST_REASON = 64
MOST_AWAITED = 100  # commands whose answer is awaited


class PresenceWord(NamedTuple):
    """What a device said of itself, or its will for it."""

    status: str
    reason: str
    will: bool = False


class CommandCarrier(Protocol):
    """The listener, as commands see it."""

    def send(self, device: str, carrier: str, payload: bytes, expires_in: float) -> asyncio.Future[bool]:
        """Done once the device has it (True: it said so). Raises DeviceOffline when there is no way to it; the future
        fails with NotDelivered."""
        ...

    def is_reachable(self, device: str, carrier: str) -> bool: ...

    def is_connected(self, device: str, carrier: str) -> bool: ...


class LinkOwner(Protocol):
    """The directory, as a link sees it."""

    @property
    def commands(self) -> CommandCarrier: ...

    @property
    def on_pause(self) -> Callable[[MqttLink], None]: ...

    def expect(self, link: MqttLink) -> None: ...

    def forget(self, link: MqttLink) -> None: ...

    def opened(self, link: MqttLink) -> None: ...


class MqttLink:
    """A DeviceLink whose chunks are MqttMessage. `take` hands one on; `carried` tells that what carries it is there.

    `on_settled` are those who wait while the store has no room: told whether it took in the end what was held.
    """

    __slots__ = (
        "_answers", "_away", "_directory", "_events", "_heard", "_up", "_word", "carrier", "is_open", "name",
        "on_settled", "options", "patterns", "paused", "source",
    )  # fmt: skip

    can_pause = True
    tells_presence = True

    def __init__(self, name: str, options: MqttOptions, events: LinkEvents, directory: LinkOwner) -> None:
        self.name = name
        self.options = options
        self.source = options.source
        self.carrier = options.via or name
        self.patterns = [TopicPattern(pattern, name) for pattern in options.topics]
        self.is_open = False
        self.paused = False
        self.on_settled: list[Callable[[bool], None]] = []
        self._events = events
        self._directory = directory
        self._up = False
        self._heard = False
        self._away = ("waiting", "it has not connected yet")
        self._word: PresenceWord | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    # --- a DeviceLink

    def expect(self) -> None:
        self._directory.expect(self)

    def retire(self) -> None:
        self._directory.forget(self)

    def give_up(self) -> None:
        """Another link took its place, or none: what it held and the store did not take is lost."""
        self._settle(False)

    async def open(self, timeout: float) -> None:
        self._directory.expect(self)
        self.is_open = True
        self._tell()
        self._directory.opened(self)

    async def close(self, timeout: float) -> None:
        self.is_open = False
        for answer in self._answers.values():
            answer.cancel()

    def pause(self) -> None:
        self.paused = True
        self._directory.on_pause(self)

    def resume(self) -> None:
        self._settle(True)

    def _settle(self, stored: bool) -> None:
        waiting, self.on_settled = self.on_settled, []
        self.paused = False
        for tell in waiting:
            tell(stored)
        self._directory.on_pause(self)

    async def send(self, data: bytes, timeout: float) -> None:
        raise CommandFailed("not-possible", "this device takes commands, not raw bytes")

    async def usable_again(self) -> None:
        """Nothing keeps it from being opened."""
        await asyncio.Event().wait()

    def counters(self) -> dict[str, int]:
        return {}

    # --- messages

    def take(self, message: MqttMessage, will: bool = False) -> bool:
        """Hand it to the decoder; `message.refusal` says why it was not taken. False: no decoder is there now."""
        if not self.is_open or not self._events.data(message):
            return False
        if message.response is not None and not self._answered(message.response):
            message.refusal = "not-your-topic"
        if message.refusal:
            return True
        if message.status is not None:
            self._say(PresenceWord(*message.status, will))
        elif not self._heard or (self._word is not None and message.response is None):
            self._heard, self._word = True, None  # who speaks is there
            self._tell()
        return True

    def _answered(self, response: dict[str, Any]) -> bool:
        answer = self._answers.get(response["id"])
        if answer is None or answer.done():
            return False
        answer.set_result(response)
        return True

    # --- presence

    @property
    def is_carried(self) -> bool:
        return self._up

    def carried(self, up: bool, key: str = "", message: str = "") -> None:
        """What carries it came or went; `key` and `message` say why it went."""
        self._up = up
        if up:
            self._word = None
            self._heard = self.source == LISTENER and self.carrier == self.name
        else:
            self._away = (key, message)
        self._tell()

    def leaving(self, key: str, message: str) -> None:
        """What carries it goes; its will, and then `carried`, tell so."""
        self._up, self._away = False, (key, message)

    def _say(self, word: PresenceWord) -> None:
        if word.status in ("online", "offline", "error"):
            self._heard = True
            self._word = None if word.status == "online" else word
            self._tell()
        else:
            self._events.known({"device_status": word.status})

    def _tell(self) -> None:
        word = self._word
        if not self.is_open:
            return
        if word is not None:
            reason = word.reason[:LONGEST_REASON] or "said so"
            said = "the device reports an error" if word.status == "error" else "the device said that it is offline"
            if word.will and not self._up:  # which knows less of the end than the gateway
                said = self._away[1]
            self._events.presence(word.status, reason, said)
        elif not self._up:
            self._events.presence("offline", *self._away)
        elif not self._heard:
            self._events.presence("offline", "waiting", "nothing has come from it since the connection was made")
        else:
            self._events.presence("online", "", "")

    # --- commands

    @property
    def reachable(self) -> bool:
        """Whether a command has a way to it: now, or when it takes its session up again."""
        return self.source == LISTENER and self._directory.commands.is_reachable(self.name, self.carrier)

    async def command(self, command: DeliveredCommand) -> dict[str, Any] | AcceptedCommand:
        """Send it; done with its PUBACK, or with the device's answer where it gives one. While the device is away, its
        session keeps the command until it expires: then it is accepted."""
        if self.source != LISTENER:
            raise DeviceOffline(f"{self.name} is carried by a broker: it is sent no commands", "send them through it")
        if len(self._answers) >= MOST_AWAITED:
            raise CommandFailed("busy", "too many commands wait for an answer of this device")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        if self.options.answers:
            self._answers[command.id] = answer
            answer.add_done_callback(lambda _: self._answers.pop(command.id, None))
        try:
            sent = self._directory.commands.send(
                self.name, self.carrier, orjson.dumps(command.as_dict()), command.expires_in
            )
        except BaseException:
            answer.cancel()
            raise
        finished = asyncio.ensure_future(self._finished(sent, answer, command.expires_in))
        if not self._directory.commands.is_connected(self.name, self.carrier):
            return AcceptedCommand({"waiting": "the device is away"}, finished, command.expires_in + 1)
        try:
            done, _ = await asyncio.wait({finished}, timeout=command.within)
        except asyncio.CancelledError:
            finished.cancel()
            raise
        return finished.result() if done else AcceptedCommand({"sent": True}, finished, command.expires_in + 1)

    async def _finished(
        self, sent: asyncio.Future[bool], answer: asyncio.Future[dict[str, Any]], expires_in: float
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(expires_in):
                try:
                    acknowledged = await sent
                except NotDelivered as error:
                    if error.sent:
                        raise OutcomeUnknown(f"it was sent, and {error}") from None
                    raise DeviceOffline(f"it never reached {self.name}: {error}", "send it again") from None
                if not self.options.answers:
                    if not acknowledged:
                        raise OutcomeUnknown("it was sent with QoS 0, which the device does not acknowledge")
                    return {"acknowledged": True}
                response = await answer
        except TimeoutError:
            raise OutcomeUnknown(f"{self.name} did not answer before the command expired") from None
        finally:
            answer.cancel()
        return _result_of(response)


def _result_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """Raises CommandFailed for what the device calls a failure."""
    result, error, status = response.get("result"), response.get("error"), response.get("status")
    if error or status in ("failed", "rejected", "error"):
        key, message = "device-error", "the device said that it failed"
        if isinstance(error, dict):
            key, message = str(error.get("key", key))[:64], str(error.get("message", message))[:256]
        elif isinstance(error, str):
            message = error[:256]
        raise CommandFailed(key, message)
    return result if isinstance(result, dict) else {} if result is None else {"result": result}
