"""Messages and exports on the command line, through the whole agent and a real broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson

from tests.uplink.broker import running

from .rig import GATEPOST, LATEST, Mosquitto, agent, lines, listening, settings_for, twin, until


async def test_publish_subscribe_and_export(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty"):
        settings = settings_for(tmp_path, broker.url, {"probe": lines(tmp_path / "tty")})
        async with listening(broker.url) as there, agent(tmp_path, settings) as one:
            await one.broker("a", "connected")
            sent = await one.cli("publish", "a", "ward/7/notes", '{"all": "quiet"}', "--qos", "1", "--retain")
            assert (sent["topic"], sent["size"], sent["retain"]) == ("ward/7/notes", 16, True)
            await until(lambda: there.on("ward/7/notes"), LATEST)

            heard = await asyncio.create_subprocess_exec(
                *(GATEPOST, "subscribe", "a", "ward/7/#", "--count", "2", "--json", "--socket", one.socket),
                stdout=asyncio.subprocess.PIPE,
            )
            assert heard.stdout is not None
            first = orjson.loads(await asyncio.wait_for(heard.stdout.readline(), LATEST))
            assert (first["topic"], first["payload"], first["retain"]) == ("ward/7/notes", '{"all": "quiet"}', True)
            there.publish("ward/7/alarm", b"second")
            rest, _ = await asyncio.wait_for(heard.communicate(), LATEST)
            assert [orjson.loads(line)["payload"] for line in rest.splitlines()] == ["second"]
            assert heard.returncode == 0
            assert (await one.client.subscriptions())["subscriptions"] == []

            async with asyncio.timeout(LATEST):
                while (await one.client.data("probe", limit=1))["readings"][0]["n"] < 20:
                    await asyncio.sleep(0.05)
            file = tmp_path / "probe.jsonl"
            done = await one.cli("export", str(file), "--format", "jsonl", "--device", "probe")
            exported = [orjson.loads(line)["n"] for line in file.read_bytes().splitlines()]
            assert len(exported) == done["readings"] >= 20
            assert exported == list(range(exported[0], exported[0] - len(exported), -1))
