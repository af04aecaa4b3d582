"""The private bus, and simulated devices in a process of their own that takes orders."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from bleak import BleakClient

from gatepost.drivers.ble.twin.console import TwinConsole
from gatepost.drivers.ble.twin.devices.catalogue import make
from gatepost.drivers.ble.twin.emulated_bluetooth import EmulatedBluetooth, SimulatedEntry, settings_text
from gatepost.drivers.ble.twin.private_bus import NoBus, PrivateBus
from tests.ble.conftest import bleak_lets_go
from tests.ble.twin.strap import find
from tests.project.checkout import ROOT
from tests.support.waiting import until

METER, STRAP = "C0:DE:08:00:00:00", "C0:DE:0D:00:00:00"


async def test_a_bus_leaves_nothing_behind(tmp_path: Path) -> None:
    async with PrivateBus(tmp_path / "bus") as bus:
        assert bus.address == f"unix:path={tmp_path / 'bus'}"
        pid = bus.pid
        assert pid is not None
        os.kill(pid, 0)
        with pytest.raises(NoBus, match="in use"):
            await PrivateBus(tmp_path / "bus").start()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (tmp_path / "bus").exists()
    assert bus.pid is None
    await bus.stop()


async def test_a_socket_of_a_killed_bus_is_taken_over(tmp_path: Path) -> None:
    async with PrivateBus(tmp_path / "bus") as old:
        os.kill(old.pid, 9)
        await old._process.wait()
        async with PrivateBus(tmp_path / "bus"):
            pass


async def test_why_there_is_no_bus(tmp_path: Path) -> None:
    with pytest.raises(NoBus, match="not installed"):
        await PrivateBus(program="no-such-daemon").start()
    with pytest.raises(NoBus, match="did not start"):
        await PrivateBus(program="false").start()
    with pytest.raises(NoBus, match="did not start"):
        await PrivateBus(tmp_path / "none" / "bus").start()


async def test_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = make("ble-glucose", every_seconds=0)
    async with EmulatedBluetooth([meter, make("ble-heart-rate")], adapters=2) as stage:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", stage.bus.address)
        console = TwinConsole(stage)

        async def order(*words: object) -> dict:
            return await console.hear(json.dumps(words))

        assert len(meter.records) == 10
        assert await order("measure", METER) == {"done": "measure"}
        assert len(meter.records) == 11
        client = BleakClient(await find(METER))
        await client.connect()
        assert (await order("counts"))[METER]["connects"] == 1
        await order("drop", METER)
        await until(lambda: not client.is_connected)
        await client.disconnect()
        assert (await order("stick", METER, "2a51")) == {"done": "stick"}
        assert (await order("power", False, "hci1")) == {"done": "power"}
        assert stage.daemon.adapters["hci1"].powered is False
        assert (await order("slots", 3)) == {"done": "slots"}
        assert stage.daemon.adapter.slots == 3
        assert (await order("restart")) == {"done": "restart"}
        assert (await find(STRAP)).address == STRAP
        for wrong in ("nonsense", "[]", '["fly"]', '["drop", "nobody"]'):
            assert "error" in await console.hear(wrong)
        await bleak_lets_go()


async def test_a_process_of_its_own() -> None:
    program = [
        sys.executable,
        "-m",
        "gatepost.drivers.ble.twin",
        'ble-glucose::{"stored": 3}',
        "bthome:3",
        "--attached",
    ]
    process = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    assert [each["address"] for each in told["devices"]] == [METER, "C0:DE:E1:00:00:03"]
    socket = Path(told["bus"].removeprefix("unix:path="))
    assert os.path.exists(socket)  # noqa: ASYNC240
    process.stdin.write(b'["counts"]\n')
    assert METER in json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not os.path.exists(socket.parent)  # noqa: ASYNC240


def test_a_drop() -> None:
    placed = [SimulatedEntry("a", "ble", METER), SimulatedEntry("b", "ble-advertisement", STRAP, {"key": "00"})]
    assert settings_text(placed) == (
        f'devices:\n  a:\n    driver: ble\n    address: "{METER}"\n'
        f'  b:\n    driver: ble-advertisement\n    address: "{STRAP}"\n    options: {{"key": "00"}}\n'
    )


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is not installed")
async def test_a_bus_ends_with_a_process_that_is_killed() -> None:
    program = (
        "import asyncio, os\n"
        "from gatepost.drivers.ble.twin.private_bus import PrivateBus\n"
        "async def main():\n"
        "    async with PrivateBus() as bus:\n"
        "        print(bus.pid, flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    await until(lambda: not _runs(int(out)))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_the_example_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/simulate.md: what stands there runs, with a client where it has dots."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "")
    text = (ROOT / "docs" / "simulate.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    assert "    ...  " in example
    example = example.replace("    ...", "    await connect(strap.address)", 1) + "    await let_go()\n"
    body = "async def example():\n" + "".join(f"    {line}\n" for line in example.splitlines())

    async def connect(address: str) -> None:
        await BleakClient(await find(address)).connect()

    names = {"os": os, "connect": connect, "let_go": bleak_lets_go}
    exec(body, names)
    await names["example"]()
