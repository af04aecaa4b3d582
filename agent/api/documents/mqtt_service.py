"""Document of the MQTT service, below `/mqtt`: state of the connection, subscriptions, publish, broadcast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from msgspec import Struct

from gatepost.agent.api.documents.message_service import Published, publish, subscribe, unsubscribe
from gatepost.agent.api.handlers import messages
from gatepost.agent.api.handlers.brokers import chosen_broker
from gatepost.agent.api.http.router import ApiRequest, Route, operate, view
from gatepost.agent.api.schemas.requests import BrokerQuery, PublishBody, SubscriptionBody, TopicName, Which
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.views import BrokerView
from gatepost.agent.settings.model import client_id_of

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import SubscriptionView


class ConnectionHealth(TypedDict):
    status: Literal["ok", "error"]
    isConnected: bool


class ConnectionStatus(TypedDict):
    """`connectedAt` null while it is not connected; `reconnectAttempts`: all but the first since the start."""

    isConnected: bool
    clientId: str
    connectedAt: str | None
    reconnectAttempts: int


class ConnectionStatistics(ConnectionStatus):
    totalSubscriptions: int
    activeSubscriptions: int


class FollowedTopic(TypedDict):
    topic: str
    qos: int


class MessageForAll(Struct, frozen=True, forbid_unknown_fields=True):
    """An object as `message` gets the member `timestamp`, unless `includeTimestamp` is false."""

    topic: TopicName
    message: Any
    includeTimestamp: bool = True  # noqa: N815
    broker: Which | None = None


class PublishMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """`message` is another name for `payload`."""

    topic: TopicName
    payload: Any = ""
    message: Any = ""
    qos: Literal[0, 1, 2] = 1
    retain: bool = False
    broker: Which | None = None


async def health(request: ApiRequest) -> ConnectionHealth:
    connected = _view(request)["state"] == "connected"
    return {"status": "ok" if connected else "error", "isConnected": connected}


async def status(request: ApiRequest) -> ConnectionStatus:
    view, settings = _view(request), request.app.settings
    connected = view["state"] == "connected"
    broker = settings.brokers.get(view["name"])  # None for a moment, while settings change
    return {
        "isConnected": connected,
        "clientId": client_id_of(broker, settings.gateway.id) if broker else "",
        "connectedAt": view["since"] if connected else None,
        "reconnectAttempts": max(view["attempts"] - 1, 0),
    }


async def statistics(request: ApiRequest) -> ConnectionStatistics:
    found = await _subscriptions(request)
    return {
        **await status(request),
        "totalSubscriptions": len(found),
        "activeSubscriptions": sum(each["state"] == "subscribed" for each in found),
    }


async def subscriptions(request: ApiRequest) -> list[FollowedTopic]:
    return [{"topic": each["topic"], "qos": each["qos"]} for each in await _subscriptions(request)]


async def publish_message(request: ApiRequest) -> Published:
    body: PublishMessage = request.body
    payload = body.payload if body.payload != "" else body.message
    return await publish(
        request._replace(body=PublishBody(body.topic, payload, body.broker, qos=body.qos, retain=body.retain))
    )


async def broadcast(request: ApiRequest) -> Published:
    body: MessageForAll = request.body
    payload = body.message
    if isinstance(payload, dict) and body.includeTimestamp:
        payload = {**payload, "timestamp": rfc3339(request.app.clock.now().wall)}
    return await publish(request._replace(body=PublishBody(body.topic, payload, body.broker)))


def _view(request: ApiRequest) -> BrokerView:
    return chosen_broker(request, request.query.broker).as_dict()


async def _subscriptions(request: ApiRequest) -> list[SubscriptionView]:
    """Of the broker; without a name of all, as requests that end one go to all."""
    found = (await messages.subscriptions(request))["subscriptions"]
    return [each for each in found if request.query.broker in (None, each["broker"])]


ROUTES: tuple[Route, ...] = (
    view("/mqtt/health", health, "Whether the broker is connected", query=BrokerQuery),
    view("/mqtt/status", status, "State of the connection", query=BrokerQuery),
    view("/mqtt/stats", statistics, "State of the connection and counts of subscriptions", query=BrokerQuery),
    view("/mqtt/subscriptions", subscriptions, "The topics that are followed", query=BrokerQuery),
    operate("POST", "/mqtt/publish", publish_message, "Publish a message", body=PublishMessage),
    operate("POST", "/mqtt/subscribe", subscribe, "Follow a topic; kept over restarts", body=SubscriptionBody),
    operate(
        "POST", "/mqtt/broadcast", broadcast, "Publish a message with QoS 1 and the time in it", body=MessageForAll
    ),
    operate("DELETE", "/mqtt/unsubscribe/{topic:path}", unsubscribe, "Unsubscribe from a topic", query=BrokerQuery),
)
