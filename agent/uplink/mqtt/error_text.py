"""Error texts: why no connection could be made, and how an open one ended."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from gatepost.agent.core.errors import ConnectFailed
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.reason_codes import ConnectionLost
from gatepost.agent.uplink.mqtt.tls import tls_failed

_HINTS = {
    errno.ECONNREFUSED: "no broker listens there: check host and port of url, and that the broker runs",
    errno.EHOSTUNREACH: "check the network of this machine",
    errno.ENETUNREACH: "check the network of this machine",
    errno.ETIMEDOUT: "check the network, and that no firewall is in the way",
}


_PROTOCOLS = {"mqtts": "TLS", "ws": "WebSocket", "wss": "TLS and WebSocket"}


def unanswered(endpoint: BrokerEndpoint, timeout: float, connected: bool) -> ConnectFailed:
    """No CONNACK in `timeout` seconds; `connected`: the transport stood."""
    if connected:
        hint = "the port is open, but it may not be an MQTT broker, or the broker hangs"
        return ConnectFailed("timeout", f"{endpoint} did not answer CONNECT within {timeout:g} s", hint, reached=True)
    hint = "check host, port and scheme of url, the network, and that no firewall is in the way"
    return ConnectFailed("timeout", f"no connection to {endpoint} within {timeout:g} s", hint)


def explain_failure(problem: Exception | None, endpoint: BrokerEndpoint, before_connack: bool = False) -> ConnectFailed:
    """`before_connack`: the connection stood, and ended before the broker answered CONNECT."""
    if isinstance(problem, ConnectFailed):
        return problem
    if isinstance(problem, ssl.SSLError):
        return tls_failed(problem, endpoint.host)
    if before_connack:
        hint = "it may not know this MQTT version, or not allow this client; the broker's log may say more"
        if not endpoint.secure:
            hint = f"the port may speak TLS (try {endpoint.scheme}s://); else {hint}"
        message = f"{endpoint} closed the connection without answering CONNECT"
        return ConnectFailed("closed", message, hint, "protocol", reached=True)
    if isinstance(problem, socket.gaierror):
        hint = "check the host in url and the name service of this machine"
        return ConnectFailed("unknown-host", f"the name {endpoint.host} could not be resolved", hint)
    if isinstance(problem, OSError):
        number = problem.errno or 0
        text = os.strerror(number) if number else str(problem) or type(problem).__name__
        hint = _HINTS.get(number, "")
        if number in (errno.ECONNRESET, errno.EPIPE, 0) and endpoint.scheme != "mqtt":
            hint = f"the port may not speak {_PROTOCOLS[endpoint.scheme]}: check port and scheme of url"
        return ConnectFailed("unreachable", f"no connection to {endpoint}: {text}", hint)
    if isinstance(problem, UnicodeError):
        return ConnectFailed("settings", f"{endpoint.host} is not a valid host name", "check url", "later")
    return ConnectFailed("settings", f"CONNECT cannot be sent: {problem}", "check this broker's settings", "later")


def describe_end(problem: Exception | None) -> ConnectionLost:
    """Why an open connection ended: the transport's error, or None where the broker closed it."""
    if problem is None:
        hint = "the broker's log may say why: another client may have this one's client_id, as a copied gateway has"
        return ConnectionLost(None, "the broker closed the connection", hint)
    if isinstance(problem, OSError) and problem.errno == errno.ETIMEDOUT:
        hint = "check the network between here and the broker"
        return ConnectionLost(None, "the broker's machine no longer answers", hint, silent=True)
    if isinstance(problem, OSError) and problem.errno:
        return ConnectionLost(None, f"the connection broke: {os.strerror(problem.errno)}")
    return ConnectionLost(None, f"the connection broke: {type(problem).__name__}")
