"""Command request and response."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec
import orjson

Status = Literal["accepted", "done", "failed", "rejected", "outcome-unknown"]
GATEWAY = ""  # the ledger's target for commands of the gateway itself


class CommandRequest(msgspec.Struct, frozen=True):
    """A command as it arrived; `target` is a device id, None = the gateway.

    `source` is `mqtt:<broker>`, `broadcast:<broker>`, `api` or `cli`. `trusted` sources are vouched for by who may
    reach them (file permission) and need neither token nor signature. `expires_in` is the MQTT 5 message expiry in
    seconds as received, `redelivered` the DUP flag, `topic` that of a message.
    """

    source: str
    target: str | None
    payload: bytes
    retained: bool = False
    correlation: bytes | None = None
    response_topic: str | None = None
    trusted: bool = False
    expires_in: float | None = None
    redelivered: bool = False
    topic: str | None = None

    @property
    def remote(self) -> bool:
        """The response goes back over a broker."""
        return self.source.startswith(("mqtt:", "broadcast:"))


class RefusedCommand(NamedTuple):
    """Refusal of a command; `silent` = no response is sent (nobody who asked would get it).

    `status` is `failed` where the reason is no fault of the command.
    """

    key: str
    message: str
    hint: str = ""
    result: dict[str, Any] | None = None
    silent: bool = False
    status: Status = "rejected"

    @property
    def error(self) -> dict[str, str]:
        return {"key": self.key, "message": self.message, "hint": self.hint}


class CommandResponse(msgspec.Struct, frozen=True):
    """Response in the members of the contract; `gateway_id` says who responds where there is no device."""

    id: str
    device_id: str | None
    command: str | None
    status: Status
    result: dict[str, Any] | None
    error: dict[str, str] | None
    timestamp: str
    gateway_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        body = msgspec.structs.asdict(self)
        if self.gateway_id is None:
            del body["gateway_id"]
        return body

    def as_bytes(self) -> bytes:
        body = self.as_dict()
        try:
            return orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a result that is no JSON (nested too deeply, a broken string): the outcome still counts
            return orjson.dumps(body | {"result": {"unreadable": True}})


class AddressedResponse(NamedTuple):
    """A response on its way to who asked: the uplink makes the topic where `response_topic` is None."""

    source: str
    target: str | None
    response_topic: str | None
    correlation: bytes | None
    payload: bytes
