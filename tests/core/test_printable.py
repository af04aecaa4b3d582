"""No text of a device or a broker moves a cursor, turns text round or fakes a line."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.printable import in_colour, printable, printable_colours, without_colours


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bed 4 · 37 °C", "Bed 4 · 37 °C"),
        ("\x1b]0;owned\x07", "\\u001b]0;owned\\u0007"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("one\n<3>two\r\x9b2J", "one\\n<3>two\\r\\u009b2J"),
        ("\u2028\ufeff\U000e0041", "\\u2028\\ufeff\\udb40\\udc41"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_else_comes_out_and_json_means_the_same(text: str) -> None:
    assert all(each.isprintable() or each == "\xa0" for each in printable(text))
    line = orjson.dumps(text).decode()
    assert orjson.loads(printable(line)) == text


def test_only_our_own_colours_stay() -> None:
    text = in_colour("on\x1bline", "32") + " \x1b[2J\x1b[32mok\x1b[0m \\u001b[31m\n"
    assert printable_colours(text) == "\x1b[32mon\\u001bline\x1b[0m \\u001b[2J\\u001b[32mok\\u001b[0m \\u001b[31m\n"
    assert without_colours(in_colour("online", "32")) == "online"
