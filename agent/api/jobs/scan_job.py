"""Scans over the API: `gatepost scan` in a process of its own, so that the agent pays no memory for all drivers and no
port or driver can hold it up; ports that the agent has are never opened."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import orjson

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import Conflict, NotFound
from gatepost.agent.core.printable import printable
from gatepost.drivers.scan.naming import device_id

log = logging.getLogger(__name__)

EVENT = "scan"
BEYOND = 90.0  # seconds beyond twice its time after which a scan counts as hanging
ENDING = 5.0  # seconds that a cancelled scan gets to close its ports and tell what it found
PACE = 0.5  # seconds between two events of a scan
LARGEST = 4 << 20  # octets of what a scan tells
LONGEST_LINE = 1000
DEFAULT_SECONDS = {"serial": 3.0, "ble": 15.0}
_DONE = re.compile(r"(\d+) of (\d+)")
_END = ", Ctrl-C ends it"

ScanKind = Literal["serial", "ble"]


class ScanJob:
    """One scan, from its start to its result."""

    def __init__(
        self, app: AgentInterface, ident: int, kind: ScanKind, seconds: float, options: list[str], socket: Path
    ) -> None:
        self.state = "running"
        self.cancelled = False
        self._app = app
        self._socket = socket
        self._view: dict[str, Any] = {
            "id": ident,
            "kind": kind,
            "started": rfc3339(app.clock.now().wall),
            "seconds": seconds,
            "done": 0,
            "total": 0,
            "doing": "",
            "message": None,
            "hint": None,
            "found": [],
        }
        self._options = options
        self._began = app.clock.monotonic()
        self._elapsed: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._told = float("-inf")

    def as_dict(self) -> dict[str, Any]:
        elapsed = self._app.clock.monotonic() - self._began if self._elapsed is None else self._elapsed
        return {**self._view, "state": self.state, "elapsed": round(elapsed, 1)}

    async def run(self) -> None:
        """Never raises for what the scan does."""
        view = self._view
        command = [sys.executable, "-m", "gatepost.agent.cli", "scan", view["kind"], "--json"]
        command += ["--for", f"{view['seconds']:g}s", "--socket", str(self._socket)]
        command += ["--config", str(self._app.editor.config)]
        command += self._options
        try:
            titles = await asyncio.to_thread(self._app.registry.titles)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "GATEPOST_PROGRESS": "lines"},
                start_new_session=True,
                limit=LARGEST,
            )
            async with asyncio.timeout(2 * view["seconds"] + BEYOND):
                told, complaint, code = await self._heard(self._process)
            self._take(told, complaint, code, titles)
        except TimeoutError:
            self._fail("the scan did not end in time", "unplug and replug the adapter that hangs")
        except OSError as error:
            self._fail(f"the scan could not be started: {error.strerror or error}", "")
        except Exception:
            log.exception("a scan failed")
            self._fail("the scan failed", "the agent's log says why")
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            self._elapsed = self._app.clock.monotonic() - self._began
            self._tell(True)

    async def cancel(self) -> None:
        """As Ctrl-C: what was found is told. Returns when it has ended, or shall be killed."""
        self.cancelled = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(ENDING):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()

    async def _heard(self, process: asyncio.subprocess.Process) -> tuple[bytes, str, int]:
        assert process.stdout is not None
        assert process.stderr is not None
        told, complaint, code = await asyncio.gather(
            process.stdout.read(LARGEST), self._progress(process.stderr), process.wait()
        )
        return told, complaint, code

    async def _progress(self, lines: asyncio.StreamReader) -> str:
        """Takes the progress; gives what it complained of."""
        complaints: list[str] = []
        async for line in lines:
            text = line.decode("utf-8", "replace").rstrip()[:LONGEST_LINE]
            if not text.startswith("progress: "):
                complaints = [*complaints[-4:], text]
                continue
            words = text.removeprefix("progress: ").removesuffix(_END)
            if counts := _DONE.match(words):
                self._view["done"], self._view["total"] = int(counts[1]), int(counts[2])
                words = words.partition(": ")[2]
            self._view["doing"] = printable(words)
            self._tell(False)
        return printable(" ".join(complaints))

    def _take(self, told: bytes, complaint: str, code: int, titles: dict[str, str]) -> None:
        try:
            result = orjson.loads(told)
        except orjson.JSONDecodeError:
            if self.cancelled:
                self.state = "cancelled"
            else:
                self._fail(complaint or f"the scan ended with code {code}", "")
            return
        taken = set(self._app.settings.devices)
        parts = result.get("ports") or result.get("devices") or []
        make = _serial if self._view["kind"] == "serial" else _ble
        for part in parts:
            found = make(part, titles)
            if found["driver"] and found["configured"] is None:
                found["suggested_id"] = device_id(_words(part, found), taken)
                taken.add(found["suggested_id"])
            self._view["found"].append(found)
        self._view["done"] = self._view["total"] = len(parts)
        self._view["doing"] = ""
        self.state = "cancelled" if self.cancelled else "done"

    def _fail(self, message: str, hint: str) -> None:
        self.state = "cancelled" if self.cancelled else "failed"
        self._view["message"], self._view["hint"] = message, hint or None

    def _tell(self, at_once: bool) -> None:
        now = self._app.clock.monotonic()
        if at_once or now - self._told >= PACE:
            self._told = now
            self._app.events.emit(EVENT, self.as_dict())


class ScanJobs:
    """Scans one after the other; the last one stays to be looked at."""

    def __init__(self, app: AgentInterface, socket: Path) -> None:
        self._app = app
        self._socket = socket
        self._job: ScanJob | None = None
        self._task: asyncio.Task[None] | None = None
        self._number = 0

    @property
    def newest(self) -> dict[str, Any] | None:
        return None if self._job is None else self._job.as_dict()

    def start(self, kind: ScanKind, seconds: float | None, ask: bool, ports: list[str]) -> dict[str, Any]:
        """`ask` and `ports` are for serial ones. Raises Conflict while one runs."""
        if self._task is not None and not self._task.done():
            raise Conflict("a scan is running", "wait for its end, or cancel it", "scan-running")
        self._number += 1
        options = ["--ask"] if ask and kind == "serial" else []
        options += [part for port in ports if kind == "serial" for part in ("--port", port)]
        self._job = ScanJob(self._app, self._number, kind, seconds or DEFAULT_SECONDS[kind], options, self._socket)
        self._task = asyncio.get_running_loop().create_task(self._job.run())
        return self._job.as_dict()

    async def cancel(self) -> dict[str, Any]:
        """Raises NotFound where none was ever started."""
        if self._job is None or self._task is None:
            raise NotFound("there is no scan", "POST /api/v1/scan starts one")
        if not self._task.done():
            await self._job.cancel()
            await asyncio.wait({self._task}, timeout=ENDING)
        return self._job.as_dict()

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)


def _serial(part: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    usb, configured = part.get("usb") or {}, part.get("configured") or {}
    driver = part.get("driver")
    settings = {**(part.get("settings") or {"driver": driver}), "port": part["port"]} if driver else None
    return {
        "transport": "serial",
        "port": part["port"],
        "usb": " ".join(filter(None, (usb.get("id"), usb.get("product")))) or None,
        "state": part["state"],
        "driver": driver,
        "title": titles.get(driver or ""),
        "certainty": part.get("certainty"),
        "also": part.get("also") or [],
        "configured": configured.get("id"),
        "suggested_id": None,
        "settings": settings,
        "sample": part.get("sample"),
        "needs": None,
        "message": part.get("message"),
        "hint": part.get("hint"),
    }


def _ble(part: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    driver, configured = part.get("driver"), part.get("configured") or {}
    named = part.get("changes_address") and part.get("name")
    settings: dict[str, Any] = {"driver": driver}
    settings |= {"name": part["name"]} if named else {"address": part["address"]}
    if part.get("options"):
        settings["options"] = part["options"]
    return {
        "transport": "ble",
        "address": part["address"],
        "name": part.get("name") or None,
        "rssi": part.get("rssi"),
        "state": "recognised" if driver else "speaks",
        "driver": driver,
        "title": titles.get(driver or ""),
        "what": part.get("what"),
        "also": [],
        "configured": configured.get("id"),
        "suggested_id": None,
        "settings": settings if driver else None,
        "needs": part.get("needs"),
        "message": None,
        "hint": None,
    }


def _words(part: dict[str, Any], found: dict[str, Any]) -> tuple[str, str]:
    """What the device's id is made of, as `gatepost scan --write` makes it."""
    if found["transport"] == "ble":
        return found["name"] or found["driver"], part["address"].replace(":", "")[-4:]
    serial = (part.get("usb") or {}).get("serial_number")
    return found["driver"], serial or (part.get("device") or part["port"]).rpartition("/")[2]
