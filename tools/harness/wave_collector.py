"""The far end for waveforms: how many samples of each ECG arrived, and whether each follows the one before."""

from __future__ import annotations

import json
import sys
from typing import Any

import orjson

from tools.harness import wire
from tools.harness.collector import Collector
from tools.harness.wave_feeder import counted


class Curve:
    """What arrived of one device, in order of arrival. `breaks`: samples that are not the next one."""

    def __init__(self) -> None:
        self.samples = self.blocks = self.gaps = self.breaks = 0

    def add(self, block: dict[str, Any]) -> None:
        self.blocks += 1
        self.gaps += "gap" in block.get("flags", ())
        for sample in block["samples"]:
            self.breaks += sample != counted(self.samples)
            self.samples += 1


class WaveCollector(Collector):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._curves: dict[str, Curve] = {}
        self._others = 0

    def _take(self, message: wire.Publish, now: int) -> None:
        body = orjson.loads(message.payload)
        for one in body.get("readings", (body,)):
            if "samples" in one and one.get("channel") == "ecg":
                self._curves.setdefault(one["device_id"], Curve()).add(one)
            else:
                self._others += 1

    def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        curves = self._curves.values()
        return {
            "devices": len(curves),
            "samples": sum(curve.samples for curve in curves),
            "blocks": sum(curve.blocks for curve in curves),
            "breaks": sum(curve.breaks for curve in curves),
            "gaps": sum(curve.gaps for curve in curves),
            "others": self._others,
            "connects": self._connects,
        }


if __name__ == "__main__":
    WaveCollector(**json.loads(sys.argv[1])).run()
