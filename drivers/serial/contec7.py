"""Driver `contec-cms50-v7`: Contec oximeters of protocol V7 (newer CMS50D+, CMS50E, F, FW, I).

Live data comes while the host keeps asking; some units stop without the keep-alive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from drivers.driver import Command, CommandFailed, Driver, Exchange, KeepAlive, Line, NoParameters, Twin
from drivers.reading import BAD, UNCERTAIN, Faults, Reading, Reply
from drivers.serial import contec7_packets as v7
from drivers.serial.contec7_twin import Contec7Twin
from drivers.serial.frames import Trust
from drivers.serial.pleth import PlethBlocks

METRIC = "pulse_oximetry"
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
ANSWER = 1.0  # seconds a device may take to answer, by the paper

Now = Callable[[], datetime]


class Contec7Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent beside the numbers."""

    waveform: Annotated[bool, Meta(description="send the plethysmogram too, a block of 60 samples each second")] = False


class SyncTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Set the device's clock."""

    time: Annotated[
        datetime | None,
        Meta(description="ISO 8601, as the device's clock shall show it; default: the gateway's local time"),
    ] = None


class Contec7Decoder:
    """Packets -> readings after two consistent ones in a row, and replies."""

    def __init__(self, options: Contec7Options) -> None:
        self.faults = Faults()
        self._packets = v7.PacketReader(self.faults)
        self._trust = Trust(8, 4)  # 1/min and %: what may change within 1/60 s
        self._pleth = PlethBlocks(METRIC) if options.waveform else None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for packet in self._packets.feed(data):
            if packet is None:
                self._trust.lose()
                block = self._pleth.cut() if self._pleth else None
            elif packet.type == v7.LIVE:
                live = v7.decode_live(packet.data)
                if not self._trust.judge(live.pulse_rate, live.spo2):
                    continue
                out.append(reading(live))
                block = self._pleth.add(live.waveform) if self._pleth else None
            else:
                out.append(reply(packet))
                continue
            if block is not None:
                out.append(block)
        return out


def reading(live: v7.Live) -> Reading:
    """What one live packet says about the person."""
    values: dict[str, Any] = {}
    flags: list[str] = []
    why = _why(live)
    for name, value in (("spo2", live.spo2), ("heart_rate", live.pulse_rate)):
        if value:
            values[name] = value
        else:
            flags.append(f"{name}:{why or 'no-signal'}")
    if live.pi_pct is not None and values:
        values["perfusion_index"] = live.pi_pct
    if live.spo2_low:
        flags.append("spo2-low")
    quality = BAD if not values else UNCERTAIN if why or len(values) < 2 else "good"
    if why and live.spo2 and live.pulse_rate:
        flags.append(why)
    units = UNITS if len(values) == len(UNITS) else {name: UNITS[name] for name in values}
    return Reading(METRIC, values, units, tuple(flags), quality)


def _why(live: v7.Live) -> str | None:
    if live.search_timeout or live.probe_error:
        return "no-finger"  # the probe is the clip itself: these units report a missing finger as an error of it
    return "searching" if live.searching else None


def reply(packet: v7.Packet) -> Reply:
    """Any packet that is no live data."""
    data = packet.data
    if packet.type == v7.FEEDBACK:
        return Reply("feedback", v7.feedback(data))
    if packet.type == v7.IDENTITY:
        return Reply("identity", {"id": data.decode("ascii", "replace").strip("\0 ")})
    if packet.type == v7.PI_SUPPORT:
        return Reply("pi-support", {"supported": data[0] == 0})
    if packet.type == v7.LENGTH:
        return Reply("length", v7.decode_length(data))
    if packet.type == v7.IDLE:
        return Reply("idle", {})
    if packet.type == v7.DISCONNECT:
        return Reply("disconnect", {"reason": data[0], "text": v7.REASONS.get(data[0], "unknown")})
    return Reply("packet", {"type": packet.type, "data": list(data)})


class ContecCms50V7(Driver):
    """Contec protocol V7."""

    name = "contec-cms50-v7"
    title = "Contec CMS50D+ (newer firmware), CMS50E, F, FW, I: protocol V7, live data and perfusion index"
    line = Line(115200)
    metrics = (METRIC,)
    every = 1.0
    pace = "median"
    silence: float | None = 15.0
    options_type = Contec7Options
    example_options: ClassVar[dict[str, Any]] = {"waveform": False}
    keep_alive = KeepAlive(v7.encode_packet(v7.KEEP_ALIVE), 5.0)
    source = "Communication protocol of pulse oximeter V7.0"
    commands = (
        Command("start_live", "Start live data", NoParameters, 5.0),
        Command("stop_live", "Stop live data", NoParameters, 5.0),
        Command("device_id", "Ask for the device's identity", NoParameters, 10.0),
        Command("sync_time", "Set the device's clock", SyncTime, 10.0, {"time": "2026-11-20T10:30:00"}),
    )

    def __init__(self, options: Any = None, now: Now | None = None) -> None:
        super().__init__(options)
        self._now = now or _local_now
        self._live = True

    def decoder(self) -> Contec7Decoder:
        return Contec7Decoder(self.options)

    def greeting(self) -> tuple[bytes, ...]:
        stop, start = v7.encode_packet(v7.STOP_LIVE), v7.encode_packet(v7.START_LIVE)
        return (stop, start) if self._live else (stop,)

    def farewell(self) -> tuple[bytes, ...]:
        return (v7.encode_packet(v7.STOP_LIVE),)

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: Exchange) -> dict[str, Any]:
        if command == "start_live":
            await self._start(exchange)
            self._live = True
            self.silence = type(self).silence
            return {"live": True}
        if command == "stop_live":
            await _ask(exchange, v7.STOP_LIVE)
            self._live = False
            self.silence = None  # now it is meant to be silent
            return {"live": False}
        if command == "device_id":
            return await self._quietly(exchange, _identity)
        if command == "sync_time":
            assert isinstance(parameters, SyncTime)
            moment = parameters.time or self._now()
            return await self._quietly(exchange, lambda exchange: _set_clock(exchange, moment))
        return await super().execute(command, parameters, exchange)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Contec7Twin(seed)

    async def _start(self, exchange: Exchange) -> None:
        """Live data is the answer; a unit may send feedback before it."""

        def started(item: Reading | Reply) -> bool | None:
            if isinstance(item, Reading):
                return True
            return _feedback_to(v7.START_LIVE, item)

        await exchange.send(v7.encode_packet(v7.START_LIVE))
        await exchange.wait(started, 2 * ANSWER)

    async def _quietly(self, exchange: Exchange, work: Callable[[Exchange], Any]) -> dict[str, Any]:
        """Do `work` while live data rests: by the paper the two must not overlap."""
        try:
            with contextlib.suppress(TimeoutError):  # a unit that was silent already need not answer
                await _ask(exchange, v7.STOP_LIVE)
            result: dict[str, Any] = await work(exchange)
            return result
        finally:
            if self._live:
                await exchange.send(v7.encode_packet(v7.START_LIVE))


async def _ask(exchange: Exchange, command: int, arguments: bytes = b"") -> None:
    """Send a command and wait for the feedback to it; one that stops live data may be answered with an idle packet."""

    def answered(item: Reading | Reply) -> bool | None:
        if command == v7.STOP_LIVE and isinstance(item, Reply) and item.kind == "idle":
            return True
        return _feedback_to(command, item)

    await exchange.send(v7.encode_packet(command, arguments))
    await exchange.wait(answered, ANSWER)


def _feedback_to(command: int, item: Reading | Reply) -> bool | None:
    if isinstance(item, Reading) or item.kind != "feedback" or item.fields["command"] != command:
        return None
    if item.fields["reason"] != 0:
        raise CommandFailed(item.fields["text"], f"the device answered: {item.fields['text']}")
    return True


async def _identity(exchange: Exchange) -> dict[str, Any]:
    def told(item: Reading | Reply) -> dict[str, Any] | None:
        if isinstance(item, Reply) and item.kind == "identity":
            return item.fields
        _feedback_to(v7.DEVICE_ID, item)
        return None

    await exchange.send(v7.encode_packet(v7.DEVICE_ID))
    return await exchange.wait(told, ANSWER)


async def _set_clock(exchange: Exchange, moment: datetime) -> dict[str, Any]:
    century, year = divmod(moment.year, 100)
    weekday = moment.isoweekday() % 7  # 0 is Sunday
    date = bytes((century, year, moment.month, moment.day, weekday))
    await _ask(exchange, v7.SET_DATE, date)
    await _ask(exchange, v7.SET_TIME, bytes((moment.hour, moment.minute, moment.second)))
    return {"time": moment.replace(microsecond=0, tzinfo=None).isoformat()}


def _local_now() -> datetime:  # a device's clock shows local time
    return datetime.now().astimezone()
