"""Topics by their keys (contract, section 2), with `{gateway}`, `{device}`, `{metric}`, `{org}` filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.settings.topic_templates import DEFAULTS

_OPEN = re.compile(r"\{device\}|\{metric\}")

MAX_FILLED = 5000
LONGEST_FILLED = 512  # letters of names in a topic that is remembered
LONGEST_DEVICE = 64  # letters of a device's name in the settings; a broker's clients can name any


class BrokerTopics:
    """Topics of one broker: the defaults with the settings' own laid over them."""

    def __init__(
        self, own: Mapping[str, str], gateway: str, organization: str | None, rooms: Mapping[str, str] | None = None
    ) -> None:
        self._templates = {**DEFAULTS, **own}
        self._rooms = rooms or {}  # device id -> room
        self._filled: dict[tuple[str, str, str, str], str] = {}  # remembered: the same few are asked for all the time
        self._fixed = {"{gateway}": gateway, "{org}": organization or ""}
        self._taken = [
            TopicFilter("/".join("+" if _OPEN.search(level) else self._fill(level) for level in text.split("/")))
            for key, text in self._templates.items()
            if key not in ("responses", "gateway_responses")
        ]

    def __call__(
        self, key: str, device: str = "", metric: str = "", value: str = "", template: str | None = None
    ) -> str:
        """The topic for `key`, or that of a template; a level cannot be smuggled in through a name."""
        text = template or self._templates[key]
        asked = (text, device, metric, value)
        topic = self._filled.get(asked)
        if topic is None:
            topic = self._fill(text, device, metric, value)
            if len(self._filled) >= MAX_FILLED:
                self._filled.clear()
            if len(device) + len(metric) + len(value) <= LONGEST_FILLED:
                self._filled[asked] = topic
        return topic

    def _fill(self, text: str, device: str = "", metric: str = "", value: str = "") -> str:
        names = [*self._fixed.items(), ("{device}", device), ("{metric}", metric), ("{value}", value)]
        names.append(("{room}", self._rooms.get(device, "")))
        for mark, name in names:
            text = text.replace(mark, _level(name))
        return text

    def is_own_reply(self, topic: str, device: str | None) -> bool:
        """Whether responses of a device (None = the gateway) may go to this topic: on or below the one for responses,
        or beside it below a level that names device or gateway, where nothing else is published or subscribed."""
        key = "gateway_responses" if device is None else "responses"
        place = self(key, device or "")
        if topic == place or topic.startswith(place + "/"):
            return True
        parent = self._templates[key].rpartition("/")[0]
        beside = ("{device}" in parent or "{gateway}" in parent) and topic.startswith(place.rpartition("/")[0] + "/")
        return beside and not any(taken.matches(topic) for taken in self._taken)

    def names_gateway(self, key: str) -> bool:
        """Whether the topics of this key are this gateway's alone."""
        return "{gateway}" in self._templates[key]

    def wildcard(self, key: str) -> str | None:
        """The filter for every device, where `{device}` is a level of its own; None where it is not."""
        levels = self._templates[key].split("/")
        if levels.count("{device}") != 1 or any("{device}" in level for level in levels if level != "{device}"):
            return None
        return "/".join("+" if level == "{device}" else self._fill(level) for level in levels)

    def device_of(self, key: str, topic: str) -> str | None:
        """The device that a received topic names, if one can be called so."""
        template = self._templates[key].split("/")
        levels = topic.split("/")
        if "{device}" not in template or len(levels) != len(template):
            return None
        device = levels[template.index("{device}")]
        return device if len(device) <= LONGEST_DEVICE and self(key, device) == topic else None


def _level(value: str) -> str:
    return value.replace("/", "_").replace("+", "_").replace("#", "_").replace("\0", "_")
