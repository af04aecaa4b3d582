"""Reports how the agent is: the status of the API, the sentence for systemd, and whether the store makes progress."""

from __future__ import annotations

from typing import Any, Protocol

from gatepost.agent.core.clock import STEP, US, Clock, rfc3339
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.process.notify import Notifier
from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.store import Store
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.drivers.installed import version

DAY = 86_400 * US  # for which the end of a trial is told
STALLED_AFTER = 10.0  # seconds beyond the commit interval in which readings wait, and none is stored


class ServedPart(Protocol):
    @property
    def trouble(self) -> str:
        """Why it is not served as the settings say."""
        ...

    @property
    def certificate_ends(self) -> float | None:
        """Of the certificate in use, in seconds since 1970."""
        ...


class ServedApi(ServedPart, Protocol):
    @property
    def tcp(self) -> str | None:
        """The address that is served on TCP."""
        ...


class ReportedFleet(Protocol):
    def as_dict(self) -> dict[str, Any] | None: ...


class ReportedTrial(Protocol):
    def as_dict(self) -> dict[str, Any]:
        """The change on trial, and how the last one ended."""
        ...


class StatusReport:
    """Status of the whole agent, made when it is asked for."""

    def __init__(
        self,
        current: CurrentSettings,
        *,
        store: Store,
        devices: DeviceManager,
        brokers: BrokerManager,
        supervisor: Supervisor,
        notifier: Notifier,
        clock: Clock,
        fleet: ReportedFleet,
    ) -> None:
        self.api: ServedApi | None = None
        self.listener: ServedPart | None = None
        self.trial: ReportedTrial | None = None
        self._current = current
        self._store = store
        self._devices = devices
        self._brokers = brokers
        self._supervisor = supervisor
        self._notifier = notifier
        self._clock = clock
        self._fleet = fleet
        self._started = clock.now()
        self._progress: tuple[int, float] | None = None  # commits while readings wait, and since when it is so many

    def status(self) -> dict[str, Any]:
        now = self._clock.now()
        uptime = now.mono - self._started.mono
        moved = now.wall - uptime - self._started.wall  # the clock was set meanwhile
        return {
            "gateway_id": self._current.settings.gateway.id,
            "version": version("gatepost"),
            "started": rfc3339(self._started.wall + (moved if abs(moved) >= STEP else 0)),
            "uptime": round(uptime / US, 1),
            "settings": {**self._current.as_dict(), **self._on_trial()},
            "api": None if self.api is None else {"listen": self.api.tcp, **_served(self.api)},
            "listener": None if self.listener is None else _served(self.listener),
            "fleet": self._fleet.as_dict(),
            "tasks": [view._asdict() for view in self._supervisor.views() if not view.healthy],
        }

    def _on_trial(self) -> dict[str, Any]:
        told = {"trial": None, "last": None} if self.trial is None else self.trial.as_dict()
        last = told["last"]
        day_ago = rfc3339(self._clock.now().wall - DAY)
        return {"trial": told["trial"], "last_trial": last if last and (last["ended"] or "") > day_ago else None}

    def reload_began(self) -> None:
        self._notifier.reloading()

    def reload_ended(self) -> None:
        self.update_systemd_status(ready=True)

    def update_systemd_status(self, ready: bool = False) -> None:
        """One sentence for `systemctl status`; `ready` ends what systemd knows as a reload."""
        if not self._notifier.active:
            return
        online, count = self._devices.online_count()
        brokers = self._brokers.views()
        connected = sum(broker.state == "connected" for broker in brokers)
        sentence = f"{online} of {count} devices online, {connected} of {len(brokers)} brokers connected"
        if self._store.condition:
            what = "nothing is stored: " if self._store.failing else ""
            sentence = f"{what}{self._store.condition}; {sentence}"
        if self._current.last_good:
            sentence += "; the settings have errors, the last good ones are used, see `gatepost check`"
        elif self._current.refused:
            sentence += "; the newest settings were refused, see `gatepost doctor`"
        (self._notifier.ready if ready else self._notifier.status)(sentence)

    def check_progress(self) -> str | None:
        """Why the watchdog should not be fed: readings wait, nothing is committed, and no error explains it."""
        store, now = self._store, self._clock.monotonic()
        if not store.writer.waiting or store.state != "ok":
            self._progress = None
        elif self._progress is None or store.writer.commits != self._progress[0]:
            self._progress = (store.writer.commits, now)
        elif now - self._progress[1] > self._current.settings.store.commit_interval + STALLED_AFTER:
            return "the store commits nothing while readings wait"
        return None


def _served(part: ServedPart) -> dict[str, Any]:
    ends = part.certificate_ends
    return {"trouble": part.trouble, "certificate_ends": None if ends is None else rfc3339(round(ends * US))}
