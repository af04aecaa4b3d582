"""Full and read-only disks: the agent starts, serves, drains and says so; storing goes on when the disk is back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.uplink.broker import running

from .rig import Mosquitto, agent, lines, listening, settings_for, twin


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=False)


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def fill(place: Path) -> None:
    """To the last octet, with what was kept for a start."""
    for spare in place.rglob("*.spare"):
        spare.unlink()
    with (place / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


SPOIL: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], str]] = {
    "read-only": (lambda disk: remount(disk, "ro"), lambda disk: remount(disk, "rw"), "read-only"),
    "full": (fill, lambda disk: (disk / "ballast").unlink(), "read-only"),
}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("kind", SPOIL)
async def test_a_start_on_a_bad_disk_serves_drains_and_says_so(
    tmp_path: Path, disk: Path, kind: str, killed: bool
) -> None:
    spoil, mend, word = SPOIL[kind]
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty") as (device, _):
        devices = {"probe": lines(tmp_path / "tty")}
        settings = settings_for(tmp_path, broker.url, devices, gateway={"state_dir": str(disk / "state")})
        settings["store"]["reserve"] = "100kB"
        settings["brokers"]["a"]["active"] = False
        async with agent(tmp_path, settings) as one:
            await one.until(lambda: device.n > 40)
            device.quiet = True
            await one.taken("probe", device.n)
            stored = await one.stored("probe")
            await (one.kill() if killed else one.stop())
            settings["brokers"]["a"]["active"] = True
            one.write()
            spoil(disk)
            async with listening(broker.url) as there:
                await one.start()
                await one.until(lambda: set(there.numbers("probe")) >= set(stored))
                assert {reading["id"] for reading in there.readings("probe")} >= set().union(*stored.values())
                device.quiet = False
                last = device.n + 30
                await one.until(lambda: device.n >= last)
                device.quiet = True
                last = device.n
                if kind == "read-only" or not killed:  # else emptying the write-ahead log makes room
                    health = await one.client.health_detailed()
                    assert health["status"] == "degraded"
                    assert kind == "full" or word in health["parts"]["store"]["state"]
                    await one.until(lambda: any("STATUS=nothing is stored" in line for line in one.heard()))
                    await one.until(lambda: there.on("gateways/gw/status")[-1]["status"] == "degraded")
                    findings = {one["id"]: one for one in (await one.client.doctor())["findings"]}
                    assert findings["store-failing"]["do"]
                mend(disk)
                await one.taken("probe", last)
                await one.until(lambda: last in there.numbers("probe"))
                await one.until(lambda: there.on("gateways/gw/status")[-1]["status"] == "online")
                await one.stop()
            await one.start()
            assert set(range(min(stored), last)) <= set(await one.stored("probe"))


@pytest.mark.parametrize("directory", [False, True])
async def test_a_database_removed_under_way_is_written_again(tmp_path: Path, directory: bool) -> None:
    settings = settings_for(tmp_path, None, {"probe": lines(tmp_path / "tty")})
    async with twin(tmp_path / "tty") as (device, _), agent(tmp_path, settings) as one:
        await one.until(lambda: device.n > 40)
        if directory:
            shutil.rmtree(one.state)
        else:
            for name in ("gatepost.db", "gatepost.db-wal", "gatepost.db-shm"):
                (one.state / name).unlink()
        await one.until(lambda: (one.state / "gatepost.db").exists(), 10)
        last = device.n + 40
        await one.until(lambda: device.n > last)
        device.quiet = True
        await one.taken("probe", device.n)
        await one.stop()
        await one.start()
        stored = sorted(await one.stored("probe"))
        assert stored == list(range(stored[0], device.n + 1))
        assert (await one.client.gaps())["gaps"] == []
