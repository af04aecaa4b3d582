"""Options of a driver as they are given on the command line."""

from __future__ import annotations

import pytest
import typer

from gatepost.agent.cli.support.driver_options import parse_driver_options
from gatepost.drivers.driver import Registry


def options(driver: str, *pairs: str) -> dict[str, object]:
    return parse_driver_options(Registry.installed().get(driver), list(pairs))


def test_text_that_looks_like_a_number_stays_text_where_text_is_wanted() -> None:
    assert options("ble-glucose", "passkey=012345") == {"passkey": "012345"}
    assert options("ble-glucose", "passkey=123456", "set_clock=true") == {"passkey": "123456", "set_clock": True}
    assert options("ble-advertisement", "key=" + "1" * 32) == {"key": "1" * 32}


def test_what_is_wanted_as_json_is_json() -> None:
    assert options("modbus-rtu", "unit=7", "interval=0.5") == {"unit": 7, "interval": 0.5}
    assert options("lines", 'columns=["t","h"]') == {"columns": ["t", "h"]}


def test_what_does_not_fit_at_all_is_left_for_the_driver_to_refuse() -> None:
    assert options("modbus-rtu", "unit=x", "nonsense=1") == {"unit": "x", "nonsense": 1}
    with pytest.raises(typer.BadParameter, match="not KEY=VALUE"):
        options("lines", "=3")
