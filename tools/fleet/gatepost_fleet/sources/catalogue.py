"""Catalogue of sources: by the scheme of the address; a client library is loaded with the first of its kind."""

from __future__ import annotations

from importlib import import_module

from gatepost_fleet.sources.interface import Source, SourceError

SOURCES = {
    "mqtt": ("mqtt", "MqttSource", ""),
    "mqtts": ("mqtt", "MqttSource", ""),
    "nats": ("nats", "NatsSource", "nats"),
    "tls": ("nats", "NatsSource", "nats"),
    "amqp": ("amqp", "AmqpSource", "amqp"),
    "amqps": ("amqp", "AmqpSource", "amqp"),
    "amqp+stream": ("stream", "StreamSource", "amqp"),
    "amqps+stream": ("stream", "StreamSource", "amqp"),
}


def make_source(url: str, group: str, worker: str) -> Source:
    """SourceError for a scheme that is not known, and where its extra is not installed."""
    scheme = url.partition("://")[0]
    if scheme not in SOURCES:
        raise SourceError(f"source {scheme!r} is not known; there are {', '.join(sorted(SOURCES))}")
    module, name, extra = SOURCES[scheme]
    try:
        kind = getattr(import_module(f"gatepost_fleet.sources.{module}"), name)
    except ImportError as error:
        raise SourceError(f"{error}: pip install './tools/fleet[{extra}]'") from None
    source: Source = kind(url, group, worker)
    return source
