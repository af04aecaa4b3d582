"""docs/write-a-driver.md: its files are put together as an installed package, pass the tests that stand there, and run
in the agent's devices room, over a real PTY."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gatepost.drivers.driver import CommandFailed, DeviceIO, ForbiddenWrite, SessionOver, WrongDevice
from gatepost.drivers.options import DriverOptions, OptionProblem
from gatepost.drivers.serial.common.frame_sync import FrameTrust
from gatepost.drivers.testing.driver_kit import assert_driver, assert_pieces, assert_survives, in_virtual_time, session
from gatepost.drivers.testing.pty import PtyTwin
from gatepost.drivers.waveforms import WaveformBlocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-a-driver.md").read_text("utf-8")
FILES = dict(re.findall(r"`([\w.]+\.(?:py|toml))`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))

IN_THE_AGENT = """
import asyncio, logging, random, tempfile
from pathlib import Path

import msgspec, yaml

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Registry
from gatepost.drivers.testing.pty import PtyTwin
from tests.devices.fakes import MemoryStore
from tests.support.waiting import until

registry = Registry.installed()
kind = registry.get("acme-t2")
drop = yaml.safe_load(DROP)["devices"]["patch-1"]
drop["port"] = str(Path(tempfile.mkdtemp()) / "t2")
store = MemoryStore()
house = DeviceManager(registry, store, SystemClock(), EventBus(), random.Random(1), logging.getLogger("guide"))

def all_came():
    flags = [flag for reading in store.readings() for flag in reading["flags"]]
    live = any(reading.get("temperature") == 37.0 for reading in store.readings())
    waves = sum("samples" in reading for reading in store.readings())
    return live and waves >= 3 and flags.count("from-memory") >= 5 and house.get("patch-1")["status"] == "online"

async def main():
    twin = kind.twin()
    async with PtyTwin(twin, Path(drop["port"]), speed=20):
        await house.apply({"patch-1": msgspec.convert(drop, DeviceSettings)})
        await until(all_came, 60.0)
        view = house.get("patch-1")
        await house.close()
    stored = store.readings("patch-1")
    kept = [reading for reading in stored if "from-memory" in reading["flags"]]
    assert [reading["temperature"] for reading in kept] == [36.1, 36.2, 36.3, 36.4, 36.5], kept
    assert kept[0]["device_timestamp"] == "2026-11-20T01:30:00", kept[0]
    live = [reading for reading in stored if reading.get("temperature") == 37.0]
    assert live and live[0]["units"] == {"temperature": "Cel"} and live[0]["metric_type"] == "body_temperature"
    wave = next(reading for reading in stored if "samples" in reading)
    assert len(wave["samples"]) == 100 and wave["rate_hz"] == 100.0 and wave["channel"] == "pleth"
    assert view["status"] == "online", view
    assert not twin.erased
    print("works")

asyncio.run(main())
"""


@pytest.fixture
def package(tmp_path):
    """As an installer leaves it: the modules, and the metadata with its entry points."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(about)
    (group, entries) = next(iter(project["entry-points"].items()))
    points = "\n".join(f"{name} = {target}" for name, target in entries.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    for name in FILES:
        if name.endswith(".py"):
            (tmp_path / name).write_text(FILES[name])
    return tmp_path


def run(package, *arguments):
    environ = os.environ | {"PYTHONPATH": f"{package}:{ROOT}", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environ, cwd=package
    )


def test_the_page_has_its_files():
    assert set(FILES) == {"pyproject.toml", "gatepost_acme.py", "test_gatepost_acme.py"}
    project = tomllib.loads(FILES["pyproject.toml"])
    assert project["project"]["entry-points"]["gatepost.drivers"] == {"acme-t2": "gatepost_acme:AcmeT2"}


def test_the_tests_on_the_page_pass(package):
    done = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "test_gatepost_acme.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_it_runs_in_the_agent(package):
    drop = next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "acme-t2" in text)
    done = run(package, "-c", f"DROP = {drop!r}\n{IN_THE_AGENT}")
    assert done.stdout == "works\n", done.stderr


def test_the_command_line_shows_it(package):
    done = run(package, "-m", "gatepost.agent.cli", "drivers", "acme-t2")
    assert done.returncode == 0, done.stderr
    for word in ("acme-t2", "4800 baud, 8E1", "site", "sync_time", "ACME document 4711"):
        assert word in done.stdout


def test_its_code_is_as_clean_as_ours(package):
    """Formatted and without a complaint by the rules of this repository."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed here")
    for work in (["format", "--check"], ["check", "--ignore", "ANN,S,DTZ,RUF012"]):
        command = [ruff, *work, "--config", ROOT / "pyproject.toml", package / "gatepost_acme.py"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_the_page_names_is_there():
    """The names are imported above: a page about what is gone fails here."""
    named = (
        assert_driver,
        assert_pieces,
        assert_survives,
        session,
        in_virtual_time,
        DriverOptions,
        OptionProblem,
        FrameTrust,
    )
    named += (PtyTwin, WaveformBlocks, CommandFailed, DeviceIO, ForbiddenWrite, SessionOver, WrongDevice)
    for thing in named:
        assert thing.__name__ in PAGE, thing
    for method in (
        "run_session",
        "on_open_bytes",
        "on_close_bytes",
        "decoder",
        "violation",
        "twin",
        "execute",
        "value_names",
    ):
        assert method in PAGE
