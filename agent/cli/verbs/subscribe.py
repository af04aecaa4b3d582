"""`gatepost subscribe`: the messages of a topic, as a broker of the agent hands them over."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, broker_names, connected
from gatepost.agent.cli.support.formatting import clock_time
from gatepost.agent.cli.support.output import complain, say_as_is, say_line
from gatepost.agent.core.printable import printable
from gatepost.client import GatewayClient, GatewayError


def subscribe_verb(
    broker: Annotated[str, typer.Argument(help="`gatepost brokers` lists them.", autocompletion=broker_names)],
    topic: Annotated[str, typer.Argument(help="A topic, or a filter with + and #.")],
    qos: Annotated[int, typer.Option("--qos", min=0, max=2, help="Quality of service.")] = 0,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after this many messages.")] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the messages of a topic.

    Prints until Ctrl-C, then ends the subscription unless it existed before. With --json one JSON object a line.

    \b
    Example:
      gatepost subscribe hospital 'ward/7/#'
    """
    client = connected(socket, config)
    left = count
    with _followed(client, broker, topic, qos) as messages:
        for message in messages:
            if json:
                say_line(message)
            else:
                say_as_is(printable(f"{clock_time(message['at'])}  {message['topic']}  {shown(message)}", "\t"))
            left = None if left is None else left - 1
            if left == 0:
                return


@contextmanager
def _followed(client: GatewayClient, broker: str, topic: str, qos: int) -> Iterator[Iterator[Mapping[str, Any]]]:
    """Listens first, so no message of the new subscription is missed."""
    events = client.events(["message"])
    next(events)
    there = any((each["broker"], each["topic"]) == (broker, topic) for each in client.subscriptions()["subscriptions"])
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not there:
            held = client.subscribe(broker, topic, qos=qos)
            if held["state"] == "refused":
                raise GatewayError("refused", f"{broker} refuses {topic}: {held['reason']}")
            if held["state"] == "waiting":
                complain(f"{broker} is not connected: messages will arrive when it is")
        yield _wanted(events, broker, topic)
    finally:
        if not there:
            with suppress(GatewayError):
                client.unsubscribe(topic, broker=broker)
        signal.signal(signal.SIGTERM, before)


def _wanted(events: Iterator[Any], broker: str, topic: str) -> Iterator[Mapping[str, Any]]:
    from gatepost.agent.core.topic_filter import TopicFilter

    pattern = TopicFilter(topic)
    for event in events:
        data = event.get("data") or {}
        if event["event"] == "message":
            if data["broker"] == broker and data.get("direction") != "out" and pattern.matches(data["topic"]):
                yield data
        elif event["event"] == "reconnected":
            complain(f"the agent was away: messages since {data['since']} may be missing")
        elif event["event"] == "lost":
            complain(f"{data['count']} messages went by faster than they could be printed")


def shown(message: Mapping[str, Any]) -> str:
    """The payload on one line, without what a terminal would obey."""
    payload = message.get("payload")
    if payload is None:
        return f"({message.get('size', 0)} octets)"
    if not isinstance(payload, str):
        import orjson

        payload = orjson.dumps(payload).decode()
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in payload)
    notes = ["base64"] if message.get("encoding") == "base64" else []
    notes += ["retained"] if message.get("retain") else []
    notes += ["cut off"] if message.get("truncated") else []
    return f"{plain}  ({', '.join(notes)})" if notes else plain
