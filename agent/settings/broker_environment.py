"""Broker `default` from environment variables such as MQTT_HOST, as containers give them; where no broker is named."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from gatepost.agent.settings.environment import origin_of
from gatepost.agent.settings.yaml.nodes import MapEntry, MapNode, ScalarNode, is_null

DEFAULT_BROKER = "default"
HOST = ("MQTT_BROKER_HOST", "MQTT_HOST")  # the first that is set counts
PORT = ("MQTT_BROKER_PORT", "MQTT_PORT")
PROTOCOL = "MQTT_PROTOCOL"
PASSWORD = "MQTT_PASSWORD"  # noqa: S105 - the name of a variable
OTHERS = {"username": "MQTT_USERNAME", "client_id": "MQTT_CLIENT_ID", "keepalive": "MQTT_KEEPALIVE"}
TLS_PORT = "8883"


def add_default_broker(tree: MapNode, environ: Mapping[str, str], overridden: MapNode) -> MapNode:
    """The tree with this broker in it, unless `overridden`, the tree with its GATEPOST_ variables, names one."""
    name = next((name for name in HOST if environ.get(name)), None)
    if name is None or _names_broker(overridden):
        return tree
    origin = origin_of(name)
    host, port = environ[name], next((environ[each] for each in PORT if environ.get(each)), "")
    address = f"{f'[{host}]' if _is_ipv6(host) else host}{f':{port}' if port else ''}"
    usual = "mqtts" if address.endswith(f":{TLS_PORT}") else "mqtt"
    url = f"{environ.get(PROTOCOL, '').removesuffix('://') or usual}://{address}"
    broker = {"url": MapEntry(origin, ScalarNode(url, origin, plain=False))}
    for key, each in OTHERS.items():
        if text := environ.get(each):
            text = f"{text}s" if key == "keepalive" and text.isdigit() else text
            broker[key] = MapEntry(origin_of(each), ScalarNode(text, origin_of(each), loose=True))
    if environ.get(PASSWORD):  # named, not copied: it is shown nowhere
        secret = origin_of(PASSWORD)
        reference = MapNode({"env": MapEntry(secret, ScalarNode(PASSWORD, secret, plain=False))}, secret)
        broker["password"] = MapEntry(secret, reference)
    brokers = tree.entries.get("brokers")
    below = brokers.value.entries if brokers and isinstance(brokers.value, MapNode) else {}
    named = MapNode({**below, DEFAULT_BROKER: MapEntry(origin, MapNode(broker, origin))}, origin)
    return MapNode({**tree.entries, "brokers": MapEntry(origin, named)}, tree.origin)


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6
    except ValueError:  # a name, or a host that has its port or brackets already
        return False


def _names_broker(tree: MapNode) -> bool:
    """Whether there is one; what GATEPOST_BROKERS__DEFAULT__... adds to the broker made here names none by itself."""
    entry = tree.entries.get("brokers")
    if entry is None or not isinstance(entry.value, MapNode):
        return False
    for name, broker in entry.value.items():
        amends = name == DEFAULT_BROKER and isinstance(broker.value, MapNode) and "url" not in broker.value.entries
        if not amends and not is_null(broker.value):
            return True
    return False
