"""UDP addresses: `udp://HOST:PORT`, a device that answers at HOST; `local=PORT` is the gateway's own port."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msgspec

SCHEME = "udp://"
EXAMPLE = "for example udp://10.1.0.7:24105"


class UdpAddress(msgspec.Struct, frozen=True):
    """Address of a device; `local` 0 = any free port of the gateway."""

    host: str
    port: int
    local: int = 0

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_udp_address(url: str) -> UdpAddress:
    """Raises ValueError with a sentence for people."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"expected udp://HOST:PORT, {EXAMPLE}") from None
    if not url.startswith(SCHEME) or not parts.hostname or not port:
        raise ValueError(f"expected udp://HOST:PORT, {EXAMPLE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := min(options.keys() - {"local"}, default=None):
        raise ValueError(f"udp:// takes no option {unknown[:32]!r}; it takes local")
    local = options.get("local", "0")
    if not local.isascii() or not local.isdigit() or int(local[:6]) > 65535:
        raise ValueError(f"{local[:32]!r} is not a port, {EXAMPLE}")
    return UdpAddress(parts.hostname, port, int(local))
