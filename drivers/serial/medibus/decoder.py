"""Decoder of a MEDIBUS device: octets -> readings, and the frames that the session must see."""

from __future__ import annotations

from collections import deque

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply, iso_time
from gatepost.drivers.serial.medibus import codes, frames
from gatepost.drivers.serial.medibus.realtime import BROKEN, RealtimeDecoder, split
from gatepost.drivers.value_groups import ValueGroup
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

MAX_FRAME = 4096
MAX_EVENTS = 64  # frames that the session has not seen yet
START, IDENTIFY = 0x51, 0x52


class MedibusDecoder:
    """`events`: what the session has to answer or waits for; `suspended`: the device wants nothing more for now;
    `offered`: its realtime channels. The session says which of them were `chosen`."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.events: deque[frames.MedibusFrame] = deque(maxlen=MAX_EVENTS)
        self.suspended = False
        self.model = ""
        self.offered: list[frames.RealtimeChannel] = []
        self._open = bytearray()  # a frame that has begun
        self._noise = False  # and counted
        self._realtime = RealtimeDecoder()
        self._chosen: list[frames.RealtimeChannel] = []
        self._curves: list[WaveformBlocks] = []
        self._alarms: dict[int, set[str]] = {}  # by code page
        self._settings: list[frames.DataItem] = []
        self.time: str | None = None  # of its clock, for the values that come next

    def choose(self, channels: list[frames.RealtimeChannel]) -> None:
        """The order in which realtime values come from now on. Curves that were chosen before go on."""
        if channels == self._chosen:
            return
        self._chosen, self._curves = channels, []
        for channel in channels:
            metric, name, unit = codes.CURVES.get(channel.code, ("reading", f"code_{channel.code.lower()}", ""))
            scale = (channel.maximum - channel.minimum) / channel.max_bin
            curve = WaveformChannel(name, unit, scale, channel.minimum)
            self._curves.append(WaveformBlocks(metric, 1_000_000 / channel.interval, (curve,)))

    def feed(self, data: bytes) -> list[Reading | Reply]:
        slow, fast = split(data)
        out: list[Reading | Reply] = []
        if fast:
            out += self._samples(fast)
        for octet in slow:
            if octet in (frames.SUSPEND, frames.RESUME):
                self.suspended = octet == frames.SUSPEND
                out.append(Reply("medibus", {"flow": octet}))
            elif octet == frames.CANCEL:
                self._open.clear()
            elif octet in (frames.COMMAND, frames.RESPONSE):
                if self._open:
                    self.faults.add("incomplete", "a frame was not ended before the next one")
                self._open = bytearray((octet,))
            elif self._open:
                self._open.append(octet)
                if octet == frames.CR:
                    out += self._frame(bytes(self._open))
                    self._open.clear()
                elif len(self._open) > MAX_FRAME:
                    self.faults.add("too-long", f"a frame is longer than {MAX_FRAME} octets")
                    self._open.clear()
            elif octet > 0x20 and not self._noise:
                self._noise = True
                self.faults.add("noise", "octets that belong to no frame")
        return out

    def _samples(self, octets: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for channel, raw in self._realtime.feed(octets):
            if channel == BROKEN and self._curves:
                self.faults.add("lost-samples", "samples of a moment were cut off")
                out += [reading for curve in self._curves for reading in curve.gap(None)]
            elif 0 <= channel < len(self._curves):
                out += self._curves[channel].add((raw,))
        return out

    def _frame(self, octets: bytes) -> list[Reading | Reply]:
        try:
            frame = frames.decode_frame(octets)
            found: list[Reading | Reply] = [*self._response(frame)] if frame.is_response else []
        except FrameError as wrong:
            self.faults.add(wrong.kind.replace("_", "-"), "a damaged frame")
            return []
        if not frame.is_response and frame.code == START:
            self.suspended = False
            found += [reading for curve in self._curves for reading in curve.gap(None)]
        self._noise = False
        self.events.append(frame._replace(data=b""))
        found.append(Reply("medibus", {"response": frame.is_response, "code": f"{frame.code:02X}"}))
        return found

    def _response(self, frame: frames.MedibusFrame) -> list[Reading]:
        if frame.code == 0x24:
            return self._measured(frames.data_items(frame.data))
        if frame.code == frames.SETTINGS:
            return self._set(frames.data_items(frame.data, 5))
        if frame.code in frames.ALARMS:
            return self._device_alarms(frame.code, frames.alarm_items(frame.data))
        if frame.code == frames.CLOCK:
            parts = frames.clock_time(frame.data.decode("latin-1"))
            self.time = iso_time(parts)
        elif frame.code == frames.REALTIME:
            self.offered = frames.realtime_channels(frame.data)
        elif frame.code == IDENTIFY:
            self.model = frame.data[:4].decode("latin-1").strip()
        elif frame.code == frames.CORRUPT:
            self.faults.add("not-understood", "the device did not understand a request")
        return []

    def _measured(self, items: list[frames.DataItem]) -> list[Reading]:
        time, self.time = self.time, None
        groups: dict[tuple[str, tuple[str, ...]], ValueGroup] = {}
        for item in sorted(items, key=lambda item: item.value is None):  # one of two codes of a value may be blank
            meaning = codes.MEANINGS.get(item.code)
            if meaning is None:
                meaning = codes.DataMeaning("reading", f"code_{item.code.lower()}", "")
            agent = meaning.flags if meaning.metric == "anaesthetic_gas" else ()
            key = (meaning.metric, agent)
            group = groups.setdefault(key, ValueGroup(meaning.metric, agent, time))
            if meaning.value in group.names:
                continue
            unit = codes.unit_of(item.code, meaning.unit, self.model)
            group.add(meaning.value, item.value, unit, "" if item.value is not None else "not-measured", meaning.flags)
        return [group.reading() for group in groups.values()]

    def _set(self, items: list[frames.DataItem]) -> list[Reading]:
        """When something was set; the first time, all of it."""
        if items == self._settings or not items:
            return []
        self._settings = items
        values, units = {}, {}
        for item in items:
            name, unit = codes.SETTINGS.get(item.code, (f"code_{item.code.lower()}", ""))
            if item.value is None:
                continue
            values[name] = item.value
            if told := codes.unit_of(item.code, unit, self.model if self.model in codes.EVITA else ""):
                units[name] = told
        if not values:
            return []
        return [Reading("ventilator_settings", values, units, (), GOOD)]

    def _device_alarms(self, page: int, items: list[frames.AlarmItem]) -> list[Reading]:
        before = self._alarms.get(page, set())
        self._alarms[page] = {item.code for item in items}
        prefix = "" if page == 0x27 else "page2-"
        return [
            Reading(
                "device_alarm",
                {"alarm_priority": item.priority} if item.priority >= 0 else {},
                {},
                (f"device-alarm:{prefix}{item.code.lower()}",),
                GOOD if item.priority >= 0 else BAD,
            )
            for item in items
            if item.code not in before
        ]
