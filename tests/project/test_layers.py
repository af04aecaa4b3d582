"""Who may know what: imports run downward only, and each outside library has one room that speaks to it."""

from __future__ import annotations

import subprocess
import sys

from tests.project.checkout import ROOT, imports, modules

BASE = {"agent", "core", "process", "drivers"}
LOG = BASE | {"formats", "settings", "store"}
ROOMS = LOG | {"audit", "devices", "uplink", "commands", "listener", "fleet", "diagnostics", "api"}

# room -> the rooms it may import from, itself aside. `agent` is the package itself and what lies in it as files.
MAY_KNOW = {
    "drivers": set(),
    "core": {"agent", "drivers"},
    "process": {"core"},
    # Pure, and below the settings, which judge the options of formats by them.
    "formats": {"core", "drivers"},
    "settings": BASE | {"formats"},
    "store": BASE | {"settings", "formats"},
    "audit": {"core"},
    "backup": LOG,
    "devices": LOG,
    "fleet": LOG | {"uplink"},
    # What lies on a stick: asks agents through the client.
    "stick": {"core", "client", "drivers", "store", "uplink"},
    "uplink": LOG,
    "commands": LOG | {"audit", "devices"},
    "diagnostics": LOG,
    "listener": LOG | {"devices", "uplink"},
    "api": LOG | {"audit", "commands", "devices", "diagnostics", "uplink"},
    "client": {"core"},
    "web": set(),
    # The app composes; nothing below imports it.
    "agent": ROOMS,
    # The command line asks a running agent through the client; what works without one looks at files itself.
    "cli": ROOMS | {"backup", "client", "demo", "stick"},
    # A process of its own around the agent's: broker, simulated devices, a screen.
    "demo": ROOMS | {"client"},
}

# library -> the rooms that may import it
ONLY = {
    "aiosqlite": {"store"},
    "sqlite3": {"store"},
    "gmqtt": {"uplink"},
    "serial": {"drivers"},
    "re2": {"drivers"},
    "serial_asyncio": {"drivers"},
    "bleak": {"drivers"},
    "uvicorn": {"api"},
    "jwt": {"api"},
    "socketio": {"api"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli", "demo"},
    "amqtt": {"demo"},
    "pyarrow": {"cli"},
    "yaml": {"settings", "cli", "demo"},
}
# `gatepost version` names the SQLite it runs with.
EXCUSED = {("gatepost.agent.cli.verbs.version", "sqlite3")}


def room(module: str) -> str:
    """`gatepost.agent.store.writer` -> `store`; a file of agent/ itself -> `agent`."""
    parts = module.split(".")
    if parts[0] != "gatepost":
        return ""
    if parts[1] != "agent":
        return parts[1]
    if parts[2:4] == ["uplink", "formats"]:
        return "formats"
    return parts[2] if len(parts) > 2 and (ROOT / "agent" / parts[2]).is_dir() else "agent"


def test_imports_run_downward() -> None:
    wrong = []
    for module, path in modules():
        here = room(module)
        assert here in MAY_KNOW, f"{here} is a new room: say in MAY_KNOW what it may know"
        known = {room(name) for name in imports(path) if name.count(".") > 1} - {""}
        wrong += [f"{module} imports {each}" for each in sorted(known - MAY_KNOW[here] - {here})]
    assert wrong == []


def test_each_library_has_its_room() -> None:
    wrong = []
    for module, path in modules():
        used = {name.split(".")[0] for name in imports(path)} & set(ONLY)
        strange = {each for each in used if room(module) not in ONLY[each] and (module, each) not in EXCUSED}
        wrong += [f"{module} imports {library}" for library in sorted(strange)]
    assert wrong == []


def test_mqtt_stands_apart() -> None:
    """Only uplink/mqtt knows gmqtt, and it knows nothing of the agent but core: no store, no lanes, no topics."""
    wrong = []
    for module, path in modules():
        used = imports(path)
        if not module.startswith("gatepost.agent.uplink.mqtt"):
            wrong += [f"{module} imports {name}" for name in sorted(used) if name.split(".")[0] == "gmqtt"]
            continue
        may = ("gatepost.agent.uplink.mqtt", "gatepost.agent.core")
        wrong += [
            f"{module} imports {name}"
            for name in sorted(used)
            if name.startswith("gatepost.")
            if not name.startswith(may)
        ]
    assert wrong == []


def test_hardware_is_touched_below_serial_and_ble_only() -> None:
    for module, path in modules():
        touched = {name.split(".")[0] for name in imports(path)} & {"serial", "serial_asyncio", "bleak"}
        assert not touched or module.startswith(("gatepost.drivers.serial", "gatepost.drivers.ble")), module


# What moves the radio is loaded with the first BLE device (tests/ble/link/test_rules.py), the others with the first
# WebSocket that MQTT goes over.
LOADED_LATER = (
    *("gatepost.drivers.ble.", "gatepost.agent.listener.websocket", "gatepost.agent.uplink.mqtt.websocket"),
    "gatepost.agent.api.http.bounded_websocket",  # with the first client of Socket.IO
)


def test_the_agent_process_is_free_of_what_only_the_command_line_needs() -> None:
    """Memory: even with every module of the agent loaded, none of these is."""
    outside = {"cli", "client", "demo"}
    wanted = [name for name, _ in modules() if room(name) not in outside and not name.startswith(LOADED_LATER)]
    program = (
        "import importlib, sys\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert "gatepost" in loaded
    needless = {
        "typer",
        "click",
        "rich",
        "amqtt",
        "bleak",
        "jwt",
        "pydantic",
        "httpx",
        "pytest",
        "websockets",
        "socketio",
    }
    assert loaded & needless == set()
