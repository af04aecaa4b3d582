"""Sixteen beds on one HL7 connection through the real agent, which is killed meanwhile."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Any

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.network.hl7.twin import Hl7Twin
from gatepost.drivers.network.twin_client import TcpTwin
from tests.uplink.broker import running

from .rig import Mosquitto, agent, listening, settings_for

BEDS = 16
KILLS = int(os.environ.get("GATEPOST_KILLS", "3"))


class Ward:
    """A gateway that sends for many beds."""

    interval = 1.0

    def __init__(self) -> None:
        self.beds = [Hl7Twin(f"ICU^^{bed}", bed, first=10_000 * bed) for bed in range(1, BEDS + 1)]
        self.quiet = False

    def tick(self) -> bytes:
        return b"" if self.quiet else b"".join(bed.tick() for bed in self.beds)

    def hear(self, data: bytes) -> bytes:
        for bed in self.beds:
            bed.hear(data)
        return b""

    @property
    def acknowledged(self) -> int:
        return sum(len(bed.acknowledged) for bed in self.beds)


async def test_every_acknowledged_message_is_upstream_once(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    devices: dict[str, Any] = {
        "ward": {"driver": "hl7-monitor", "port": f"listen://127.0.0.1:{port}?allow=127.0.0.1"},
        **{
            f"bed-{bed}": {"driver": "hl7-monitor", "options": {"via": "ward", "match": {"bed": f"ICU^^{bed}"}}}
            for bed in range(1, BEDS + 1)
        },
    }
    ward = Ward()
    rng = random.Random(5)
    async with (
        running(Mosquitto(tmp_path / "m")) as broker,
        listening(broker.url) as there,
        agent(tmp_path, settings_for(tmp_path, broker.url, devices), start=False) as gateway,
        TcpTwin(ward, "127.0.0.1", port, Backoff(rng, 0.05, 0.2), speed=5.0),
    ):
        await gateway.spawn()
        for _ in range(KILLS):
            before = ward.acknowledged
            await gateway.until(lambda before=before: ward.acknowledged > before + rng.randint(BEDS, 3 * BEDS), 60)
            await gateway.kill()
            await gateway.spawn()
        before = ward.acknowledged
        await gateway.until(lambda: ward.acknowledged > before + BEDS, 60)
        ward.quiet = True
        await gateway.delivered()
        for number, bed in enumerate(ward.beds, 1):
            stored: dict[str, set[str]] = {}
            cursor = None
            while True:
                page = await gateway.client.data(f"bed-{number}", limit=1000, cursor=cursor)
                for reading in page["readings"]:
                    stored.setdefault(f"{reading['device_timestamp']} {reading['metric_type']}", set()).add(
                        reading["id"]
                    )
                cursor = page["cursor"]
                if cursor is None:
                    break
            assert bed.refused == []
            upstream = {reading["id"] for reading in there.readings(f"bed-{number}")}
            for message in bed.acknowledged:
                second = message
                time = f"2026-11-20T10:{second // 60 % 60:02}:{second % 60:02}"
                kinds = {key for key in stored if key.startswith(time)}
                assert len(kinds) == 4, (number, message, kinds)
                for key in kinds:
                    assert len(stored[key]) == 1, (key, stored[key])
                    assert stored[key] <= upstream
