"""Response schemas of setting up and service: curves, log, settings on trial, scans, tests; loaded for the document."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from gatepost.agent.settings.model import LogLevel
from gatepost.agent.settings.trial.record import TrialReason, TrialState


class SettingsSchema(TypedDict):
    schema: dict[str, Any]


class TrialView(TypedDict):
    """A change of settings on trial. `left` in seconds; `ended`: when it was over; `reason`: why it was reverted."""

    id: str
    state: TrialState
    by: str
    changed: list[str]
    began: str
    until: str
    left: float
    ended: str | None
    reason: TrialReason | None


class TrialList(TypedDict):
    trial: TrialView | None
    last: TrialView | None


class TrialEnded(TypedDict):
    trial: TrialView


class PreviewView(TypedDict):
    """`before` and `after`: the agent's own drop as YAML, without secrets."""

    ok: bool
    file: str
    before: str
    after: str
    changed: list[str]
    problems: list[dict[str, str]]
    warnings: list[dict[str, str]]


class AppliedView(TypedDict):
    applied: bool
    changed: list[str]
    warnings: list[dict[str, str]]
    trial: TrialView | None


class LogLineView(TypedDict):
    """A line of the agent's own log; `device` and `broker` are who it is about, null = neither."""

    time: str
    level: LogLevel
    logger: str
    device: str | None
    broker: str | None
    message: str


class LogLines(TypedDict):
    """Lines of the log, oldest first."""

    logs: list[LogLineView]


class CurveView(TypedDict):
    """One value in one unit. `points`: start of the bucket in Unix seconds, count, least, most, mean, last; empty
    buckets are left out."""

    metric: str
    name: str
    unit: str | None
    points: list[list[float]]


class CurveList(TypedDict):
    """`resolution` in seconds, as it was used; not `complete`: reading what is before `since` took too long."""

    device_id: str
    since: str
    until: str
    resolution: int
    complete: bool
    series: list[CurveView]


class ScanView(TypedDict):
    """A scan; times in seconds. `found` comes at its end, see docs/interfaces.md."""

    id: int
    kind: Literal["serial", "ble"]
    state: Literal["running", "done", "cancelled", "failed"]
    started: str
    seconds: float
    elapsed: float
    done: int
    total: int
    doing: str
    message: str | None
    hint: str | None
    found: list[dict[str, Any]]


class ScanShown(TypedDict):
    scan: ScanView | None


class ConnectionStepView(TypedDict):
    """`none`: not needed; `unknown`: the protocol gives no answer."""

    step: Literal["dns", "tcp", "tls", "connect", "subscribe", "publish"]
    state: Literal["ok", "failed", "skipped", "none", "unknown"]
    detail: str
    ms: int
    key: str
    message: str
    hint: str


class BrokerTestView(TypedDict):
    ok: bool
    url: str
    seconds: float
    steps: list[ConnectionStepView]
