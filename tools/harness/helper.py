"""A helper process of the harness: started as a module, asked by JSON lines, always ended by who started it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class HelperFailed(RuntimeError):
    """It died, or did not answer in time."""


class Helper:
    """`python -m tools.harness.<module> <options as JSON>`; its first line says that it is ready."""

    def __init__(self, module: str, **options: Any) -> None:
        self.module = module
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tools.harness.{module}", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,  # the terminal's Ctrl-C goes to the harness, which then ends its helpers in order
        )
        try:
            self.hello: dict[str, Any] = self._answer(15.0)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, timeout: float = 15.0, **fields: Any) -> dict[str, Any]:
        """Its answer; raises HelperFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # broken, or closed by us
            raise HelperFailed(f"{self.module} is gone") from error
        return self._answer(timeout)

    def close(self) -> None:
        """Ends it: the closed pipe asks, a kill makes sure."""
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise HelperFailed(f"{self.module} did not answer within {timeout:.0f} s")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                raise HelperFailed(f"{self.module} ended by itself")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def end_cleanly_when_asked() -> None:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that every process of the run is ended and its folder removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)


def _unwind(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def end(process: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """Closes its standard input, then terminates, then kills this one process; returns when it is gone."""
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass
        else:
            grace_for_eof = min(grace, 2.0)
            if _gone(process, grace_for_eof):
                return
    if process.poll() is None:
        process.terminate()
        if _gone(process, grace):
            return
        process.kill()
    process.wait()


def wait_for(what: str, holds: Callable[[], Any], timeout: float, pause: float = 0.02) -> Any:
    """The first true answer of `holds`; raises TimeoutError naming `what`."""
    until = time.monotonic() + timeout
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not happen within {timeout:.0f} s")
        time.sleep(pause)


def _gone(process: subprocess.Popen[bytes], timeout: float) -> bool:
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True
