"""Checks of the running agent: clock, disk, store, settings; each device and broker by the checks of its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.views import ViewedBrokers, ViewedDevices
from gatepost.agent.diagnostics.broker_checks import DEAD, of_broker
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.certificate_checks import certificates_in_use, of_certificates
from gatepost.agent.diagnostics.device_checks import of_device
from gatepost.agent.diagnostics.finding import Finding, by_weight, readings, space
from gatepost.agent.settings.model import BrokerSettings, Settings, client_id_of
from gatepost.agent.settings.problem import told_problems

SPARE = 1.5  # times the reserve: less free space than that is worth a warning
RECENT = timedelta(days=1)
FULL = "the log is full"


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
    def devices(self) -> ViewedDevices: ...

    @property
    def brokers(self) -> ViewedBrokers: ...

    def status(self) -> dict[str, Any]: ...


async def findings(app: CheckedAgent, token_owners: Collection[str] = ()) -> list[Finding]:
    """Worst first; empty when all is well. `token_owners`: devices that have a valid token."""
    now = datetime.fromtimestamp(app.clock.now().wall / 1e6, UTC)
    results = [
        *_clock(app),
        *_disk(app),
        *_store(await app.store.stats()),
        *_settings(app.status()),
        *_trial(app.status()),
        *_unserved(app.status()),
        *_fleet(app.status()),
        *of_certificates(await certificates_in_use(app.settings, app.status()), now.timestamp()),
    ]
    results += _gaps(await app.store.gaps(100), now)
    carriers = {str(device.options.get("via")) for device in app.settings.devices.values()}
    for view in app.devices.views():
        results += of_device(view, now, carrier=view["id"] in carriers)
    told = {finding.about for finding in results if "token create" in finding.do}
    results += [finding for finding in _tokens(app.settings, token_owners) if finding.about not in told]
    owed = {str(entry["broker"]): entry for entry in await app.store.backlog.undelivered()}
    dead: dict[str, list[str]] = {}
    for letter in await app.store.dead_letters(DEAD):
        dead.setdefault(letter["broker"], []).append(str(letter["reason"]))
    for broker in app.brokers.views():
        state = broker.as_dict()
        name = state["name"]
        configured = app.settings.brokers.get(name, BrokerSettings(url=""))
        client_id = client_id_of(configured, app.settings.gateway.id)
        results += of_broker(state, client_id, owed.get(name, {}), dead.get(name, []), now)
    return by_weight([*results, *_nothing_to_do(app.settings)])


UNSERVED = {  # part of the agent: the finding, what its settings ask for in vain
    "api": ("api-not-served", "the API is not served on TCP as the settings say", "api.listen, api.tls and api.jwt"),
    "listener": (
        "listener-not-served",
        "devices that speak MQTT cannot connect: the listener is not served as the settings say",
        "listener.listen, listener.ws and listener.tls",
    ),
}


def _unserved(status: dict[str, Any]) -> Iterator[Finding]:
    for part, (ident, what, keys) in UNSERVED.items():
        if trouble := (status.get(part) or {}).get("trouble"):
            yield finding_of(ident, "gateway", what, trouble, f"see {keys}; `gatepost reload` tries again")


def _tokens(settings: Settings, owners: Collection[str]) -> Iterator[Finding]:
    """Devices that should connect to the listener, and that it can only refuse."""
    listener = settings.listener
    if listener.listen is None and listener.ws is None:
        return
    if listener.tls is not None and listener.tls.client_ca is not None:  # a certificate may be what they show
        return
    for name, device in settings.devices.items():
        options = device.options
        own = options.get("from", "listener") == "listener" and not options.get("via")
        if device.driver == "mqtt" and own and not options.get("password") and name not in owners:
            yield finding_of(
                "device-no-token",
                f"device {name}",
                "it cannot connect",
                "it has no valid token",
                f"`gatepost token create --device {name}` makes one, for the settings of the device",
            )


def _trial(status: dict[str, Any]) -> Iterator[Finding]:
    trial = (status.get("settings") or {}).get("trial")
    fleet = status.get("fleet") or {}
    if not trial or (trial["by"].startswith("fleet:") and not fleet.get("manual")):
        return  # what the fleet tries is kept by itself when all is well
    yield finding_of(
        "settings-on-trial",
        "settings",
        f"a change by {trial['by']} is on trial, and goes back in {trial['left']:.0f} s",
        ", ".join(trial["changed"]),
        "`gatepost confirm` keeps it, `gatepost confirm --revert` goes back now",
    )


def _fleet(status: dict[str, Any]) -> Iterator[Finding]:
    fleet = status.get("fleet") or {}
    if fleet.get("status") in ("refused", "reverted"):
        problems = fleet.get("problems") or []
        why = told_problems(problems)
        before = f"version {fleet['version']} is in force" if fleet.get("version") else "none is in force"
        yield finding_of(
            "desired-state-not-applied",
            "settings",
            f"desired state {fleet['decided']} was {fleet['status']}, {before}",
            why or str(fleet.get("reason") or ""),
            "the fleet was told; it takes a higher version to try again",
        )


def _clock(app: CheckedAgent) -> Iterator[Finding]:
    if not app.clock.now().synchronised:
        yield finding_of(
            "clock-unsynchronised",
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
        yield finding_of(
            "disk-unreadable", "disk", f"{path} cannot be examined", str(error.strerror), "see gateway.state_dir"
        )
        return
    free = seen.f_bavail * seen.f_frsize
    if free < reserve * SPARE:
        yield finding_of(
            "disk-full" if free < reserve else "disk-low",
            "disk",
            f"{space(free)} are free at {path}",
            f"store.reserve keeps {space(reserve)} free: below it the oldest readings go, or none are taken",
            "free some space, or lower store.keep or store.reserve",
        )


def _store(stats: dict[str, Any]) -> Iterator[Finding]:
    state = str(stats["state"])
    if state.startswith(FULL):
        do = "reconnect the broker that readings wait for, or raise store.max_size"
        yield finding_of("store-full", "store", state, "more is owed to a broker than the log may hold", do)
    elif state != "ok":
        yield finding_of(
            "store-failing",
            "store",
            "nothing is stored: readings wait in memory, and are lost when that is full or the box stops",
            state,
            _cure(state),
        )
    if stats.get("loss"):
        yield finding_of(
            "log-damaged",
            "store",
            "stored readings may be missing",
            str(stats["loss"]),
            "`gatepost backlog --gaps` lists what is missing; `gatepost backlog --seen` ends this message",
        )
    if stats.get("repairs"):
        yield finding_of(
            "store-repaired",
            "store",
            "the database was damaged and has been rebuilt from what could be read",
            "a power cut or a failing card is the usual cause",
            "the damaged file lies beside the new one; `gatepost backlog` and the gap records say what was lost",
        )


def _cure(state: str) -> str:
    """What to do about a log that does not store."""
    if "read-only" in state:
        return (
            "a card turns read-only when it fails: see `dmesg`, save /var/lib/gatepost, and change it; "
            "`mount -o remount,rw` where that was done on purpose"
        )
    if "full" in state:
        return "free some space on the disk of gateway.state_dir, or lower store.max_size"
    return "see `dmesg` and the log of the agent for the disk's errors; storing goes on by itself when it can"


def _settings(status: dict[str, Any]) -> Iterator[Finding]:
    settings = status.get("settings") or {}
    last = settings.get("reload") or {}
    problems = settings.get("problems") or last.get("problems") or []
    wrong = "; ".join(map(str, problems[:3])) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
    do = "`gatepost check` explains each of them"
    if last.get("tried"):  # while it was put into force: the files have no mistake
        do = "change what the reason names, such as to another address; `gatepost reload` tries again"
    if settings.get("last_good"):
        what = "the last good settings are used: the files had errors when the agent started, and still have"
        yield finding_of("settings-last-good", "settings", what, wrong, do)
    elif last and not last.get("applied"):
        what = "the newest settings were refused; the agent runs with those before"
        yield finding_of("settings-refused", "settings", what, wrong, do)


def _gaps(gaps: list[dict[str, Any]], now: datetime) -> Iterator[Finding]:
    since = rfc3339(int((now - RECENT).timestamp() * 1e6))  # compared as text: damage makes years of six digits
    recent = [gap for gap in gaps if gap["time"] > since]
    if recent:
        count = sum(int(gap["count"]) for gap in recent)
        reasons = ", ".join(sorted({str(gap["reason"]) for gap in recent}))
        yield finding_of(
            "readings-lost",
            "store",
            f"{readings(count)} lost within a day",
            reasons,
            "`gatepost backlog --gaps` lists them",
        )


def _nothing_to_do(settings: Settings) -> Iterator[Finding]:
    if not settings.devices:
        yield finding_of(
            "no-device", "settings", "no device is configured", "", "`gatepost drivers` shows what can be read"
        )
    if not settings.brokers:
        yield finding_of(
            "no-broker", "settings", "no broker is configured", "", "readings are stored, and kept for store.keep"
        )
