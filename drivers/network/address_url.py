"""URLs of network addresses: SCHEME://HOST:PORT?options."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

import msgspec


class HostPort(msgspec.Struct, frozen=True):
    """Host and port of an address."""

    host: str
    port: int

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def split_url(url: str, scheme: str, known: Collection[str], example: str) -> tuple[str, int, dict[str, str]]:
    """Host, port and options, of which those in `known` may be there. Raises ValueError with a sentence for people."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not url.startswith(scheme) or not host or not port:
        raise ValueError(f"expected {scheme}HOST:PORT, {example}")
    if "@" in parts.netloc:
        raise ValueError(f"a {scheme} URL must not hold a user name or password, {example}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := min(options.keys() - set(known), default=None):
        taken = ", ".join(sorted(known)) or "none"
        raise ValueError(f"{scheme} takes no option {unknown[:32]!r}; options that may stand there: {taken}")
    return host, port, options
