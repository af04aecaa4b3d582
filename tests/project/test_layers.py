"""Who may know what: imports run downward only, and each outside library has one room that speaks to it."""

from __future__ import annotations

import subprocess
import sys

from tests.project.checkout import ROOT, imports, modules

BASE = {"agent", "agent.errors", "agent.clock", "agent.events", "agent.process", "drivers"}
LOG = BASE | {"agent.settings", "agent.store"}

ANY = LOG | {
    *("agent.devices", "agent.uplink", "agent.commands", "agent.api", "agent.client"),
    *("agent.app", "agent.actions", "agent.lock", "agent.timekeeper"),
}

# room -> the rooms it may import from, itself aside
MAY_KNOW = {
    "drivers": set(),
    "agent": set(),
    "agent.errors": set(),
    "agent.clock": set(),
    "agent.events": set(),
    "agent.process": {"agent.errors"},
    "agent.settings": BASE,
    "agent.store": BASE | {"agent.settings"},
    "agent.devices": LOG,
    "agent.uplink": LOG,
    "agent.commands": LOG | {"agent.devices"},
    "agent.api": LOG | {"agent.commands", "agent.devices", "agent.uplink"},
    # What only the app uses, in files of its own.
    "agent.lock": BASE,
    "agent.timekeeper": LOG,
    "agent.actions": LOG | {"agent.app", "agent.commands", "agent.devices", "agent.uplink"},
    "agent.app": ANY - {"agent.cli", "agent.client", "agent.demo"},
    "agent.client": {"agent.errors"},
    "agent.web": set(),
    # The command line asks a running agent through the client; what works without one looks at files itself.
    "agent.cli": LOG
    | {"agent.app", "agent.api", "agent.client", "agent.devices", "agent.uplink", "agent.demo", "agent.lock"},
    # A process of its own around the agent's: broker, simulated devices, a screen.
    "agent.demo": ANY - {"agent.cli"},
}

# library -> the rooms that may import it
ONLY = {
    "aiosqlite": {"agent.store"},
    "sqlite3": {"agent.store"},
    "gmqtt": {"agent.uplink"},
    "serial": {"drivers"},
    "serial_asyncio": {"drivers"},
    "bleak": {"drivers"},
    "starlette": {"agent.api"},
    "uvicorn": {"agent.api"},
    "jwt": {"agent.api"},
    "typer": {"agent.cli"},
    "click": {"agent.cli"},
    "rich": {"agent.cli", "agent.demo"},
    "amqtt": {"agent.demo"},
    "pyarrow": {"agent.cli"},
    "yaml": {"agent.settings", "agent.cli", "agent.demo"},
}
# `gatepost version` names the SQLite it runs with.
EXCUSED = {("agent.cli.version", "sqlite3")}


def room(module: str) -> str:
    head, _, rest = module.partition(".")
    return f"{head}.{rest.split('.')[0]}" if head == "agent" and rest else head


def test_imports_run_downward() -> None:
    wrong = []
    for module, path in modules():
        here = room(module)
        assert here in MAY_KNOW, f"{here} is a new room: say in MAY_KNOW what it may know"
        # `from agent import errors` names a room, `from agent import __version__` does not.
        known = {room(name) for name in imports(path)} & set(MAY_KNOW)
        wrong += [f"{module} imports {each}" for each in sorted(known - MAY_KNOW[here] - {here, "agent"})]
    assert wrong == []


def test_each_library_has_its_room() -> None:
    wrong = []
    for module, path in modules():
        used = {name.split(".")[0] for name in imports(path)} & set(ONLY)
        strange = {each for each in used if room(module) not in ONLY[each] and (module, each) not in EXCUSED}
        wrong += [f"{module} imports {library}" for library in sorted(strange)]
    assert wrong == []


def test_hardware_is_touched_below_serial_and_ble_only() -> None:
    for module, path in modules():
        touched = {name.split(".")[0] for name in imports(path)} & {"serial", "serial_asyncio", "bleak"}
        assert not touched or module.startswith(("drivers.serial", "drivers.ble")), module


def test_the_agent_process_is_free_of_what_only_the_command_line_needs() -> None:
    """Memory: even with every module of the agent loaded, none of these is."""
    outside = {"agent.cli", "agent.client", "agent.demo"}
    # What moves the radio is loaded with the first BLE device (tests/ble/link/test_rules.py).
    wanted = [name for name, _ in modules() if room(name) not in outside and not name.startswith("drivers.ble.")]
    program = (
        "import importlib, sys\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert "agent" in loaded
    needless = {"typer", "click", "rich", "amqtt", "bleak", "jwt", "pydantic", "httpx", "pytest", "websockets"}
    assert loaded & needless == set()
