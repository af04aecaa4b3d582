"""Parts of the agent that every broker's link works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import Secret
from gatepost.agent.store import Store
from gatepost.agent.uplink.formats.interface import DeviceProfile
from gatepost.agent.uplink.mqtt.inbox import InboundMessage


async def _nothing() -> None:
    pass


@dataclass(frozen=True)
class UplinkContext:
    """Context of every link: store, clock and the rest of the agent, as far as brokers need them."""

    store: Store
    clock: Clock
    rng: Random
    events: EventBus
    gateway: str
    organization: str | None
    resolve: Callable[[Secret | None], str | None]
    devices: Callable[[], Mapping[str, dict[str, Any]]]  # device id -> status payload to publish on connecting
    on_command: Callable[[str, str | None, InboundMessage, bool], Awaitable[None]]  # broker, device, message, broadcast
    on_connected: Callable[[str], Awaitable[None]]
    version: str = ""  # of the product
    profiles: Mapping[str, DeviceProfile] = field(default_factory=dict)  # devices configured now, as formats see them
    read_tokens: Callable[[], Awaitable[None]] = _nothing  # of those devices, before `profiles` is asked
    followed: Callable[[str], Mapping[str, int]] = lambda _: {}  # broker -> topic filters that people follow, QoS
    on_message: Callable[[str, InboundMessage], None] = lambda *_: None  # broker, a message on one of those
    further: Callable[[str], Collection[str]] = lambda _: ()  # broker -> keys of topics that others subscribe to
    on_further: Callable[[str, str, InboundMessage], None] = lambda *_: None  # broker, key, a message on one of those
    on_granted: Callable[[str], None] = lambda _: None  # broker: it has granted one of those
