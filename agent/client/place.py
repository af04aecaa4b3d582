"""Address of an agent: a Unix socket, or http:// and https:// with a token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatepost.client.errors import NotTrusted

if TYPE_CHECKING:
    import ssl

DEFAULT_SOCKET = "/run/gatepost/api.sock"
PORTS = {"http": 80, "https": 443}


class AgentAddress:
    """`path` is the socket, or None where `host` and `port` are used; `headers` go with every request."""

    def __init__(
        self,
        address: str | Path | None = None,
        token: str | None = None,
        ca: str | Path | None = None,
        agent: str = "gatepost-client/1",
    ) -> None:
        """Raises ValueError; a token is never part of what it says."""
        self.name = str(address or os.environ.get("GATEPOST_SOCKET") or DEFAULT_SOCKET)
        self.path: str | None = self.name
        self.host, self.port, self.secure = "gatepost", 0, False
        self._ca = ca
        self._context: ssl.SSLContext | None = None
        if "://" in self.name:
            self.path = None
            self._from_url(self.name)
        self.headers = {"Host": self._host(), "User-Agent": agent, "Connection": "close"}
        if token is not None:
            if not token or not token.isascii() or not token.isprintable() or " " in token:
                raise ValueError("the token is empty, or has letters that no token has")
            self.headers["Authorization"] = f"Bearer {token}"

    def _from_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError("the address is http://HOST:PORT or https://HOST:PORT, or the path of a socket")
        self.host, self.secure = parts.hostname, parts.scheme == "https"
        self.port = parts.port or PORTS[parts.scheme]
        self.name = f"{parts.scheme}://{self._host()}"

    def _host(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    def tls(self) -> ssl.SSLContext | None:
        """Trusts `ca`, else what the system trusts; None without TLS. Raises NotTrusted."""
        if not self.secure:
            return None
        if self._context is None:
            import ssl

            try:
                self._context = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
            except OSError as error:
                raise NotTrusted(self.name, f"{self._ca}: {error.strerror or 'no certificate'}") from error
        return self._context
