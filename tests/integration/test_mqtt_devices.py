"""Devices that speak MQTT, through the whole agent: real clients, tokens, commands, kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio

from gatepost.client import ApiCall, GatewayError
from tests.listener.rig import MQTT_5, RawClient
from tests.support.ports import free_port
from tests.uplink.broker import Authority, running

from .rig import GATEPOST, LATEST, Agent, Listener, Mosquitto, agent, listening, settings_for, until

paho = pytest.importorskip("paho.mqtt.client")

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "twelve-octets"


class World(NamedTuple):
    agent: Agent
    there: Listener
    port: int
    ws: int
    authority: Authority


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("mqtt")
    authority = Authority(folder / "tls")
    cert, key = authority.issue("gateway", ("localhost", "127.0.0.1"))
    port, ws = free_port(), free_port()
    devices = {
        "plug-3": {"driver": "mqtt", "options": {"password": PASSWORD, "commands": ["set_led"], "answers": True}},
        "plug-4": {"driver": "mqtt", "thresholds": {"t": {"max": 50}}},
    }
    tls = {"cert": str(cert), "key": str(key), "client_ca": str(authority.ca)}
    listener = {"listen": f"127.0.0.1:{port}", "ws": f"127.0.0.1:{ws}", "tls": tls}
    async with running(Mosquitto(folder / "m")) as broker:
        settings = settings_for(folder, broker.url, devices, commands={"allow": {"*": ["*"]}}, listener=listener)
        async with listening(broker.url) as there, agent(folder, settings) as one:
            await until(lambda: there.on("devices/plug-3/status"), LATEST)
            yield World(one, there, port, ws, authority)


def client_of(world: World, device: str, password: str | None, version: int = 4, transport: str = "tcp") -> Any:
    """A paho client that is connected, its thread running."""
    made = paho.Client(paho.CallbackAPIVersion.VERSION2, f"paho-{device}", protocol=version, transport=transport)
    made.username_pw_set(device, password)
    made.tls_set(str(world.authority.ca))
    if transport == "websockets":
        made.ws_set_options("/mqtt")
    made.connect("localhost", world.ws if transport == "websockets" else world.port, 30)
    made.loop_start()
    return made


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(work, *arguments)


async def token_for(world: World, device: str) -> dict[str, Any]:
    made: dict[str, Any] = await world.agent.client.request(ApiCall("POST", "/api/v1/tokens", body={"device": device}))
    assert made["role"] == "device"
    assert made["device"] == device
    return made


@pytest.mark.parametrize(("version", "transport"), [(4, "tcp"), (5, "tcp"), (4, "websockets"), (5, "websockets")])
async def test_paho_publishes_and_the_broker_has_it(world: World, version: int, transport: str) -> None:
    token = (await token_for(world, "plug-4"))["token"]
    client = await in_thread(client_of, world, "plug-4", token, version, transport)
    try:
        for qos in (0, 1, 2):
            body = orjson.dumps({"metric_type": "environment", "t": 20 + qos, "run": f"{version}-{transport}"})
            sent = client.publish("devices/plug-4/data", body, qos)
            await in_thread(sent.wait_for_publish, 10)
        run = f"{version}-{transport}"
        await until(lambda: sum(each.get("run") == run for each in world.there.on("devices/plug-4/data")) == 3, LATEST)
    finally:
        await in_thread(client.disconnect)
        await in_thread(client.loop_stop)


async def test_mosquitto_pub_over_tls_with_a_certificate_alone(world: World, tmp_path: Path) -> None:
    cert, key = world.authority.issue("plug-4", ("plug-4",))
    where = ["-h", "localhost", "-p", str(world.port), "--cafile", str(world.authority.ca)]
    what = ["-t", "devices/plug-4/data", "-m", '{"by": "certificate", "t": 60}', "-q", "1"]
    for version in ("311", "5"):
        command = ["mosquitto_pub", *where, "--cert", str(cert), "--key", str(key), "-V", version, *what]
        done = await in_thread(
            lambda words: subprocess.run(words, capture_output=True, timeout=20, check=False), command
        )
        assert done.returncode == 0, done.stderr
    await until(
        lambda: [each["urgent"] for each in world.there.on("devices/plug-4/data") if each.get("by")] == [True, True],
        LATEST,
    )


async def test_a_command_and_its_outcome(world: World) -> None:
    client = await in_thread(client_of, world, "plug-3", PASSWORD, 5)
    heard: list[dict[str, Any]] = []
    subscribed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_message(client: Any, _: Any, message: Any) -> None:
        heard.append(orjson.loads(message.payload))
        answer = {"id": heard[-1]["id"], "status": "done", "result": {"led": heard[-1]["parameters"]["on"]}}
        client.publish("devices/plug-3/responses", orjson.dumps(answer), 1)

    client.on_message = on_message
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    try:
        client.subscribe("devices/plug-3/commands", 1)
        await asyncio.wait_for(subscribed.wait(), LATEST)
        body = {"id": "led-1", "command": "set_led", "parameters": {"on": True}, "token": "not for the device"}
        world.there.publish("devices/plug-3/commands", orjson.dumps(body))
        await until(
            lambda: [each for each in world.there.on("devices/plug-3/responses") if each["id"] == "led-1"], LATEST
        )
        [answer] = [each for each in world.there.on("devices/plug-3/responses") if each["id"] == "led-1"]
        assert (answer["status"], answer["result"]) == ("done", {"led": True})
        assert heard[0].keys() == {"id", "command", "parameters", "issued_at", "expires_at"}
        await until(lambda: world.there.on("devices/plug-3/status")[-1]["status"] == "online", LATEST)
    finally:
        await in_thread(client.disconnect)
        await in_thread(client.loop_stop)
    await until(lambda: world.there.on("devices/plug-3/status")[-1].get("reason") == "disconnected", LATEST)
    world.there.publish("devices/plug-3/commands", orjson.dumps({"id": "led-2", "command": "set_led"}))
    await until(lambda: [each for each in world.there.on("devices/plug-3/responses") if each["id"] == "led-2"], LATEST)
    assert world.there.on("devices/plug-3/responses")[-1]["error"]["key"] == "device-offline"


async def test_a_device_token_opens_the_listener_alone_and_ends_when_it_is_revoked(world: World) -> None:
    made = await token_for(world, "plug-4")
    client = TlsClient(world, "plug-4", made["token"])
    async with client:
        assert client.connack.code == 0
        shown = await world.agent.client.request(ApiCall("GET", "/api/v1/listener"))
        assert [each["device"] for each in shown["clients"]] == ["plug-4"]
        assert shown["clients"][0]["tls"]
        health = await world.agent.client.request(ApiCall("GET", "/health/detailed"))
        assert health["parts"]["listener"] == {"state": "ok", "connected": 1}
        assert "listener" in await world.agent.client.request(ApiCall("GET", "/api/v1/stats"))
        await world.agent.client.request(ApiCall("DELETE", f"/api/v1/tokens/{made['id']}"))
        end = await client.closed(2.0)
        assert end is not None
        assert end.code == 0x87
    async with TlsClient(world, "plug-4", made["token"]) as again:
        assert again.connack.code == 0x86
    with pytest.raises(GatewayError):
        await world.agent.client.request(ApiCall("POST", "/api/v1/tokens", body={"device": "stranger"}))
    with pytest.raises(GatewayError):
        await world.agent.client.request(ApiCall("DELETE", "/api/v1/listener/clients/plug-4"))


async def test_the_command_line(world: World) -> None:
    made = await world.agent.cli("token", "create", "--device", "plug-4", "--expires", "90d")
    assert made["device"] == "plug-4"
    async with TlsClient(world, "plug-4", made["token"]):
        shown = await world.agent.cli("listener")
        assert shown["authenticatedClients"] == 1
        assert await world.agent.cli("listener", "--hang-up", "plug-4") == {"device": "plug-4", "ended": 1}


async def test_the_simulated_device(world: World) -> None:
    token = (await token_for(world, "plug-4"))["token"]
    words = ["--url", f"mqtts://localhost:{world.port}", "--ca", str(world.authority.ca), "--device", "plug-4"]
    process = await asyncio.create_subprocess_exec(
        GATEPOST,
        "simulate",
        "mqtt",
        *words,
        "--speed",
        "10",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GATEPOST_DEVICE_TOKEN": token},
    )
    try:
        await until(lambda: any("seq" in each for each in world.there.on("devices/plug-4/data")), LATEST)
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), LATEST)
    assert process.returncode == 0
    assert b"messages were acknowledged" in out


class TlsClient(RawClient):
    def __init__(self, world: World, device: str, password: str) -> None:
        super().__init__(world.port, device, MQTT_5, {"password": password.encode()})
        self._context = ssl.create_default_context(cafile=str(world.authority.ca))

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("localhost", self._port, ssl=self._context)
