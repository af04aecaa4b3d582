"""A private dbus-daemon: its own configuration and socket in a folder of its own, ended by its process id."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

PROGRAM = "dbus-daemon"
START_LIMIT, STOP_LIMIT = 5.0, 3.0
LONGEST_PATH = 100  # a Unix socket's path ends at 107 octets
# A signal may wait for a slow client: enough room for every burst of notifications.
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
"""


class NoBus(Exception):
    """A private bus cannot be had; the text says why and what helps."""


class PrivateBus:
    """Private bus, `async with`: a running dbus-daemon. `address` is what DBUS_SYSTEM_BUS_ADDRESS must say. Raises
    NoBus."""

    def __init__(self, socket: Path | None = None, program: str = PROGRAM) -> None:
        """`socket`: where it listens; default in a new temporary folder."""
        self._wanted = socket
        self._program = program
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.socket = socket or Path()

    @property
    def address(self) -> str:
        return f"unix:path={self.socket}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        program = shutil.which(self._program)
        if program is None:
            raise NoBus(f"{self._program} is not installed (Debian and Ubuntu: apt-get install dbus-daemon)")
        self._folder = Path(tempfile.mkdtemp(prefix="gatepost-bus-"))
        self.socket = (self._wanted or self._folder / "bus").absolute()
        try:
            await self._launch(program)
        except BaseException:
            await self.stop()
            raise

    async def _launch(self, program: str) -> None:
        assert self._folder is not None
        if len(str(self.socket)) > LONGEST_PATH or any(sign in str(self.socket) for sign in "<>&,;%\n"):
            raise NoBus(f"{self.socket}: a bus cannot listen there; a short path of plain letters is needed")
        if self.socket.exists():
            if not self.socket.is_socket() or await self._answers():
                raise NoBus(f"{self.socket} is in use")
            self.socket.unlink()  # left by one that was killed
        settings = self._folder / "bus.conf"
        settings.write_text(CONFIGURATION.format(socket=self.socket), encoding="utf-8")
        self._process = await asyncio.create_subprocess_exec(
            *_bound_to_us(),
            program,
            f"--config-file={settings}",
            "--nofork",
            "--nopidfile",
            "--print-address=1",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            first_line = await asyncio.wait_for(self._process.stdout.readline(), START_LIMIT)
        except TimeoutError:
            raise NoBus(f"{self._program} did not start within {START_LIMIT:.0f} s") from None
        if not first_line:
            error_text = (await self._process.stderr.read(2000)).decode(errors="replace").strip()
            raise NoBus(f"{self._program} did not start: {error_text or 'it said nothing'}")

    async def _answers(self) -> bool:
        """True if something listens at a socket that is there."""
        try:
            _, writer = await asyncio.open_unix_connection(str(self.socket))
        except OSError:
            return False
        writer.close()
        return True

    async def broken(self) -> None:
        """Returns when it ended by itself."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """End it, within seconds, and take its folder away."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), STOP_LIMIT)
                except TimeoutError:
                    process.kill()
                    await process.wait()
            transport = getattr(process, "_transport", None)  # its pipes; asyncio gives no public way to close them
            if transport is not None:
                transport.close()
            self.socket.unlink(missing_ok=True)
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _bound_to_us() -> tuple[str, ...]:
    """Command prefix that ends a program with this process, however that ends, where util-linux has it."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv is not None else ()
