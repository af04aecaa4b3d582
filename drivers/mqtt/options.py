"""The options of driver `mqtt`, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from gatepost.drivers.mqtt.topics import pattern_problem
from gatepost.drivers.options import DriverOptions, MetricName, OptionProblem
from gatepost.drivers.serial.lines.fields import LineField
from gatepost.drivers.serial.lines.options import LinesOptions
from gatepost.drivers.ucum import unit_problem

LISTENER = "listener"
EVERY_COMMAND = "*"
DeviceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class StreamRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the values of one telemetryDataId are."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="name of the value")]
    metric: MetricName = "reading"
    unit: Annotated[str | None, Meta(description="unit in UCUM: Cel, %, mm[Hg]")] = None


class StatusWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The texts by which a topic says that the device is there or away."""

    online: Annotated[str, Meta(description="payload, or its member `state`, that means online")] = "online"
    offline: Annotated[str, Meta(description="payload, or its member `state`, that means offline")] = "offline"


class TopicMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the messages on a topic are; the keys are those of driver `lines`."""

    format: Annotated[
        Literal["json", "value", "keyvalue", "csv", "regex"],
        Meta(description="the form of a payload; value: a single number or text"),
    ] = "json"
    metric: MetricName = "reading"
    columns: Annotated[list[str], Meta(description="csv: the names of the columns in order")] = field(
        default_factory=list
    )
    pattern: Annotated[str, Meta(description="regex: a regular expression with named groups")] = ""
    delimiter: Annotated[str | None, Meta(description="csv: between columns; keyvalue: between pairs")] = None
    separator: Annotated[str | None, Meta(description="keyvalue: between a name and its value")] = None
    fields: Annotated[
        dict[str, LineField], Meta(description="what becomes of a member, by name or JSON pointer (/AM2301/Humidity)")
    ] = field(default_factory=dict)
    others: Annotated[Literal["keep", "drop"], Meta(description="members that `fields` does not name")] = "keep"
    device_time: Annotated[str | None, Meta(description="the member with the device's own clock")] = None
    device_time_format: Annotated[str | None, Meta(description="form of that clock as for strptime")] = None
    status: Annotated[
        StatusWords | None, Meta(description="the topic says whether the device is there; nothing of it is a reading")
    ] = None

    def as_lines(self) -> dict[str, Any]:
        """The options of driver `lines` that say the same."""
        same: dict[str, Any] = msgspec.to_builtins(self)
        same.pop("status", None)
        if same.get("format") == "value":
            del same["format"]
        return same


class MqttOptions(DriverOptions, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """Options of `mqtt`; docs/mqtt-devices.md explains each."""

    source: Annotated[
        str, Meta(description="`listener`: the device connects to the gateway; else a broker that it publishes to")
    ] = LISTENER
    via: Annotated[DeviceName | None, Meta(description="another mqtt device whose connection carries this one")] = None
    password: Annotated[
        Annotated[str, Meta(min_length=12, max_length=64)] | None,
        Meta(extra={"secret": True}, description="a secret of 12 to 64 characters, where a token does not fit"),
    ] = None
    streams: Annotated[
        dict[str, StreamRule], Meta(description="what the values of devices/.../datastream are, by telemetryDataId")
    ] = field(default_factory=dict)
    commands: Annotated[
        list[Annotated[str, Meta(pattern=r"^(\*|[A-Za-z0-9_.-]{1,64})$")]],
        Meta(description='commands that it understands; "*" = any that commands.allow lets through'),
    ] = field(default_factory=list)
    answers: Annotated[
        bool,
        Meta(description="true: a command is done with its answer on devices/.../responses; false: with its PUBACK"),
    ] = False
    topics: Annotated[
        dict[str, TopicMapping], Meta(description="topics beside devices/{device}/..., and what comes on them")
    ] = field(default_factory=dict)

    def problems(self) -> list[OptionProblem]:
        streams = (unit_problem(rule.unit, ("streams", ident, "unit")) for ident, rule in self.streams.items())
        return [*_of_source(self), *_of_topics(self), *chain.from_iterable(streams)]

    def value_names(self) -> tuple[str, ...]:
        """() = the device decides: its own topics carry what it likes."""
        return ()


def _of_source(options: MqttOptions) -> Iterator[OptionProblem]:
    if options.source == LISTENER:
        return
    for name in ("via", "password"):
        if getattr(options, name) is not None:
            message = f"`{name}` has no effect on a device that a broker carries"
            yield OptionProblem(message, (name,), (name, "from"), "it is for `from: listener`", warning=True)


def _of_topics(options: MqttOptions) -> Iterator[OptionProblem]:
    for pattern, mapping in options.topics.items():
        path = ("topics", pattern)
        wrong = pattern_problem(pattern)
        if wrong:
            yield OptionProblem(f"topic {pattern!r}: {wrong}", path, ("topics",))
        if mapping.status is not None:
            yield from _status_only(mapping, path)
            continue
        if "{value}" in pattern and mapping.format != "value":
            yield OptionProblem("{value} names the value of `format: value`", path, ("topics",))
        for problem in msgspec.convert(mapping.as_lines(), _Lines).found():
            inner = (*path, *problem.path)
            yield OptionProblem(problem.message, inner, ("topics",), problem.hint, problem.warning)


def _status_only(mapping: TopicMapping, path: tuple[str, ...]) -> Iterator[OptionProblem]:
    if mapping.status is not None and mapping.status.online == mapping.status.offline:
        yield OptionProblem("`online` and `offline` are the same word", (*path, "status"), ("topics",))
    if mapping.fields or mapping.device_time is not None:
        message = "`fields` and `device_time` have no effect beside `status`"
        yield OptionProblem(message, (*path, "fields"), ("topics",), warning=True)


class _Lines(LinesOptions, frozen=True):
    """Judges a mapping as driver `lines` would, without refusing to be made."""

    def __post_init__(self) -> None:
        pass

    def found(self) -> list[OptionProblem]:
        return LinesOptions.problems(self)
