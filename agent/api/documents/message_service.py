"""Document of the message service, at the root: publish, subscribe, messages with offset, topics, statistics."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta, Struct

from gatepost.agent.api.handlers import gateway, messages
from gatepost.agent.api.handlers.brokers import is_connected
from gatepost.agent.api.http.router import ApiRequest, Route, operate, view
from gatepost.agent.api.schemas.requests import (
    BrokerQuery,
    Limit,
    MessageQuery,
    PublishBody,
    SubscriptionBody,
    TopicQuery,
    Which,
)
from gatepost.agent.api.websocket.broadcaster import BROADCASTER
from gatepost.agent.uplink.message_log import MAX_MESSAGES, MAX_TOPICS
from gatepost.drivers.installed import version


class ServiceInfo(TypedDict):
    service: Literal["gatepost"]
    version: str
    status: Literal["healthy", "degraded"]


class Published(TypedDict):
    status: Literal["published"]
    topic: str
    qos: int
    retain: bool


class Subscribed(TypedDict):
    """`waiting`: the broker is not connected; `refused`: the broker refused it, for this `reason`."""

    status: Literal["subscribed", "waiting", "refused"]
    topic: str
    qos: int
    reason: NotRequired[str]


class Unsubscribed(TypedDict):
    status: Literal["unsubscribed"]
    topic: str


class ReceivedMessage(TypedDict):
    """`encoding`: base64 where it is not text; `truncated` where only the beginning was kept."""

    topic: str
    payload: str
    qos: int
    retain: bool
    timestamp: str
    encoding: NotRequired[str]
    truncated: NotRequired[bool]


class ReceivedMessages(TypedDict):
    messages: list[ReceivedMessage]
    total: int
    limit: int
    offset: int


class TopicNames(TypedDict):
    topics: list[str]


class MessageStatistics(TypedDict):
    """`recent_messages` are those that `/messages` still has; `uptime` in seconds."""

    total_messages: int
    unique_topics: int
    recent_messages: int
    topic_counts: dict[str, int]
    mqtt_connected: bool
    websocket_connections: int
    uptime: float | None


class ReceivedQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of received messages, newest first; an empty topic is none."""

    topic: Annotated[str, Meta(max_length=1024, description="a topic, or a filter with `+` and `#`")] = ""
    limit: Limit = 100
    offset: Annotated[int, Meta(ge=0, le=MAX_MESSAGES, description="a number from 0 to 1000")] = 0
    broker: Which | None = None


async def service(request: ApiRequest) -> ServiceInfo:
    health = await gateway.health(request)
    return {"service": "gatepost", "version": version("gatepost"), "status": health["status"]}


async def publish(request: ApiRequest) -> Published:
    done = await messages.publish(request)
    return {"status": "published", "topic": done["topic"], "qos": done["qos"], "retain": done["retain"]}


async def subscribe(request: ApiRequest) -> Subscribed:
    view, _ = await messages.follow(request)
    answer: Subscribed = {"status": view["state"], "topic": view["topic"], "qos": view["qos"]}
    return {**answer, "reason": view["reason"]} if view["reason"] else answer


async def unsubscribe(request: ApiRequest) -> Unsubscribed:
    ended = await messages.unsubscribe(request)
    return {"status": "unsubscribed", "topic": ended["topic"]}


async def received(request: ApiRequest) -> ReceivedMessages:
    query: ReceivedQuery = request.query
    found = await _received(request, MessageQuery(query.broker, query.topic or None, "in", limit=MAX_MESSAGES))
    page = found[query.offset : query.offset + query.limit]
    return {"messages": page, "total": len(found), "limit": query.limit, "offset": query.offset}


async def topics(request: ApiRequest) -> TopicNames:
    return {"topics": list(dict.fromkeys(seen["topic"] for seen in (await messages.topics(request))["topics"]))}


async def statistics(request: ApiRequest) -> MessageStatistics:
    counts: dict[str, int] = {}
    for seen in (await messages.topics(request._replace(query=TopicQuery(limit=MAX_TOPICS))))["topics"]:
        if seen["received"]:
            counts[seen["topic"]] = counts.get(seen["topic"], 0) + seen["received"]
    recent = await _received(request, MessageQuery(direction="in", limit=MAX_MESSAGES))
    return {
        "total_messages": request.app.message_log.received,
        "unique_topics": len(counts),
        "recent_messages": len(recent),
        "topic_counts": counts,
        "mqtt_connected": is_connected(request),
        "websocket_connections": request.scope["state"][BROADCASTER].clients,
        "uptime": request.app.status().get("uptime"),
    }


async def _received(request: ApiRequest, query: MessageQuery) -> list[ReceivedMessage]:
    found: list[ReceivedMessage] = []
    for message in (await messages.messages(request._replace(query=query)))["messages"]:
        shown: ReceivedMessage = {
            "topic": message["topic"],
            "payload": message["payload"],
            "qos": message["qos"],
            "retain": message["retain"],
            "timestamp": message["at"],
        }
        if message["encoding"] != "text":
            shown["encoding"] = message["encoding"]
        if message["truncated"]:
            shown["truncated"] = True
        found.append(shown)
    return found


ROUTES: tuple[Route, ...] = (
    operate("POST", "/publish", publish, "Publish a message", body=PublishBody),
    operate("POST", "/subscribe", subscribe, "Follow a topic; kept over restarts", body=SubscriptionBody),
    operate("DELETE", "/subscribe/{topic:path}", unsubscribe, "Unsubscribe from a topic", query=BrokerQuery),
    view("/messages", received, "Received messages, newest first", query=ReceivedQuery, patient=True),
    view("/topics", topics, "The topics seen", query=TopicQuery),
    view("/stats", statistics, "Counts of messages"),
)
