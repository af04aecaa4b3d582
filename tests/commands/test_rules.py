"""What a refusal says of wrong parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from gatepost.agent.commands.authorization import validated
from gatepost.agent.commands.model import RefusedCommand
from gatepost.agent.devices.builtin_commands import GENERIC
from gatepost.drivers.driver import Command

COMMANDS = {command.name: command for command in GENERIC}


class Weigh(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1)]
    stable: bool = False
    mode: Literal["fast", "slow"] = "fast"


COMMANDS["weigh"] = Command("weigh", "Weigh", Weigh)


@pytest.mark.parametrize(
    ("command", "parameters", "message", "hint"),
    [
        (
            "set_interval",
            {"interval": []},
            "interval: expected a duration such as 30s, 0 to 86400 seconds.",
            "Parameters of set_interval: interval (a duration such as 30s, 0 to 86400 seconds).",
        ),
        (
            "start_monitoring",
            {"duration": -1},
            "duration: expected a duration such as 30s, 0 to 86400 seconds.",
            "Parameters of start_monitoring: [interval] (a duration such as 30s, 0 to 86400 seconds), "
            "[duration] (a duration such as 30s, 0 to 86400 seconds).",
        ),
        (
            "weigh",
            {"count": 1, "stable": "yes"},
            "stable: expected true or false, found text.",
            "Parameters of weigh: count (a whole number, at least 1), [stable] (true or false), [mode] (fast|slow).",
        ),
        (
            "weigh",
            {"count": 0},
            "count: expected a whole number of at least 1.",
            "Parameters of weigh: count (a whole number, at least 1), [stable] (true or false), [mode] (fast|slow).",
        ),
        ("stop_monitoring", {"x": 1}, "x: unknown parameter.", "stop_monitoring takes no parameters."),
    ],
)
def test_it_is_told_in_words(command: str, parameters: dict[str, Any], message: str, hint: str) -> None:
    refusal = validated(COMMANDS[command], parameters)
    assert isinstance(refusal, RefusedCommand)
    assert refusal.message == message
    assert refusal.hint == hint
