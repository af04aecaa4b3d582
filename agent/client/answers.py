"""Answers of the agent as types, for checkers and editors; at run time they are dicts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from gatepost.agent.core.views import PAYLOAD_MEMBERS, BrokerView, DeviceView


class ReadingDict(dict[str, Any]):
    """A reading in the form of docs/interfaces.md, and short ways to what it holds."""

    @property
    def device(self) -> str:
        return str(self["device_id"])

    @property
    def metric(self) -> str:
        return str(self["metric_type"])

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self["timestamp"])

    @property
    def measured(self) -> dict[str, Any]:
        """The values by name."""
        return {name: value for name, value in self.items() if name not in PAYLOAD_MEMBERS}

    @property
    def units(self) -> dict[str, str]:
        return dict(self.get("units") or {})


class ReadingPage(TypedDict):
    readings: list[ReadingDict]
    cursor: int | None


class ProblemDict(TypedDict):
    key: str
    message: str
    hint: str


class ResponseDict(TypedDict):
    """Of a command; `status`: accepted, done, failed, rejected, outcome-unknown."""

    id: str
    device_id: str | None
    command: str
    status: str
    result: Any
    error: ProblemDict | None
    timestamp: str


class DevicesAnswer(TypedDict):
    devices: list[DeviceView]


class BrokersAnswer(TypedDict):
    brokers: list[BrokerView]


class LiveEvent(TypedDict, total=False):
    """Of /ws: `event` says what, `data` is what it is about, `at` when, `n` counts them."""

    event: str
    data: dict[str, Any]
    at: str
    n: int


Json = dict[str, Any]


def page(answer: Any) -> ReadingPage:
    """Its readings as Readings."""
    return {"readings": [ReadingDict(each) for each in answer["readings"]], "cursor": answer["cursor"]}
