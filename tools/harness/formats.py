"""CPU of making messages, by payload format: `python -m tools.harness.formats [--readings N]`.

An oximeter's reading (three values, no flags) is rendered and encoded for MQTT 5; nothing is sent. Best of five rounds,
CPU time of the process. Format `devices` is the floor of the same run.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import orjson

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.store.model import IN_STEP, Record, Series
from gatepost.agent.uplink.devices_format import DevicesFormat
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import ContractFormat, DeviceProfile, FormatContext, PayloadFormat
from gatepost.agent.uplink.message_renderer import MessageRenderer
from gatepost.agent.uplink.mqtt.codec import encode_properties
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.topics import BrokerTopics

ROUNDS = 5
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
COMMON = {"metric_type": "pulse_oximetry", "units": UNITS, "quality": "good", "flags": []}
SERIES = Series(1, 1, "ox", "P-1", orjson.dumps(COMMON))
START = 1_795_170_600_000_000


class _Limits:
    version = 5
    maximum_packet_size = None


def _properties(kind: str | None = None, pairs: Any = (), message_expiry: int | None = None) -> bytes:
    return encode_properties(kind, pairs, message_expiry=message_expiry)


def renderer(name: str) -> MessageRenderer:
    """As a connected broker of this format has it."""
    kind: type[PayloadFormat] = ContractFormat if name == catalogue.DEVICES else catalogue.load(name)
    options: Any = kind.options_type()
    if name == "datastream":
        options = kind.options_type(telemetry={value: number for number, value in enumerate(UNITS)})  # type: ignore[call-arg]
    topics = BrokerTopics(dict(kind.default_topics), "gw", None)
    payload_format = kind(FormatContext("gw", "1", 1, options, topics, {"ox": DeviceProfile("nonin")}))
    payload_format.will(START)
    list(payload_format.connected(START))
    fast = DevicesFormat("gw", lambda _: b"gw:0123abcd:", topics, 5) if name == catalogue.DEVICES else None
    made = MessageRenderer(
        payload_format, fast, BrokerRoutes("b", [], {}), lambda seq: f"gw:0123abcd:{seq}", SystemClock(), 1, None
    )
    made.start(_Limits(), _properties)  # type: ignore[arg-type]
    return made


def measure(name: str, readings: int) -> tuple[float, float]:
    """(seconds of CPU, messages) of one reading."""
    made = renderer(name)
    rows = [
        Record(
            seq,
            1,
            START + seq * 1000,
            seq,
            IN_STEP,
            b'{"spo2":97,"heart_rate":%d,"perfusion_index":4.2}' % (60 + seq % 40),
        )
        for seq in range(1, readings + 1)
    ]
    best, messages = float("inf"), 0
    for _ in range(ROUNDS):
        began, messages = time.process_time(), 0
        for row in rows:
            messages += len(made.render([made.route(row, SERIES, row.wall, "synchronised", False)]))
        best = min(best, (time.process_time() - began) / readings)
    return best, messages / readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=5000, help="in each round")
    readings = parser.parse_args().readings
    print(f"{'format':14} {'us a reading':>12} {'messages':>9}")
    for name in catalogue.names():
        seconds, messages = measure(name, readings)
        print(f"{name:14} {seconds * 1e6:12.1f} {messages:9.1f}")


if __name__ == "__main__":
    main()
