"""Real agents on a cluster of three nats-servers, one node killed after the other: back, nothing missing, and obeying.

By hand: `python -m tests.desired.cluster`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import orjson
from gatepost_fleet.demo.servers import NatsNode, nats_cluster
from gatepost_fleet.sources.interface import SourceError
from gatepost_fleet.sources.nats import NatsSource

from gatepost.agent.core.errors import UplinkError
from tests.desired.signing import FleetSigner
from tests.integration.rig import Agent, Lines, agent, lines, settings_for, twin
from tests.support.waiting import until
from tests.uplink.gateway import Listener, listening

AGENTS = 2
BACK_WITHIN = 15.0  # seconds
DOWN = 10.0  # seconds that a node stays away
LONG = 90.0
IN_FLIGHT = 20  # readings whose acknowledgements may still have been on their way
INTERVAL = 0.05  # seconds between two lines of a device


class Upstream:
    """What JetStream has kept of all gateways, read as the fleet's worker reads it."""

    def __init__(self, urls: str) -> None:
        self.numbers: dict[str, list[int]] = {}  # gateway -> lines, in order of arrival
        self.ids: dict[str, set[tuple[str, int]]] = {}
        self.accounts: dict[tuple[str, str], dict[str, Any]] = {}
        self._source = NatsSource(urls, "cluster-test")

    async def open(self) -> None:
        while True:
            try:
                return await self._source.open()
            except SourceError:
                await asyncio.sleep(0.2)

    async def run(self) -> None:
        while True:
            try:
                batch = await self._source.take(200, 0.2)
                for delivered in batch:
                    self._note(delivered.topic, orjson.loads(delivered.payload))
                await self._source.acknowledge(batch)
            except SourceError:
                await self.open()

    def _note(self, topic: str, body: dict[str, Any]) -> None:
        gateway = topic.split("/")[1]
        if topic.endswith("/data"):
            _, epoch, seq = body["id"].split(":")
            self.numbers.setdefault(gateway, []).append(body["n"])
            self.ids.setdefault(gateway, set()).add((epoch, int(seq)))
        elif topic.endswith("/account"):
            self.accounts[gateway, body["epoch"]] = body

    def missing(self, gateway: str) -> int:
        """By the gateway's own account."""
        return sum(
            body["sent"]
            - sum(e == epoch and body["from_seq"] <= seq <= body["upto_seq"] for e, seq in self.ids[gateway])
            for (name, epoch), body in self.accounts.items()
            if name == gateway
        )


async def cluster_run(folder: Path) -> list[str]:
    """What did not hold; figures are printed."""
    wrong: list[str] = []
    nodes = nats_cluster(folder, 3)
    signer = FleetSigner()
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        upstream = Upstream(",".join(node.url for node in nodes))
        await upstream.open()
        async with AsyncExitStack() as stack:
            reading = asyncio.create_task(upstream.run())
            stack.callback(reading.cancel)
            boxes: dict[str, tuple[Agent, Lines]] = {}
            for number in range(1, AGENTS + 1):
                name = f"ward-{number}"
                boxes[name] = await _box(stack, folder / name, name, nodes, signer)
            await until(lambda: len(upstream.numbers) == AGENTS, LONG)
            fleet = await _listener(stack, nodes[2])
            for version, node in enumerate(nodes[:2], 1):
                wrong += await _fault(node, fleet, boxes, signer, version)
            for device in (device for _, device in boxes.values()):
                device.quiet = True
            await asyncio.sleep(1)
            for name, (box, device) in boxes.items():
                await box.delivered(LONG)
                await until(lambda name=name, device=device: device.n in upstream.numbers[name], LONG)
                await box.stop()
                await box.start()  # which tells the account at once
                await until(lambda name=name: _told(upstream, name) == device.n, LONG)  # noqa: B023
                came = upstream.numbers[name]
                lost = set(range(1, device.n + 1)) - set(came)
                missing = upstream.missing(name)
                print(
                    f"{name}: {device.n} lines, {len(lost)} missing, {len(came) - len(set(came))} repeated, "
                    f"{missing} missing by its account"
                )
                if lost or missing:
                    wrong.append(f"{name}: {len(lost)} lost, {missing} missing by its account")
    finally:
        for node in nodes:
            node.kill()
    return wrong


def _told(upstream: Upstream, name: str) -> int:
    return sum(body["sent"] for (gateway, _), body in upstream.accounts.items() if gateway == name)


async def _listener(stack: AsyncExitStack, node: NatsNode) -> Listener:
    topics = ("gateways/+/responses", "gateways/+/reported")
    while True:
        with suppress(UplinkError):  # the cluster is not ready for subscriptions as soon as for connections
            return await stack.enter_async_context(listening(node.mqtt_url, topics, protocol="3.1.1"))


async def _box(
    stack: AsyncExitStack, folder: Path, name: str, nodes: list[NatsNode], signer: FleetSigner
) -> tuple[Agent, Lines]:
    folder.mkdir()  # noqa: ASYNC240
    device, _ = await stack.enter_async_context(twin(folder / "tty", INTERVAL))
    urls = [node.mqtt_url for node in nodes]
    devices = {"probe": lines(folder / "tty")}
    settings = settings_for(folder, urls[0], devices, gateway={"id": name, "organization": None})
    settings["brokers"]["a"] |= {"failover": urls[1:], "layout": "gateway", "order": "listed"}
    settings["fleet"] = {"broker": "a", "keys": [signer.settings]}
    box = await stack.enter_async_context(agent(folder, settings))
    return box, device


async def _fault(
    node: NatsNode, fleet: Listener, boxes: dict[str, tuple[Agent, Lines]], signer: FleetSigner, version: int
) -> list[str]:
    """Kill a node; the agents deliver again, obey a command and take a document; then the node is back."""
    wrong = []
    node.kill()
    killed, before = time.monotonic(), {name: await _delivered(box) for name, (box, _) in boxes.items()}
    back: dict[str, float] = {}
    while len(back) < len(boxes) and time.monotonic() < killed + LONG:
        for name in boxes.keys() - back.keys():
            if await _delivered(boxes[name][0]) > before[name] + IN_FLIGHT:
                back[name] = time.monotonic() - killed
        await asyncio.sleep(0.1)
    print(f"{node.name}: kill -9; delivering again after {', '.join(f'{s:.1f} s' for s in back.values())}")
    late = [name for name in boxes if back.get(name, LONG) > BACK_WITHIN]
    if late:
        wrong.append(f"{node.name}: {', '.join(late)} not back within {BACK_WITHIN:g} s")
    for name in boxes:
        wrong += await _obeys(fleet, name, version, signer)
    await asyncio.sleep(max(0.0, killed + DOWN - time.monotonic()))
    await node.start()
    await asyncio.sleep(DOWN)
    return wrong


async def _delivered(box: Agent) -> int:
    """Readings that a broker has acknowledged."""
    (broker,) = (await box.client.brokers())["brokers"]
    return int(broker["delivered"])


async def _obeys(fleet: Listener, name: str, version: int, signer: FleetSigner) -> list[str]:
    root, began = f"gateways/{name}", time.monotonic()
    ident = f"{name}-{version}"
    document = orjson.loads(signer.document(version, {"logging": {"level": "warning"}}))
    body = orjson.loads(document["payload"]) | {"gateway_id": name}
    message = signer.sign(orjson.dumps(body).decode())
    command = orjson.dumps({"id": ident, "command": "ping"})
    wrong = []
    for what, topic, payload, done in (
        ("a command", "commands", command, lambda: _answered(fleet, root, ident)),
        ("a document", "desired", message, lambda: _applied(fleet, root, version)),
    ):
        with suppress(TimeoutError):
            for _ in range(6):  # no subscription is there for a moment after a fail-over: the fleet asks again, too
                fleet.publish(f"{root}/{topic}", payload)
                with suppress(TimeoutError):
                    await until(done, 10)
                    break
            else:
                wrong.append(f"{name} did not take {what}")
    print(f"{name}: a command answered, version {version} applied, {time.monotonic() - began:.1f} s after it was asked")
    return wrong


def _answered(fleet: Listener, root: str, ident: str) -> bool:
    return any(each["id"] == ident and each["status"] == "done" for each in fleet.on(f"{root}/responses"))


def _applied(fleet: Listener, root: str, version: int) -> bool:
    return any(each["version"] == version and each["status"] == "applied" for each in fleet.on(f"{root}/reported"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    folder = tempfile.mkdtemp(prefix="gp-")
    try:
        wrong = asyncio.run(cluster_run(Path(folder)))
    finally:
        if parser.parse_args().keep:
            print(folder)
        else:
            shutil.rmtree(folder)
    print("\n".join(wrong) or "all as it should be")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
