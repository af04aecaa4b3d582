"""Ports of this machine."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A TCP port at which nobody listens. It stays bound, so that the kernel gives it to nobody else meanwhile; who
    listens there shares it by SO_REUSEADDR, which every server sets."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = int(probe.getsockname()[1])
    probe.detach()
    return port
