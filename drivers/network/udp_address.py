"""UDP addresses: `udp://HOST:PORT`, a device that answers at HOST; `local=PORT` is the gateway's own port."""

from __future__ import annotations

from gatepost.drivers.network.address_url import HostPort, split_url

SCHEME = "udp://"
EXAMPLE = "for example udp://10.1.0.7:24105"


class UdpAddress(HostPort, frozen=True):
    """Address of a device; `local` 0 = any free port of the gateway."""

    local: int = 0


def parse_udp_address(url: str) -> UdpAddress:
    """Raises ValueError with a sentence for people."""
    host, port, options = split_url(url, SCHEME, ("local",), EXAMPLE)
    local = options.get("local", "0")
    if not local.isascii() or not local.isdigit() or int(local[:6]) > 65535:
        raise ValueError(f"{local[:32]!r} is not a port, {EXAMPLE}")
    return UdpAddress(host, port, int(local))
