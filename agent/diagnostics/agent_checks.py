"""Checks of the running agent: clock, disk, store, settings, each device, each broker and its backlog."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.views import BrokerView, DeviceView
from gatepost.agent.diagnostics.catalogue import (
    API_NOT_SERVED,
    BROKER_BACKLOG,
    BROKER_DEAD_LETTERS,
    BROKER_DISCONNECTED,
    BROKER_REFUSED,
    BROKER_UNREACHABLE,
    CLOCK_UNSYNCHRONISED,
    DISK_FULL,
    DISK_LOW,
    DISK_UNREADABLE,
    NO_BROKER,
    NO_DEVICE,
    READINGS_LOST,
    SETTINGS_LAST_GOOD,
    SETTINGS_REFUSED,
    STORE_FAILING,
    STORE_FULL,
    STORE_REPAIRED,
)
from gatepost.agent.diagnostics.device_checks import of_device
from gatepost.agent.diagnostics.finding import Finding, by_weight
from gatepost.agent.settings.model import Settings

SPARE = 1.5  # times the reserve: less free space than that is worth a warning
LATE = timedelta(minutes=1)  # a live reading is upstream within seconds
RECENT = timedelta(days=1)
FULL = "the log is full"
REASONS = 3  # that are told
DEAD = 1000  # dead letters that are counted


class CheckedBroker(Protocol):
    def as_dict(self) -> BrokerView: ...


class CheckedDevices(Protocol):
    def views(self) -> list[DeviceView]: ...


class CheckedBrokers(Protocol):
    def views(self) -> Sequence[CheckedBroker]: ...


class CheckedBacklog(Protocol):
    async def undelivered(self) -> list[dict[str, Any]]: ...


class CheckedStore(Protocol):
    @property
    def backlog(self) -> CheckedBacklog: ...

    async def stats(self) -> dict[str, Any]: ...

    async def gaps(self, limit: int = ...) -> list[dict[str, Any]]: ...

    async def dead_letters(self, limit: int = ...) -> list[dict[str, Any]]: ...


class CheckedAgent(Protocol):
    """The parts of the running agent that are checked."""

    @property
    def clock(self) -> Clock: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def store(self) -> CheckedStore: ...

    @property
    def devices(self) -> CheckedDevices: ...

    @property
    def brokers(self) -> CheckedBrokers: ...

    def status(self) -> dict[str, Any]: ...


async def findings(app: CheckedAgent) -> list[Finding]:
    """Worst first; empty when all is well."""
    now = datetime.fromtimestamp(app.clock.now().wall / 1e6, UTC)
    found = [*_clock(app), *_disk(app), *_store(await app.store.stats()), *_settings(app.status()), *_api(app.status())]
    found += _gaps(await app.store.gaps(100), now)
    for view in app.devices.views():
        found += of_device(view, now)
    owed = {str(entry["broker"]): entry for entry in await app.store.backlog.undelivered()}
    dead: dict[str, list[str]] = {}
    for letter in await app.store.dead_letters(DEAD):
        dead.setdefault(letter["broker"], []).append(str(letter["reason"]))
    for broker in app.brokers.views():
        state = broker.as_dict()
        name = state["name"]
        found += _broker(state, owed.get(name, {}), dead.get(name, []), now)
    return by_weight([*found, *_nothing_to_do(app.settings)])


def _api(status: dict[str, Any]) -> Iterator[Finding]:
    trouble = (status.get("api") or {}).get("trouble")
    if trouble:
        yield API_NOT_SERVED.found(
            "gateway",
            "the API is not served on TCP as the settings say",
            trouble,
            "see api.listen, api.tls and api.jwt; `gatepost reload` tries again",
        )


def _clock(app: CheckedAgent) -> Iterator[Finding]:
    if not app.clock.now().synchronised:
        yield CLOCK_UNSYNCHRONISED.found(
            "clock",
            "the clock is not synchronised",
            "no time source has answered since this box started",
            "see `timedatectl`; readings are sent marked `unsynchronised`, those still here are corrected afterwards",
        )


def _disk(app: CheckedAgent) -> Iterator[Finding]:
    path, reserve = app.settings.gateway.state_dir, app.settings.store.reserve
    try:
        seen = os.statvfs(path)
    except OSError as error:
        yield DISK_UNREADABLE.found("disk", f"{path} cannot be looked at", str(error.strerror), "see gateway.state_dir")
        return
    free = seen.f_bavail * seen.f_frsize
    if free < reserve * SPARE:
        yield (DISK_FULL if free < reserve else DISK_LOW).found(
            "disk",
            f"{free // 1_000_000} MB are free at {path}",
            f"store.reserve keeps {reserve // 1_000_000} MB free: below it the oldest readings go, or none are taken",
            "free some space, or lower store.keep or store.reserve",
        )


def _store(stats: dict[str, Any]) -> Iterator[Finding]:
    state = str(stats["state"])
    if state.startswith(FULL):
        do = "bring the broker back that readings wait for, or raise store.max_size"
        yield STORE_FULL.found("store", state, "more is owed to a broker than the log may hold", do)
    elif state != "ok":
        yield STORE_FAILING.found("store", "the store does not take readings as it should", state, "see the log")
    if stats.get("repairs"):
        yield STORE_REPAIRED.found(
            "store",
            "the database was damaged and has been rebuilt from what could be read",
            "a power cut or a failing card is the usual cause",
            "the damaged file lies beside the new one; `gatepost backlog` and the gap records say what was lost",
        )


def _settings(status: dict[str, Any]) -> Iterator[Finding]:
    settings = status.get("settings") or {}
    last = settings.get("reload") or {}
    problems = settings.get("problems") or last.get("problems") or []
    wrong = "; ".join(map(str, problems[:3])) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
    do = "`gatepost check` explains each of them"
    if settings.get("last_good"):
        what = "the last good settings are used: the files had errors when the agent started, and have not held since"
        yield SETTINGS_LAST_GOOD.found("settings", what, wrong, do)
    elif last and not last.get("applied"):
        what = "the newest settings were refused; the agent runs with those before"
        yield SETTINGS_REFUSED.found("settings", what, wrong, do)


def _gaps(gaps: list[dict[str, Any]], now: datetime) -> Iterator[Finding]:
    recent = [gap for gap in gaps if now - datetime.fromisoformat(gap["time"]) < RECENT]
    if recent:
        count = sum(int(gap["count"]) for gap in recent)
        reasons = ", ".join(sorted({str(gap["reason"]) for gap in recent}))
        yield READINGS_LOST.found(
            "store", f"{_readings(count)} lost within a day", reasons, "`gatepost backlog --gaps` lists them"
        )


def _broker(state: BrokerView, owed: dict[str, Any], dead: list[str], now: datetime) -> Iterator[Finding]:
    about = f"broker {state['name']}"
    waiting = int(owed.get("readings") or 0)
    oldest = owed.get("oldest")
    since = f"; {_readings(waiting)} waiting for it, the oldest since {_short(oldest)}" if waiting else ""
    reason, do = state["reason"], state["hint"]
    match state["state"]:
        case "connected":
            if waiting and oldest and now - datetime.fromisoformat(oldest) > LATE:
                yield BROKER_BACKLOG.found(
                    about,
                    f"{_readings(waiting)} not upstream yet, the oldest of {_short(oldest)}",
                    "it is connected: the backlog drains beside the live readings, by backlog.share and backlog.rate",
                    "wait, or raise them",
                )
        case "disconnected":
            text = "it was disconnected by a command, or `active: false` stands in its settings"
            yield BROKER_DISCONNECTED.found(
                about, f"it is not connected on purpose{since}", text, do or _connect(state)
            )
        case "refused":
            yield BROKER_REFUSED.found(
                about, f"it refuses this gateway{since}", reason, do or "see its username and password"
            )
        case _:
            yield BROKER_UNREACHABLE.found(
                about, f"it is not connected{since}", reason, do or "is it reachable from here?"
            )
    if dead:
        yield BROKER_DEAD_LETTERS.found(
            about,
            f"it refused {_readings(len(dead))}{' or more' if len(dead) >= DEAD else ''} for good",
            ", ".join(list(dict.fromkeys(dead))[:REASONS]),
            "`gatepost backlog --dead-letters` lists them; `gatepost send gateway resend` sends readings again, where "
            "commands.allow permits it",
        )


def _short(moment: Any) -> str:
    """RFC 3339 to the second."""
    return f"{str(moment)[:19]}Z"


def _readings(number: int) -> str:
    return "1 reading" if number == 1 else f"{number} readings"


def _connect(state: BrokerView) -> str:
    return f"`gatepost brokers connect {state['name']}`"


def _nothing_to_do(settings: Settings) -> Iterator[Finding]:
    if not settings.devices:
        yield NO_DEVICE.found("settings", "no device is configured", "", "`gatepost drivers` shows what can be read")
    if not settings.brokers:
        yield NO_BROKER.found("settings", "no broker is configured", "", "readings are stored, and kept for store.keep")
