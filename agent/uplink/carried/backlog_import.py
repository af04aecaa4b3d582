"""Backlog import: sends the messages of another gateway's parcels through a broker, and remembers what it has taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import NotTaken, UplinkError
from gatepost.agent.core.message_sender import MessageSender
from gatepost.agent.store import Store
from gatepost.agent.store.ranges import Ranges
from gatepost.agent.uplink.carried.carried_message import CarriedMessage

ANSWER_TIME = 30.0  # seconds in which the broker must have acknowledged a message
REMEMBERED = 2000  # parcels of each broker; the oldest are forgotten first
PREFIX = "carried:"
FINAL = ("broker-topic-wrong", "broker-message-too-large")
# How topics end on which gateways and devices take commands or settings; of Sparkplug it is the third level.
OF_COMMANDS = ("commands", "broadcast", "rpc", "set", "cmnd", "desired", "confirm")
SPARKPLUG_COMMANDS = ("NCMD", "DCMD")
NO_COMMANDS = "its topic is a command topic, and a stick carries readings only"
MAX_REASON = 300


class BacklogImport:
    """Import of parcels. What a broker has taken of a parcel is kept: the same parcel again sends only the rest."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turn = asyncio.Lock()

    async def send(
        self, broker: MessageSender, parcel: str, start: int, readings: Sequence[Sequence[CarriedMessage]]
    ) -> dict[str, Any]:
        """Send readings `start` and following of a parcel; what is done of it: ranges of indexes, and those that the
        broker refused. Raises UplinkError when not all could be sent; what was, is kept."""
        async with self._turn:
            key = f"{PREFIX}{broker.name}:{parcel}"
            state = await self._store.key_value.get(key)
            if state is None:
                await self._forget_oldest(broker.name)
                state = {"done": [], "refused": []}
            done = Ranges([(lo, hi) for lo, hi in state["done"]])
            refused = dict(state["refused"])
            todo = [index for index in range(start, start + len(readings)) if index not in done]
            outcomes = await asyncio.gather(*(self._reading(broker, readings[index - start]) for index in todo))
            problem: UplinkError | None = None
            for index, outcome in zip(todo, outcomes, strict=True):
                if isinstance(outcome, UplinkError):
                    problem = problem or outcome
                    continue
                if outcome:
                    refused[index] = outcome[:MAX_REASON]
                done.add(index, index + 1)
            state = {"done": list(done), "refused": sorted(refused.items()), "at": self._clock.now().wall}
            if todo:
                await self._store.key_value.put(key, state)
            if problem is not None:
                raise problem
            return {"done": state["done"], "refused": state["refused"]}

    async def _reading(self, broker: MessageSender, messages: Sequence[CarriedMessage]) -> str | UplinkError:
        """Why the broker refuses the reading, "" = it has taken it; the error when neither is known."""
        outcomes = await asyncio.gather(*(self._message(broker, message) for message in messages))
        unknown = next((outcome for outcome in outcomes if isinstance(outcome, UplinkError)), None)
        return unknown or next((str(outcome) for outcome in outcomes if outcome), "")

    async def _message(self, broker: MessageSender, message: CarriedMessage) -> str | UplinkError:
        levels = message.topic.split("/")
        if levels[-1] in OF_COMMANDS or (levels[0] == "spBv1.0" and levels[2:3] and levels[2] in SPARKPLUG_COMMANDS):
            return NO_COMMANDS
        properties: dict[str, Any] = {"content_type": message.content_type or None}
        properties |= {"user_properties": message.user_properties, "message_expiry": message.expiry}
        try:
            await broker.send(message.topic, message.octets, message.qos, message.retain, properties, ANSWER_TIME)
        except ValueError as error:
            return f"it cannot be written as a message: {error}"
        except NotTaken as error:
            return error.message
        except UplinkError as error:
            return error.message if error.kind in FINAL else error
        return ""

    async def _forget_oldest(self, broker: str) -> None:
        known = await self._store.key_value.with_prefix(f"{PREFIX}{broker}:")
        oldest = sorted(known, key=lambda parcel: known[parcel].get("at", 0))
        for parcel in oldest[: max(0, len(known) - REMEMBERED + 1)]:
            await self._store.key_value.put(f"{PREFIX}{broker}:{parcel}", None)
