"""Decoder of an IntelliVue monitor: datagrams, or octets of its serial port -> readings, and what the session must
know."""

from __future__ import annotations

from collections import deque
from typing import Any

from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.network.datagram import Datagram
from gatepost.drivers.network.intellivue import attributes as values
from gatepost.drivers.network.intellivue import codes
from gatepost.drivers.network.intellivue.frames import FrameSplitter
from gatepost.drivers.network.intellivue.messages import (
    ExportMessage,
    OctetCursor,
    PolledObject,
    PollResult,
    decode_message,
)
from gatepost.drivers.network.intellivue.options import IntellivueOptions
from gatepost.drivers.network.intellivue.requests import ALERTS, NUMERICS, WAVES
from gatepost.drivers.network.intellivue.waves import WaveGatherer
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply, iso_time
from gatepost.drivers.value_groups import ValueGroup

MAX_PARTS = 4096  # objects of one poll
MAX_KNOWN = 256  # objects that are remembered
OFFER = b"\xf0\x01\x00\x08"  # begins what the association grants
ReadingGroups = dict[tuple[Any, ...], ValueGroup]
WHY = {
    MissingNumber.NAN: "not-measured", MissingNumber.NRES: "not-measured", MissingNumber.OVER: "over-range",
    MissingNumber.UNDER: "under-range", MissingNumber.RESERVED: "invalid",
}  # fmt: skip
HIGHER = (codes.INVALID, "invalid"), (codes.UNAVAILABLE, "unavailable")


class IntellivueDecoder:
    """`events`: invoke ids of events that must be answered. `granted`: what the monitor offers, once it accepted."""

    def __init__(self, options: IntellivueOptions) -> None:
        self.faults = Faults()
        self.events: deque[int] = deque(maxlen=8)
        self.granted = 0
        self.waves = WaveGatherer(self.faults)
        self._options = options
        self._splitter = FrameSplitter(self.faults)
        self._parts: list[PolledObject] = []
        self._key: tuple[int, ...] | None = None  # of the poll that they belong to
        self._first: dict[tuple[str, str, tuple[str, ...]], tuple[int, int]] = {}  # the object without a channel
        self._episodes: dict[tuple[int, int], Any] = {}  # measurements that stay until the next one
        self._alerts: set[tuple[int, int]] = set()
        self._unreal: tuple[str, ...] = ()  # of the newest values; alerts do not say it themselves

    def feed(self, data: bytes) -> list[Reading | Reply]:
        payloads = [bytes(data)] if isinstance(data, Datagram) else self._splitter.feed(data)
        out: list[Reading | Reply] = []
        for payload in payloads:
            try:
                message = decode_message(payload)
                out += self._message(message, payload)
            except FrameError as wrong:
                self.faults.add(wrong.kind.replace("_", "-"), "a message that is not whole, or unknown")
        return out

    def _message(self, message: ExportMessage, payload: bytes) -> list[Reading | Reply]:
        if message.poll is not None:
            return self._polled(message, message.poll)
        told: dict[str, Any] = {"message": message.kind}
        if message.kind == "association-accepted":
            at = payload.rfind(OFFER)
            self.granted = int.from_bytes(payload[at + 4 : at + 8], "big") if at >= 0 else 0
        elif message.kind == "mds-create-event":
            self.events.append(message.invoke_id)
            told["model"] = model_of(message)
        elif message.kind == "error":
            self.faults.add("request-refused", "the monitor refused a request")
        return [Reply("intellivue", told)]

    def _polled(self, message: ExportMessage, poll: PollResult) -> list[Reading | Reply]:
        if poll.object_class == WAVES:
            return [*self.waves.add(poll), Reply("intellivue", {"message": "waves"})]
        out: list[Reading | Reply] = []
        key = (message.invoke_id, poll.number, poll.sequence or 0, poll.object_class)
        if self._key != key:
            if self._parts and self._key is not None:
                self.faults.add("incomplete", "the end of a poll was lost")
                out += self._whole(self._key[3], None)
            self._key = key
        self._parts += poll.objects[: MAX_PARTS - len(self._parts)]
        if message.linked:
            return out
        out += self._whole(poll.object_class, poll.time)
        self._key = None
        return [*out, Reply("intellivue", {"message": "poll"})]

    def _whole(self, object_class: int, time: list[int] | None) -> list[Reading]:
        objects, self._parts = self._parts, []
        if object_class == NUMERICS:
            return self._numerics(objects, iso_time(time))
        return self._device_alarms(objects) if object_class == ALERTS and self._options.alarms else []

    def _numerics(self, objects: list[PolledObject], time: str | None) -> list[Reading]:
        groups: ReadingGroups = {}
        states = 0
        for item in objects:
            observed = values.observed_values(item.attributes)
            if not observed:
                continue
            for value in observed:
                states |= value.state
                self._unreal = codes.unreal_flags(states)
            own = values.own_time(item.attributes)
            if own is not None and not self._is_new(item, (own, observed)):
                continue
            for value in observed:
                self._value(groups, item, value, iso_time(own) or time)
        return [group.reading() for group in groups.values()]

    def _is_new(self, item: PolledObject, measured: Any) -> bool:
        """Whether this is another measurement than the one that it had before."""
        key = (item.context, item.handle)
        if self._episodes.get(key) == measured:
            return False
        if key in self._episodes or len(self._episodes) < MAX_KNOWN:
            self._episodes[key] = measured
        return True

    def _value(self, groups: ReadingGroups, item: PolledObject, value: values.ObservedValue, time: str | None) -> None:
        meaning = codes.meaning_of(value.physio_id, self._options.names)
        unreal = codes.unreal_flags(value.state)
        place = (item.context, item.handle)
        known = (meaning.metric, meaning.value, meaning.flags)
        if known not in self._first and len(self._first) < MAX_KNOWN:
            self._first[known] = place
        channel = "" if self._first.get(known) == place else f"{item.context}.{item.handle}"
        flags = meaning.flags if meaning.metric != "pulse_oximetry" else ()
        key = (meaning.metric, flags, time, unreal, channel)
        group = groups.setdefault(key, ValueGroup(meaning.metric, (*unreal, *flags), time))
        if channel:
            group.values["channel"] = channel
        number, why = _number(value)
        if number is not None and number < 0 and not meaning.signed:
            number, why = None, "invalid"
        group.add(meaning.value, number, codes.unit_of(value.unit), why, meaning.flags)

    def _device_alarms(self, objects: list[PolledObject]) -> list[Reading]:
        """Those that are new since the last poll. Their texts are not kept: they are in the monitor's language."""
        found: dict[tuple[int, int], int] = {}
        for item in objects:
            for name in (values.PATIENT_ALERTS, values.TECHNICAL_ALERTS):
                for alert in values.alerts(item.attributes, name):
                    found[alert.source, alert.code] = alert.priority
        out = []
        for key in found.keys() - self._alerts:
            flag = f"device-alarm:mdc-{codes.PHYSIOLOGY + key[0]}-{key[1]}"
            quality = BAD if self._unreal else GOOD
            out.append(Reading("device_alarm", {"alarm_priority": found[key]}, {}, (*self._unreal, flag), quality))
        self._alerts = set(list(found)[:MAX_KNOWN])
        return sorted(out, key=lambda reading: reading.flags)


def model_of(message: ExportMessage) -> str:
    """Maker and model of an MDS event or a connect indication; empty where they are not told."""
    return " ".join(model_parts(message))[:64]


def model_parts(message: ExportMessage) -> list[str]:
    octets = (message.attributes or {}).get(values.MODEL)
    if octets is None:
        return []
    cursor = OctetCursor(octets)
    parts = (cursor.part() for _ in range(2))
    return [part.take(part.left).split(b"\0")[0].decode("latin-1").strip() for part in parts]


def _number(value: values.ObservedValue) -> tuple[float | int | None, str]:
    for bit, why in HIGHER:
        if value.state & bit:
            return None, why
    if isinstance(value.value, MissingNumber):
        return None, WHY[value.value]
    exponent = value.value.as_tuple().exponent
    number = int(value.value) if isinstance(exponent, int) and 0 <= exponent < 12 else float(value.value)
    return number, next((why for bit, why in codes.DOUBTS if value.state & bit), "")
