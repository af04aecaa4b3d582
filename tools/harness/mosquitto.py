"""A real mosquitto on a free loopback port, to be killed and started again at the same port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.ports import free_port
from tools.harness.helper import end, wait_for


def binary() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """`inflight`: what it lets a client have unacknowledged (MQTT 5 receive maximum); its own default is 20."""

    def __init__(self, folder: Path, inflight: int | None = None, queued: int = 0) -> None:
        path = binary()
        if path is None:
            raise FileNotFoundError("mosquitto is not installed: apt-get install mosquitto")
        self.port = free_port()
        self._command = [path, "-c", str(folder / "mosquitto.conf")]
        self._log = folder / "mosquitto.log"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence false",
            f"max_queued_messages {queued}",  # 0: a slow reader of the harness must not cost messages
        ]
        if inflight is not None:
            lines.append(f"max_inflight_messages {inflight}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n", "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        assert self._process is None, "it runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        wait_for("mosquitto listening", self._listens, 10.0)

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def __enter__(self) -> Mosquitto:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _listens(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"mosquitto ended by itself: {self._log.read_text('utf-8')[-500:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
