"""The address of the TCP API: `host:port`, `[IPv6]:port`."""

from __future__ import annotations

from ipaddress import ip_address


def split_address(listen: str) -> tuple[str, int]:
    """Host without brackets, and port; raises ValueError."""
    host, mark, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not mark or not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError("no host:port")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it; a name other than localhost is not known to be one."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
