"""The example of docs/drivers-ble.md: a driver with a profile of its own."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.driver import WrongDevice
from tests.ble.profiles.bench import Bench, played, values

PAGE = (Path(__file__).parents[3] / "docs" / "drivers-ble.md").read_text("utf-8")


def example() -> dict[str, Any]:
    (code,) = [text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "acme-patch" in text]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/drivers-ble.md", "exec"), names)
    return names


class PatchTwin(TwinPeripheral):
    interval = 1.0

    def __init__(self, names: dict[str, Any]) -> None:
        self.running = False
        self.value = TwinCharacteristic(names["VALUE"], "notify")
        self.control = TwinCharacteristic(names["CONTROL"], "write", on_write=self._told)
        battery = TwinService(0x180F, [TwinCharacteristic(0x2A19, "read", bytes([61]))])
        service = TwinService(names["SERVICE"], [self.value, self.control])
        super().__init__("Patch", "AA:00:00:00:00:0D", [service, battery])

    def _told(self, data: bytes) -> None:
        assert self.value.subscribed
        self.running = data == bytes([1])

    def tick(self) -> None:
        if self.running:
            self.send(self.value, (3725).to_bytes(2, "little"))


@played
async def test_the_example_reads_its_device() -> None:
    names = example()
    b = Bench(names["AcmePatch"](), PatchTwin(names))
    await b.session(lambda: asyncio.sleep(5))
    assert values(b.stored, "temperature")[:3] == [37.25] * 3
    assert b.known["battery"] == 61


@played
async def test_the_example_counts_what_is_wrong_and_knows_its_device() -> None:
    names = example()
    decoder = names["AcmePatch"]().decoder()
    assert decoder.feed(GattValue(names["VALUE"], b"x", 1, names["SERVICE"])) == []
    assert dict(decoder.faults) == {"bad_length": 1}
    assert decoder.feed(GattValue(names["VALUE"], bytes(2), 1))[0].values == {"temperature": 0.0}
    wrong = await Bench(names["AcmePatch"](), TwinPeripheral("Lamp", "AA:00:00:00:00:0E")).session()
    assert isinstance(wrong, WrongDevice)
    assert "needs ACME patch" in str(wrong)
