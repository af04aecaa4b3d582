"""Sender of messages: what the API and the stick need of a connection to a broker."""

from __future__ import annotations

from typing import Any, Protocol


class MessageSender(Protocol):
    @property
    def name(self) -> str: ...

    async def send(
        self,
        topic: str,
        payload: bytes,
        qos: int = ...,
        retain: bool = ...,
        properties: dict[str, Any] | None = ...,
        timeout: float = ...,
    ) -> None: ...
