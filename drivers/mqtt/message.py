"""A message of a device on its way through the decoder, and what the decoder made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson


def without_token(payload: bytes) -> bytes:
    """For a recording: the members of JSON objects without `token`; nothing of a text that may hold one."""
    if b"token" not in payload:
        return payload
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return b""
    if isinstance(found, list):
        return orjson.dumps([_without(each) for each in found])
    return orjson.dumps(_without(found))


def _without(members: Any) -> Any:
    if not isinstance(members, dict):
        return members
    return {name: value for name, value in members.items() if name != "token"}


class MqttMessage(msgspec.Struct, gc=False):
    """Message of one device. `kind`: data, datastream, status, responses, or a pattern of `options.topics`; `captures`:
    what its `{metric}` and `{value}` stand for. `holds_token(device, text)` judges a `token` member.

    The decoder says with `refusal` (a stable key) why it took nothing, and hands on what is no reading: `status`
    (status, reason) of the device, `response` to a command.
    """

    kind: str
    payload: bytes
    device: str = ""
    captures: Mapping[str, str] = {}
    holds_token: Callable[[str, str], bool] = lambda *_: False
    refusal: str = ""
    status: tuple[str, str] | None = None
    response: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.payload)
