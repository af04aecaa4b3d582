"""Prometheus metrics in the text format, version 0.0.4. No patient, no unbounded label."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from resource import getpagesize
from typing import Any, NamedTuple, cast

from gatepost.agent.api.handlers.readings import EPOCH
from gatepost.agent.api.http.responses import TextResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.views import BrokerView, DeviceView
from gatepost.agent.diagnostics.certificate_checks import certificates_in_use

KIND = "text/plain; version=0.0.4; charset=utf-8"
FAULTS = 20  # kinds of faults of one device that are told apart


class MetricSample(NamedTuple):
    """One line; a name that ends in `_total` is a counter, others are gauges."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


async def scrape(request: ApiRequest) -> TextResponse:
    owed = {str(entry["broker"]): entry for entry in await request.app.store.backlog.undelivered()}
    now = (request.app.clock.now().wall) / 1e6
    samples = [*_process(request), *_store(await request.app.store.stats())]
    for view in request.app.devices.views():
        samples += _device(view)
    samples += _listener(request.app.listener.as_dict())
    for each in await certificates_in_use(request.app.settings, request.app.status()):
        text, labels = "When a certificate in use ends, since 1970.", (("owner", each.owner), ("kind", each.kind))
        samples.append(MetricSample("gatepost_certificate_end_timestamp_seconds", text, each.period.ends, labels))
    samples += _fleet(request.app.status().get("fleet"))
    for broker in request.app.brokers.views():
        state = broker.as_dict()
        samples += _broker(state, owed.get(state["name"], {}), now)
    return TextResponse(exposition(samples), KIND)


def exposition(samples: list[MetricSample]) -> str:
    """Samples of one name stand together under its HELP and TYPE."""
    families: dict[str, list[MetricSample]] = {}
    for sample in samples:
        families.setdefault(sample.name, []).append(sample)
    lines = []
    for name, family in families.items():
        lines.append(f"# HELP {name} {family[0].help}")
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for sample in family:
            labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels)
            lines.append(f"{name}{{{labels}}} {sample.value:.15g}" if labels else f"{name} {sample.value:.15g}")
    return "\n".join(lines) + "\n"


def _process(request: ApiRequest) -> Iterator[MetricSample]:
    status = request.app.status()
    labels = (("version", str(status.get("version", ""))),)
    yield MetricSample("gatepost_info", "The version that runs.", 1, labels)
    yield MetricSample("gatepost_uptime_seconds", "Time since the agent was started.", float(status.get("uptime") or 0))
    text = "Whether the newest settings were refused, or an address or a certificate of theirs cannot be used."
    yield MetricSample("gatepost_settings_error", text, _settings_error(status))
    synchronised = request.app.clock.now().synchronised
    yield MetricSample("gatepost_clock_synchronised", "Whether the clock of the box is synchronised.", synchronised)
    yield MetricSample(
        "gatepost_events_lost_total", "Events that live views were too slow for.", request.app.events.lost
    )
    resident = _resident()
    if resident is not None:
        yield MetricSample("process_resident_memory_bytes", "Resident memory.", resident)


def _settings_error(status: dict[str, Any]) -> bool:
    settings = status.get("settings") or {}
    refused = settings.get("last_good") or not (settings.get("reload") or {"applied": True})["applied"]
    return bool(refused or any((status.get(part) or {}).get("trouble") for part in ("api", "listener")))


def _store(stats: dict[str, Any]) -> Iterator[MetricSample]:
    yield MetricSample("gatepost_store_up", "Whether readings are stored.", stats["state"] == "ok")
    text = "Whether stored readings may be missing, and nobody has seen it."
    yield MetricSample("gatepost_store_loss_unseen", text, bool(stats["loss"]))
    yield MetricSample("gatepost_store_bytes", "Octets in use in the log.", stats["bytes"])
    yield MetricSample("gatepost_store_file_bytes", "Size of the database file.", stats["file_bytes"])
    yield MetricSample("gatepost_store_wal_bytes", "Size of its write-ahead log.", stats["wal_bytes"])
    yield MetricSample("gatepost_store_queue", "Rows that wait to be stored.", stats["queue"])
    yield MetricSample("gatepost_store_commits_total", "Transactions since the start.", stats["commits"])
    yield MetricSample("gatepost_store_rows_total", "Rows stored since the start.", stats["stored"])
    yield MetricSample("gatepost_store_commit_seconds", "What the last commit took.", stats["commit_seconds"])
    yield MetricSample("gatepost_gap_readings_total", "Readings that could not be taken: a gap each.", stats["lost"])
    yield MetricSample(
        "gatepost_dropped_readings_total", "Readings removed that a broker was still owed.", stats["dropped"]
    )


def _device(view: DeviceView) -> Iterator[MetricSample]:
    label = (("device", str(view["id"])),)
    yield MetricSample("gatepost_device_up", "Whether the device is online.", view["status"] == "online", label)
    text = "Whether the device needs attention; one that sleeps between its measurements does not."
    yield MetricSample("gatepost_device_error", text, view["condition"] == "error", label)
    yield MetricSample("gatepost_device_readings_total", "Readings reported.", view.get("readings") or 0, label)
    yield MetricSample(
        "gatepost_device_dropped_total", "Readings dropped before the log.", view.get("dropped") or 0, label
    )
    yield MetricSample(
        "gatepost_device_reconnects_total", "Times it was opened again.", view.get("reconnects") or 0, label
    )
    faults = sorted((view.get("faults") or {}).items(), key=lambda each: -each[1])
    shown = [*faults[:FAULTS], ("other", sum(count for _, count in faults[FAULTS:]))]
    for kind, count in shown if len(faults) > FAULTS else faults:
        text = "What went wrong with the device, by kind."
        yield MetricSample("gatepost_device_faults_total", text, count, (*label, ("kind", kind)))


def _listener(shown: dict[str, Any]) -> Iterator[MetricSample]:
    """Nothing where no device speaks MQTT."""
    if not (shown["isInitialized"] or shown["received"] or shown["trouble"]):
        return
    for key, name, text in (
        ("isInitialized", "gatepost_listener_up", "Whether devices may connect."),
        ("authenticatedClients", "gatepost_listener_connections", "Devices that are connected."),
        ("received", "gatepost_listener_received_total", "Messages of devices."),
        ("stored", "gatepost_listener_stored_total", "Messages that are on disk."),
        ("unacknowledged", "gatepost_listener_unacknowledged", "Messages that wait for the disk."),
        ("sessions", "gatepost_listener_sessions", "Sessions, those of devices that are away included."),
    ):
        yield MetricSample(name, text, float(shown[key]))
    for kind, count in shown["refused"].items():
        text = "What was refused, by what was wrong."
        yield MetricSample("gatepost_listener_refused_total", text, count, (("kind", kind),))


def _fleet(fleet: dict[str, Any] | None) -> Iterator[MetricSample]:
    """Nothing where no broker carries a fleet."""
    if fleet is None:
        return
    yield MetricSample("gatepost_desired_version", "Desired state in force; 0 = none.", fleet["version"] or 0)
    yield MetricSample("gatepost_desired_decided_version", "Newest desired state judged.", fleet["decided"] or 0)
    text = "Whether the newest desired state was refused or undone."
    yield MetricSample("gatepost_desired_error", text, fleet["status"] in ("refused", "reverted"))
    text = "Reports of desired state that the broker has not acknowledged."
    yield MetricSample("gatepost_desired_unreported", text, fleet["unreported"])


def _broker(state: BrokerView, owed: dict[str, Any], now: float) -> Iterator[MetricSample]:
    label = (("broker", str(state["name"])),)
    yield MetricSample("gatepost_broker_up", "Whether the broker is connected.", state["state"] == "connected", label)
    text = "Whether the broker needs attention; one that was switched off does not."
    yield MetricSample("gatepost_broker_error", text, state["condition"] == "error", label)
    text = "Subscriptions to commands that the broker does not grant."
    yield MetricSample("gatepost_broker_refused_subscriptions", text, len(state["refused_topics"]), label)
    for key, name, text in (
        ("connects", "gatepost_broker_connects_total", "Connections made."),
        ("attempts", "gatepost_broker_attempts_total", "Connections tried."),
        ("sent", "gatepost_broker_sent_total", "Readings sent."),
        ("delivered", "gatepost_broker_acknowledged_total", "Readings that the broker acknowledged."),
        ("refused", "gatepost_broker_refused_total", "Readings that it refused for now."),
        ("skipped", "gatepost_broker_skipped_total", "Readings that its format cannot carry: not sent."),
        ("dead_letters", "gatepost_broker_dead_letters_total", "Readings that it refused for good."),
        ("in_flight", "gatepost_broker_in_flight", "Readings sent and not yet acknowledged."),
    ):
        yield MetricSample(name, text, cast(int, state.get(key) or 0), label)
    yield MetricSample(
        "gatepost_broker_backlog_readings", "Readings that it is owed.", owed.get("readings") or 0, label
    )
    yield MetricSample("gatepost_broker_backlog_urgent", "Urgent ones among them.", owed.get("urgent") or 0, label)
    oldest = owed.get("oldest")
    age = 0.0 if oldest is None else max(0.0, now - (datetime.fromisoformat(oldest) - EPOCH).total_seconds())
    yield MetricSample("gatepost_broker_backlog_age_seconds", "Age of the oldest reading that it is owed.", age, label)


def _resident() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * getpagesize()
    except (OSError, IndexError, ValueError):
        return None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
