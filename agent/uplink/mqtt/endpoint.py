"""Endpoint of a broker: `mqtts://host:8883`, taken apart."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from gatepost.agent.core.errors import UplinkError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
WEBSOCKET_PATH = "/mqtt"
_OTHER_NAMES = {"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "mqtt+ssl": "mqtts", "http": "ws", "https": "wss"}


class BrokerEndpoint(NamedTuple):
    """Endpoint of a broker; `path` (with its query) only for ws and wss."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def secure(self) -> bool:
        return self.scheme in ("mqtts", "wss")

    @property
    def websocket(self) -> bool:
        return self.scheme in ("ws", "wss")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @classmethod
    def parse(cls, url: str) -> BrokerEndpoint:
        """Raises UplinkError `broker-url-wrong`; the message never repeats a password that stands in the URL."""
        parts = urlsplit(url.strip())
        scheme = parts.scheme.lower()
        if scheme not in PORTS:
            better = _OTHER_NAMES.get(scheme)
            hint = f"write {better}:// for {scheme}://" if better else "mqtt://, mqtts://, ws:// or wss:// and the host"
            raise _wrong("the URL of a broker starts with mqtt, mqtts, ws or wss", hint)
        if parts.username is not None or parts.password is not None:
            raise _wrong("the URL of a broker holds a user name", "use the keys username and password")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong(f"the port in the URL {url} is not valid", "a number from 1 to 65535") from None
        if not host:
            raise _wrong(f"the URL {url} names no host", f"for example {scheme}://broker.example:{PORTS[scheme]}")
        if port == 0:
            raise _wrong(f"the port in the URL {url} is not valid", "a number from 1 to 65535")
        path = ""
        if scheme in ("ws", "wss"):
            path = (parts.path or WEBSOCKET_PATH) + (f"?{parts.query}" if parts.query else "")
        elif parts.path not in ("", "/") or parts.query:
            raise _wrong(f"the URL {url} has a path, which only ws and wss have", "leave out what follows the port")
        return cls(scheme, host, port or PORTS[scheme], path)


def _wrong(message: str, hint: str) -> UplinkError:
    return UplinkError(message, hint, key="broker-url-wrong")
