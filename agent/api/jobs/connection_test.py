"""Test of a broker's settings, step by step: name, TCP, TLS, CONNECT, the rights to subscribe and
publish; nothing that runs is touched."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import msgspec
import orjson

from gatepost.agent.core.errors import ConnectFailed, GatepostError, UplinkError
from gatepost.agent.settings.model import BrokerSettings, Secret
from gatepost.agent.settings.topic_templates import own_templates
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.mqtt.connect_options import ConnectOptions
from gatepost.agent.uplink.mqtt.connection import MqttConnection
from gatepost.agent.uplink.mqtt.dial import dial
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.error_text import explain_failure, unanswered
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.mqtt.secret_files import read_file
from gatepost.agent.uplink.mqtt.tls import tls_context
from gatepost.agent.uplink.mqtt.version_fallback import Version
from gatepost.agent.uplink.topics import BrokerTopics

StepName = Literal["dns", "tcp", "tls", "connect", "subscribe", "publish"]
StepState = Literal["ok", "failed", "skipped", "none", "unknown"]
STEPS: tuple[StepName, ...] = get_args(StepName)

WHOLE = 25.0  # seconds for a test,
STEP = 8.0  # and for each step of it
CLOSE = 1.0
DEAD_AFTER = 20.0
SUFFIX = "-test"  # of the client id where the one of the settings is in use

Resolve = Callable[[Secret | None], str | None]


class ConnectionStep(msgspec.Struct, omit_defaults=True):
    """One step: its state, and where it failed a stable key, a sentence and what to do."""

    step: StepName
    state: StepState
    detail: str = ""
    ms: int = 0
    key: str = ""
    message: str = ""
    hint: str = ""


class _StepFailed(Exception):
    pass


class BrokerTester:
    """Tester of one broker's settings, for one run. `in_use`: the client id of the settings is connected now."""

    def __init__(
        self, settings: BrokerSettings, gateway: str, organization: str | None, resolve: Resolve, in_use: bool
    ) -> None:
        self.steps: list[ConnectionStep] = []
        self._settings = settings
        self._gateway = gateway
        self._resolve = resolve
        self._client_id = (settings.client_id or f"gatepost-{gateway}") + (SUFFIX if in_use else "")
        templates = own_templates(settings.layout, {}, settings.topics)
        self._topics = BrokerTopics(templates, gateway, organization, {})
        self._connection: MqttConnection | None = None
        self._context: ssl.SSLContext | None = None
        self._acked: asyncio.Future[int] | None = None

    async def run(self) -> list[ConnectionStep]:
        """Every step, also those that were not reached; never raises for what the network does."""
        try:
            async with asyncio.timeout(WHOLE):
                await self._run()
        except (_StepFailed, TimeoutError):
            pass
        finally:
            if self._connection is not None:
                with contextlib.suppress(Exception):
                    await self._connection.close(CLOSE)
        done = {step.step for step in self.steps}
        return self.steps + [ConnectionStep(name, "skipped") for name in STEPS if name not in done]

    async def _run(self) -> None:
        endpoint = BrokerEndpoint.parse(self._settings.url)
        await self._step("dns", self._resolve_name(endpoint))
        await self._step("tcp", self._dial(endpoint))
        if endpoint.secure:
            await self._step("tls", self._handshake(endpoint))
        else:
            self.steps.append(ConnectionStep("tls", "none"))
        await self._step("connect", self._connect(endpoint))
        if self._settings.format != catalogue.DEVICES:
            detail = f"format {self._settings.format} has topics of its own"
            self.steps += [ConnectionStep("subscribe", "unknown", detail), ConnectionStep("publish", "unknown", detail)]
            return
        if self._settings.commands:
            with contextlib.suppress(_StepFailed):  # publishing may still work
                await self._step("subscribe", self._subscribe())
        else:
            self.steps.append(ConnectionStep("subscribe", "none", "commands are switched off"))
        await self._step("publish", self._publish())

    async def _step(self, name: StepName, work: Awaitable[str | ConnectionStep]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(STEP):
                done = await work
            step = ConnectionStep(name, "ok", done) if isinstance(done, str) else done
        except TimeoutError:
            step = ConnectionStep(name, "failed", key="timeout", message=f"no answer within {STEP:g} s")
            step.hint = "check host and port, the network, and that no firewall is in the way"
        except GatepostError as error:
            key = error.reason if isinstance(error, ConnectFailed) else error.kind
            step = ConnectionStep(name, "failed", key=key, message=error.message, hint=error.hint)
        step.ms = round((time.monotonic() - began) * 1000)
        self.steps.append(step)
        if step.state == "failed":
            raise _StepFailed

    async def _resolve_name(self, endpoint: BrokerEndpoint) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(endpoint.host, endpoint.port)
        except (OSError, UnicodeError) as error:
            raise explain_failure(error, endpoint) from None
        return ", ".join(list(dict.fromkeys(str(each[4][0]) for each in found))[:4])

    async def _dial(self, endpoint: BrokerEndpoint) -> str:
        try:
            link = await dial(endpoint.host, endpoint.port, DEAD_AFTER)
        except OSError as error:
            raise explain_failure(error, endpoint) from None
        with link:
            peer = link.getpeername()
        return f"{peer[0]} port {peer[1]}"

    async def _handshake(self, endpoint: BrokerEndpoint) -> str:
        tls = self._settings.tls
        self._context = await read_file("test", "tls", lambda: tls_context(tls.ca, tls.cert, tls.key, tls.verify))
        try:
            link = await dial(endpoint.host, endpoint.port, DEAD_AFTER)
            _, writer = await asyncio.open_connection(sock=link, ssl=self._context, server_hostname=endpoint.host)
        except (OSError, ssl.SSLError) as error:
            raise explain_failure(error, endpoint) from None
        found = writer.get_extra_info("ssl_object")
        writer.transport.abort()
        trust = "" if tls.verify else ", the certificate is not verified"
        return f"{found.version()}{trust}" if found is not None else trust.lstrip(", ")

    async def _connect(self, endpoint: BrokerEndpoint) -> str:
        password = await read_file("test", "password", lambda: self._resolve(self._settings.password))
        choice = self._settings.protocol
        versions: tuple[Version, ...] = ("5", "3.1.1") if choice == "auto" else (choice,)
        for version in versions:
            options = ConnectOptions(
                client_id=self._client_id,
                protocol=version,
                username=self._settings.username,
                password=password,
                keepalive=math.ceil(self._settings.keepalive),
                context=self._context,
            )
            connection = MqttConnection(
                endpoint, options, on_message=_ignored, on_lost=lambda lost: None, on_ack=self._on_ack
            )
            try:
                await connection.open(STEP)
            except ConnectFailed as error:
                if error.retry == "protocol" and version != versions[-1]:
                    continue
                raise
            self._connection = connection
            return f"MQTT {version}, client id {self._client_id}"
        raise unanswered(endpoint, STEP, connected=True)

    async def _subscribe(self) -> str:
        assert self._connection is not None
        topic = self._topics("gateway_commands")
        code = (await self._connection.subscribe([(topic, 1)], STEP))[0]
        if code >= REFUSED:
            meaning = explain(code)
            raise UplinkError(f"the broker does not grant the subscription to {topic}: {meaning.phrase}", meaning.hint)
        return topic

    async def _publish(self) -> str | ConnectionStep:
        """An event of the gateway that says what it is; not retained."""
        connection = self._connection
        assert connection is not None
        topic = self._topics("gateway_events")
        event = {"event": "connection-test", "gateway_id": self._gateway, "id": secrets.token_hex(6)}
        self._acked = asyncio.get_running_loop().create_future()
        block = connection.properties(content_type="application/json")
        connection.publisher.publish(topic.encode(), orjson.dumps(event), 1, False, block, 0)
        code = await self._acked
        if code >= REFUSED:
            meaning = explain(code)
            raise UplinkError(f"the broker does not take messages on {topic}: {meaning.phrase}", meaning.hint)
        if connection.version != 5:
            detail = f"{topic}: MQTT 3.1.1 acknowledges also what the broker does not allow"
            return ConnectionStep("publish", "unknown", detail)
        return topic

    def _on_ack(self, acks: list[tuple[int, int]]) -> None:
        if self._acked is not None and not self._acked.done() and acks:
            self._acked.set_result(acks[0][1])


async def _ignored(message: Any) -> int:
    return 0
