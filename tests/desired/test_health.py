"""Health before and after a change: what was well must be well again, as far as it is still wanted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gatepost.agent.fleet.health import HealthComparison
from gatepost.agent.settings.model import BrokerSettings, Settings

SETTINGS = Settings(brokers={"a": BrokerSettings("mqtt://x")})


def broker(condition: str) -> dict[str, Any]:
    return {"name": "a", "condition": condition, "reason": ""}


def device(condition: str, status: str = "online", gap: float | None = None, decoded: int = 0) -> dict[str, Any]:
    view = {"id": "d", "condition": condition, "status": status, "message": "", "reason": None, "monitoring": True}
    return {**view, "usual_gap": gap, "decoded": decoded}


def compare(
    before: list[dict[str, Any]], after: list[dict[str, Any]], settings: Settings = SETTINGS, decoded: int = 0
) -> list[str]:
    """The keys of what is not well; `decoded` items there were when the change was in force."""
    views = list(before)

    def of(kind: str) -> list[Any]:
        return [view for view in views if kind in view]

    brokers = SimpleNamespace(views=lambda: [SimpleNamespace(as_dict=lambda view=v: view) for v in of("name")])
    comparison = HealthComparison(cast(Any, brokers), cast(Any, SimpleNamespace(views=lambda: of("id"))))
    views[:] = [{**view, "decoded": decoded} if "id" in view else view for view in after]
    comparison.applied(60.0)
    views[:] = after
    return [problem["key"] for problem in comparison.problems(settings)]


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        ("ok", "ok", []),
        ("ok", "idle", ["broker-not-well"]),  # connecting
        ("ok", "error", ["broker-not-well"]),
        ("error", "error", []),
        ("idle", "error", []),
    ],
)
def test_a_broker_that_was_connected_is_connected_again(before: str, after: str, wrong: list[str]) -> None:
    assert compare([broker(before)], [broker(after)]) == wrong


def test_what_is_not_wanted_any_more_is_not_missed() -> None:
    off = msgspec.structs.replace(SETTINGS, brokers={"a": BrokerSettings("mqtt://x", active=False)})
    assert compare([broker("ok")], [broker("idle")], off) == []
    assert compare([broker("ok"), device("ok")], [], Settings()) == []


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        (device("ok"), device("ok"), False),
        (device("ok"), device("idle", "starting"), True),
        (device("ok"), device("error", "offline"), True),
        (device("ok"), device("idle", "offline"), False),  # a cuff that sleeps again
        (device("idle", "offline"), device("error", "error"), True),
        (device("error", "offline"), device("error", "offline"), False),
        (device("ok", gap=1.0), device("ok", decoded=5), True),  # open, and says nothing that is understood
        (device("ok", gap=1.0), device("ok", decoded=6), False),
        (device("ok", gap=1.0), device("ok", decoded=0), True),
        (device("ok", gap=1.0), device("ok", decoded=2), False),  # started anew for another reason meanwhile
        (device("ok", gap=1.0), device("idle", "offline", decoded=6), True),
        (device("ok", gap=1.0), {**device("idle", decoded=5), "monitoring": False}, False),
        (device("ok", gap=50.0), device("ok", decoded=5), False),  # too rare to wait for it
    ],
)
def test_a_device_that_was_well_is_well_again(before: dict[str, Any], after: dict[str, Any], wrong: bool) -> None:
    assert compare([before], [after], decoded=5) == (["device-not-well"] if wrong else [])
