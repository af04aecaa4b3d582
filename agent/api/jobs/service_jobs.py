"""Jobs of one API server, by kind: made with the server, loaded with the first of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.settings.model import Secret

if TYPE_CHECKING:
    from gatepost.agent.api.jobs.scan_job import ScanJobs

JOBS = "jobs"  # in the state of a request's scope


class ServiceJobs:
    """`broker_test`, `device_test`: held while one runs."""

    def __init__(self, app: AgentInterface, socket: Path, resolve: Callable[[Secret | None], str | None]) -> None:
        self.resolve = resolve
        self.socket = socket
        self.broker_test = asyncio.Lock()
        self.device_test = asyncio.Lock()
        self._app = app
        self._scans: ScanJobs | None = None

    @property
    def scans(self) -> ScanJobs:
        if self._scans is None:
            from gatepost.agent.api.jobs.scan_job import ScanJobs

            self._scans = ScanJobs(self._app, self.socket)
        return self._scans

    async def stop(self) -> None:
        if self._scans is not None:
            await self._scans.stop()
