"""Message routes: publish and broadcast, subscriptions, the history of messages."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson

from gatepost.agent.api.agent_interface import BrokerInterface
from gatepost.agent.api.handlers.brokers import chosen_broker
from gatepost.agent.api.handlers.readings import micros
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.schemas.requests import BroadcastBody, MessageQuery, PublishBody
from gatepost.agent.core.errors import BadInput, Conflict, Forbidden, GatepostError, NotConnected, NotFound
from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.uplink.message_log import LoggedMessage
from gatepost.agent.uplink.mqtt.codec import check_filter, check_topic

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import (
        BroadcastOutcome,
        BroadcastReport,
        ErrorDetail,
        MessagePage,
        PublishedMessage,
        SubscriptionList,
        SubscriptionRemoved,
        SubscriptionView,
        TopicList,
    )

LARGEST = 256 * 1024  # octets of a payload
SHORT = 5.0  # seconds that the answer waits for the broker's word about a subscription


async def publish(request: ApiRequest) -> PublishedMessage:
    body: PublishBody = request.body
    broker = chosen_broker(request, body.broker)
    problem = check_topic(body.topic)
    if problem is not None:
        raise BadInput(f"topic: {problem}", "name one topic")
    check_may_publish(request, body.topic)
    payload, kind = _payload(body.payload, body.encoding)
    await broker.send(body.topic, payload, body.qos, body.retain, {"content_type": kind})
    request.app.message_log.take(broker.name, body.topic, payload, body.qos, body.retain, "out")
    return {"broker": broker.name, "topic": body.topic, "qos": body.qos, "retain": body.retain, "size": len(payload)}


async def broadcast(request: ApiRequest) -> BroadcastReport:
    body: BroadcastBody = request.body
    if request.app.settings.gateway.organization is None:
        raise Conflict("this gateway belongs to no organization", "set gateway.organization", "no-organization")
    payload, kind = _payload(body.payload, None)
    if body.broker is not None:
        brokers = [chosen_broker(request, body.broker)]
    else:
        brokers = [broker for broker in request.app.brokers.views() if broker.as_dict()["state"] == "connected"]
    if not brokers:
        raise NotConnected("no broker is connected", "`gatepost brokers` says why")
    for broker in brokers:
        check_may_publish(request, broker.topic("broadcast"))
    outcomes = await asyncio.gather(*(_cast(request, broker, payload, kind) for broker in brokers))
    if all("error" in outcome for outcome in outcomes):
        raise NotConnected(f"{outcomes[0]['broker']}: {outcomes[0]['error']['message']}", outcomes[0]["error"]["hint"])
    return {"brokers": outcomes}


async def _cast(request: ApiRequest, broker: BrokerInterface, payload: bytes, kind: str) -> BroadcastOutcome:
    topic = broker.topic("broadcast")
    try:
        await broker.send(topic, payload, 1, False, {"content_type": kind})
    except GatepostError as error:
        return {"broker": broker.name, "topic": topic, "error": cast("ErrorDetail", error.as_dict())}
    request.app.message_log.take(broker.name, topic, payload, 1, False, "out")
    return {"broker": broker.name, "topic": topic}


async def subscriptions(request: ApiRequest) -> SubscriptionList:
    found = [
        _subscription(request, broker, topic, qos)
        for broker, topic, qos in request.app.subscriptions.all()
        if _may_follow(request, topic)
    ]
    return {"subscriptions": found}


async def subscribe(request: ApiRequest) -> JsonResponse[SubscriptionView]:
    view, new = await follow(request)
    return JsonResponse(view, 201 if new else 200)


async def follow(request: ApiRequest) -> tuple[SubscriptionView, bool]:
    """The subscription, and whether it is a new one."""
    body = request.body
    broker = chosen_broker(request, body.broker)
    problem = check_filter(body.topic)
    if problem is not None:
        raise BadInput(f"topic: {problem}", "a topic, or a filter with + and #")
    if not _may_follow(request, body.topic):
        raise Forbidden("you may not subscribe to this topic", "use a token that may")
    new = await request.app.subscriptions.put(request.app.store, broker.name, body.topic, body.qos)
    await _follow(broker, body.topic)
    return _subscription(request, broker.name, body.topic, body.qos), new


async def unsubscribe(request: ApiRequest) -> SubscriptionRemoved:
    topic, name = request.path["topic"], request.query.broker
    if not _may_follow(request, topic):
        raise Forbidden("you may not end this subscription", "use a token that may subscribe to it")
    followers = [
        broker
        for broker, followed, _ in request.app.subscriptions.all()
        if followed == topic and name in (None, broker)
    ]
    if not followers:
        raise NotFound("there is no such subscription", "GET /api/v1/subscriptions lists them")
    for broker in followers:
        await request.app.subscriptions.remove(request.app.store, broker, topic)
        uplink = request.app.brokers.get(broker)
        if uplink is not None:
            await _follow(uplink, topic)
    return {"topic": topic, "brokers": followers, "removed": True}


async def messages(request: ApiRequest) -> MessagePage:
    query: MessageQuery = request.query
    since = micros(query.since)
    pattern = _pattern(query.topic)

    def wanted(message: LoggedMessage) -> bool:
        return (
            query.broker in (None, message.broker)
            and query.direction in (None, message.direction)
            and (since is None or message.at >= since)
            and (pattern is None or pattern.matches(message.topic))
            and _may_see(request, message.topic)
        )

    found = request.app.message_log.newest(wanted, query.limit, query.cursor)
    return {
        "messages": [message.as_dict() for message in found],
        "cursor": found[-1].number if len(found) == query.limit else None,
    }


async def topics(request: ApiRequest) -> TopicList:
    query = request.query
    pattern = _pattern(query.topic)
    found = [
        seen
        for seen in request.app.message_log.topics()
        if query.broker in (None, seen["broker"])
        and (pattern is None or pattern.matches(seen["topic"]))
        and _may_see(request, seen["topic"])
    ]
    return {"topics": found[: query.limit]}


async def _follow(broker: BrokerInterface, topic: str) -> None:
    """As far as the broker answers soon; the list of subscriptions tells what came of it."""
    try:
        async with asyncio.timeout(SHORT):
            await broker.follow(topic)
    except (GatepostError, TimeoutError):
        return  # it is asked again on the next connection


def _subscription(request: ApiRequest, broker: str, topic: str, qos: int) -> SubscriptionView:
    uplink = request.app.brokers.get(broker)
    outcome = None if uplink is None else uplink.followed.outcomes.get(topic)
    connected = uplink is not None and uplink.as_dict()["state"] == "connected"
    state: Literal["waiting", "refused", "subscribed"]
    state = "waiting" if outcome is None or not connected else "refused" if outcome else "subscribed"
    return {"broker": broker, "topic": topic, "qos": qos, "state": state, "reason": outcome or ""}


def _payload(value: Any, encoding: str | None) -> tuple[bytes, str]:
    """Octets and content type. Raises BadInput."""
    if encoding in ("text", "base64") and not isinstance(value, str):
        raise BadInput(f"payload: {encoding} is a string")
    if encoding == "base64":
        try:
            payload, kind = base64.b64decode(value, validate=True), "application/octet-stream"
        except (binascii.Error, ValueError):
            raise BadInput("payload: is not base64") from None
    elif encoding == "json" or not isinstance(value, str):
        try:
            payload, kind = orjson.dumps(value), "application/json"
        except TypeError as error:  # a number of more than 64 bits, nested too deeply
            raise BadInput(f"payload: {error}", "send JSON without NaN and Infinity") from None
    else:
        payload, kind = value.encode(), "text/plain; charset=utf-8"
    if len(payload) > LARGEST:
        raise BadInput(f"payload: is larger than {LARGEST} octets")
    return payload, kind


def check_may_publish(request: ApiRequest, topic: str) -> None:
    if "#" not in request.principal.publish and not request.principal.may_publish(topic):
        raise Forbidden("you may not publish to this topic", "use a token that may")


def _may_follow(request: ApiRequest, topic: str) -> bool:
    return "#" in request.principal.subscribe or request.principal.may_subscribe(topic)


def _may_see(request: ApiRequest, topic: str) -> bool:
    allowed = request.principal.subscribe
    return "#" in allowed or any(TopicFilter(each).matches(topic) for each in allowed)


def _pattern(text: str | None) -> TopicFilter | None:
    problem = None if text is None else check_filter(text)
    if problem is not None:
        raise BadInput(f"topic: {problem}", "a topic, or a filter with + and #")
    return None if text is None else TopicFilter(text)
