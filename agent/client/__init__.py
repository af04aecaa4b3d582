"""Client of the agent's API, over its Unix socket or over TCP; small, no HTTP library.

    client = GatewayClient("/run/gatepost/api.sock")
    client = GatewayClient("https://ward-7:8765", token="gp_...", ca="ca.pem")
    client.send("oximeter-1", "set_interval", {"interval": "30s"})

`GatewayClient` and `AsyncGatewayClient` have the same methods, declared once in `calls.py`; those of the async one are
awaited. `errors.py` draws what may go wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatepost.agent.core.views import BrokerView, DeviceView, ReadingPayload
from gatepost.client.answers import LiveEvent, ReadingDict, ReadingPage, ResponseDict
from gatepost.client.blocking import TIMEOUT, GatewayClient
from gatepost.client.errors import (
    BadInput,
    Conflict,
    EtagChanged,
    GatewayError,
    GatewayTimeout,
    NoAgent,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotTrusted,
    RateLimited,
    Unavailable,
)
from gatepost.client.place import DEFAULT_SOCKET
from gatepost.client.wire import ApiCall

if TYPE_CHECKING:
    from gatepost.client.waiting import AsyncGatewayClient

__all__ = [
    "DEFAULT_SOCKET",
    "TIMEOUT",
    "ApiCall",
    "AsyncGatewayClient",
    "BadInput",
    "BrokerView",
    "Conflict",
    "DeviceView",
    "EtagChanged",
    "GatewayClient",
    "GatewayError",
    "GatewayTimeout",
    "LiveEvent",
    "NoAgent",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "NotTrusted",
    "RateLimited",
    "ReadingDict",
    "ReadingPage",
    "ReadingPayload",
    "ResponseDict",
    "Unavailable",
]


def __getattr__(name: str) -> Any:
    """asyncio is loaded by those who use it: the command line starts without."""
    if name != "AsyncGatewayClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gatepost.client.waiting import AsyncGatewayClient

    return AsyncGatewayClient
