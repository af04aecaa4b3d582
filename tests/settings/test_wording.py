from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from gatepost.agent.settings.problem import in_words


class Given(msgspec.Struct):
    switch: bool = False
    count: Annotated[int, Meta(ge=1, le=5)] = 1
    mode: Literal["x", "y"] = "x"
    names: list[str] = []
    span: Annotated[float, Meta(ge=0)] | str | None = None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"switch": "yes"}, "Expected true or false, found text - at `$.switch`"),
        ({"count": 9}, "Expected a whole number of at most 5 - at `$.count`"),
        ({"count": 1.5}, "Expected a whole number, found a number - at `$.count`"),
        ({"mode": "z"}, "Invalid enum value 'z' - at `$.mode`"),
        ({"names": "a"}, "Expected a list, found text - at `$.names`"),
        ({"span": True}, "Expected a number or text or nothing, found true or false - at `$.span`"),
        (5, "Expected a section of keys, found a whole number"),
    ],
)
def test_types_are_told_in_words(given: object, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Given)
    assert in_words(str(caught.value)) == said


def test_another_text_stays_as_it_is() -> None:
    assert in_words("`low` is above `high`") == "`low` is above `high`"
