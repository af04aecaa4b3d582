"""Checks of one broker, from its view and what waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from gatepost.agent.core.views import BrokerView
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.finding import Finding, readings

LATE = timedelta(minutes=1)  # a live reading is upstream within seconds
REASONS = 3  # that are told
DEAD = 1000  # dead letters that are counted
UNSTEADY = 3  # losses of a connection that are more than a passing fault


def of_broker(
    state: BrokerView, client_id: str, owed: dict[str, Any], dead: list[str], now: datetime
) -> Iterator[Finding]:
    about = f"broker {state['name']}"
    waiting = int(owed.get("readings") or 0)
    oldest = owed.get("oldest")
    since = f"; {readings(waiting)} waiting for it, the oldest since {_short(oldest)}" if waiting else ""
    reason, do = state["reason"], state["hint"]
    match state["state"]:
        case "connected" | "connecting" | "waiting" if state["losses"] >= UNSTEADY:
            yield finding_of(
                "broker-unsteady",
                about,
                f"its connection was lost {state['losses']} times within five minutes{since}",
                reason or "it is connected again",
                f"does another client use the client id {client_id!r}, as a copied card does? Give each gateway "
                "its own gateway.id, or client_id; else see the broker's log and the network",
            )
        case "connected":
            if state["refused_topics"]:
                yield finding_of(
                    "broker-subscription-refused",
                    about,
                    "it does not grant every subscription: commands on these topics do not arrive",
                    "; ".join(f"{topic}: {why}" for topic, why in list(state["refused_topics"].items())[:REASONS]),
                    "allow this gateway to subscribe to them at the broker; it asks again by itself",
                )
            if waiting and oldest and now - datetime.fromisoformat(oldest) > LATE:
                yield finding_of(
                    "broker-backlog",
                    about,
                    f"{readings(waiting)} not upstream yet, the oldest of {_short(oldest)}",
                    "it is connected: the backlog drains beside the live readings, by backlog.share and backlog.rate",
                    "wait, or raise them",
                )
        case "disconnected":
            text = "it was disconnected by a command, or `active: false` stands in its settings"
            yield finding_of(
                "broker-disconnected", about, f"it is disconnected on purpose{since}", text, do or _connect(state)
            )
        case "refused":
            yield finding_of(
                "broker-refused",
                about,
                f"it refuses this gateway{since}",
                reason,
                do or "see its username and password",
            )
        case "blocked":
            text = f"it cannot be connected before something is changed{since}"
            yield finding_of("broker-blocked", about, text, reason, do or "see its settings")
        case _:
            yield finding_of(
                "broker-unreachable", about, f"it is not connected{since}", reason, do or "is it reachable from here?"
            )
    if dead:
        yield finding_of(
            "broker-dead-letters",
            about,
            f"it refused {readings(len(dead))}{' or more' if len(dead) >= DEAD else ''} for good",
            ", ".join(list(dict.fromkeys(dead))[:REASONS]),
            "`gatepost backlog --dead-letters` lists them; `gatepost send gateway resend` sends readings again, where "
            "commands.allow permits it",
        )


def _short(moment: Any) -> str:
    """RFC 3339 to the second."""
    return f"{str(moment)[:19]}Z"


def _connect(state: BrokerView) -> str:
    return f"`gatepost brokers connect {state['name']}`"
