"""Commands that come over brokers: a message becomes a request, and its response goes back to who asked."""

from __future__ import annotations

import logging

from gatepost.agent.commands.dispatcher import CommandDispatcher
from gatepost.agent.commands.model import AddressedResponse, CommandRequest, CommandResponse
from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.listener.on_demand import ListenerOnDemand
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.agent.uplink.mqtt.connection import InboundMessage

log = logging.getLogger("gatepost")

# Errors of a broker that sending again does not change: the message is given up.
NOT_RETRYABLE = ("broker-refused-message", "broker-topic-wrong", "broker-message-too-large")


class BrokerCommands:
    """Between the brokers and the dispatcher, each of which is made with a method of this one."""

    brokers: BrokerManager
    dispatcher: CommandDispatcher

    def __init__(self, current: CurrentSettings, listener: ListenerOnDemand) -> None:
        self._current = current
        self._listener = listener

    async def take(self, broker: str, device: str | None, message: InboundMessage, broadcast: bool) -> None:
        """`broadcast`: for every gateway of the organization; devices that speak MQTT hear it once it was obeyed."""
        properties = message.properties
        expiry = properties.get("message_expiry_interval")
        payload = bytes(message.payload)

        def responded(response: CommandResponse) -> None:
            if broadcast and response.status in ("done", "accepted"):
                self._listener.broadcast(payload)

        await self.dispatcher.take(
            CommandRequest(
                source=f"{'broadcast' if broadcast else 'mqtt'}:{broker}",
                target=device,
                payload=payload,
                retained=message.retain,
                correlation=properties.get("correlation_data"),
                response_topic=self._response_topic(broker, device, properties.get("response_topic")),
                expires_in=float(expiry) if expiry is not None else None,
                redelivered=message.dup,
                topic=message.topic,
            ),
            responded,
        )

    def _response_topic(self, broker: str, device: str | None, topic: str | None) -> str | None:
        """The response topic that a command named, where it is one's own or allowed; a sender has no say beyond."""
        link = self.brokers.get(broker)
        if not topic or link is None:
            return None
        allowed = any(TopicFilter(each).covers(topic) for each in self._current.settings.commands.respond_to)
        if allowed or link.may_reply_on(topic, device):
            return topic
        log.info("%s: a command named a response topic that commands.respond_to does not allow", broker)
        return None

    async def respond(self, response: AddressedResponse) -> bool:
        """True when the broker is done with it: acknowledged, or refused for good."""
        broker = self.brokers.get(response.source.partition(":")[2])
        if broker is None:
            return False
        try:
            await broker.answer(response.target, response.payload, response.response_topic, response.correlation)
        except NotConnected:
            return False
        except UplinkError as error:
            log.warning("%s: a response was not taken: %s", broker.name, error)
            return error.kind in NOT_RETRYABLE
        return True
