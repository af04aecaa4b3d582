"""Driver `draeger-medibus`: Draeger ventilators and anaesthesia machines; reads them, and sets nothing."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.asking import any_reply
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.serial.medibus.decoder import IDENTIFY, START, MedibusDecoder
from gatepost.drivers.serial.medibus.frames import CORRUPT, encode_frame
from gatepost.drivers.serial.medibus.realtime import ENABLE
from gatepost.drivers.serial.medibus.twin import MedibusTwin

IDLE, STOP = 0x30, 0x55
MEASURED, CLOCK, SETTINGS, ALARMS, ALARMS_2, REALTIME, CHOOSE = 0x24, 0x28, 0x29, 0x27, 0x2E, 0x53, 0x54
ANSWER_TIMEOUT = 3.0  # seconds; the device ends the link after 10
ATTEMPTS = 3
START_INTERVAL = 3.0
IDLE_INTERVAL = 2.0  # a silence of three seconds ends the link
AFTER_IDENTITY = 0.2
CLOCK_INTERVAL = 10.0
SUSPEND_TIMEOUT = 10.0
# Codes of a waveform, one for each unit: the first that the device offers.
WAVES = {"airway_pressure": ("00",), "flow": ("01",), "volume": ("03",), "co2": ("06", "07", "08")}
IDENTITY = b"0161'GATEPOST'01.00:03.00"

# Any frame but those of the reading side, whole; 56 only as an answer.
OTHERS = re.compile(
    rb"\A(?!(?:[\x1b\x01][\x24-\x2e\x30\x4a\x51-\x55][ -~]{2,60}\r|\x01\x56[ -~]{2}\r|"
    + re.escape(ENABLE)
    + rb"|[\x11\x13\x18])\Z)",
    re.DOTALL,
)


class MedibusOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is read, and how often."""

    poll: Annotated[float, Meta(ge=1, le=60, description="seconds between two requests of measured values")] = 1.0
    settings: Annotated[bool, Meta(description="report what the device is set to, when it changes")] = True
    alarms: Annotated[bool, Meta(description="report what the device shows as alarms")] = True
    waveforms: Annotated[
        list[Literal["airway_pressure", "flow", "volume", "co2"]],
        Meta(max_length=2, description="at most two realtime waveforms; none by default"),
    ] = msgspec.field(default_factory=list)


class DraegerMedibus(Driver):
    """Asks for values, settings and alarms in turn, and answers what the device asks of its partner."""

    name = "draeger-medibus"
    title = "Draeger ventilators and anaesthesia machines by MEDIBUS"
    line = SerialSettings(19200, 8, "E", 1)
    metrics: ClassVar[tuple[str, ...]] = (
        "ventilation", "ventilator_settings", "capnography", "anaesthetic_gas", "pulse_oximetry", "device_alarm",
    )  # fmt: skip
    values = ()  # codes without a name pass, too
    silence = 15.0
    options_type = MedibusOptions
    example_options: ClassVar[dict[str, Any]] = {"waveforms": ["airway_pressure", "flow"]}
    forbidden = (
        ForbiddenWrite("set", re.compile(rb"\x1b[\x49\x59\x6a]")),  # settings, extensions of pumps
        ForbiddenWrite("command", OTHERS),
    )
    source = "Draeger MEDIBUS Protocol Definition 4.03"
    _decoder: MedibusDecoder  # of the newest session

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._last_sent = 0.0
        self._restarted = False  # the device began anew: it has forgotten which waveforms were wanted

    def decoder(self) -> MedibusDecoder:
        self._decoder = MedibusDecoder()
        return self._decoder

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (encode_frame(False, STOP),)

    async def run_session(self, io: DeviceIO) -> None:
        while not await self._asked(io, START, START_INTERVAL):
            pass  # it is off, or not connected: `silence` ends that
        if await self._asked(io, IDENTIFY):
            io.update_status(model=f"Draeger {self._decoder.model}"[:64])
        await asyncio.sleep(AFTER_IDENTITY)
        if self.options.waveforms:
            await self._start_waves(io)
        self._restarted = False
        await self._poll(io)

    async def _start_waves(self, io: DeviceIO) -> None:
        if not await self._asked(io, REALTIME):
            return
        offered = {channel.code: channel for channel in self._decoder.offered}
        found = [[offered[code] for code in WAVES[name] if code in offered][:1] for name in self.options.waveforms]
        chosen = [channel for channels in found for channel in channels]
        order = "".join(f"{channel.code}01" for channel in chosen).encode("ascii")
        if chosen and await self._asked(io, CHOOSE, data=order):
            self._decoder.choose(chosen)
            await self._send(io, ENABLE)

    async def _poll(self, io: DeviceIO) -> None:
        """Until the device is silent; a request or NOP at least every two seconds."""
        now = asyncio.get_running_loop().time
        periods = {CLOCK: CLOCK_INTERVAL, MEASURED: self.options.poll}
        periods |= {ALARMS: 3.0, ALARMS_2: 6.0} if self.options.alarms else {}
        periods |= {SETTINGS: 10.0} if self.options.settings else {}
        due = {code: now() + i / 10 for i, code in enumerate(periods)}
        missed = 0
        while True:
            code = min(due, key=lambda each: due[each])
            wait = min(due[code] - now(), self._last_sent + IDLE_INTERVAL - now())
            await self._listen(io, max(0.0, wait))
            if self._restarted:
                await self._listen(io, AFTER_IDENTITY)
                self._restarted = False
                if self.options.waveforms:
                    await self._start_waves(io)
            if due[code] > now():
                answered = await self._asked(io, IDLE)
            else:
                due[code] = now() + periods[code]
                answered = await self._asked(io, code)
                if code == CLOCK:
                    due[MEASURED] = min(due[MEASURED], now())  # the values of this time
                    if answered and self._decoder.time is None:
                        del due[CLOCK]  # it does not tell
            missed = 0 if answered else missed + 1
            if missed >= ATTEMPTS:
                raise TimeoutError

    async def _asked(self, io: DeviceIO, code: int, timeout: float = ANSWER_TIMEOUT, data: bytes = b"") -> bool:
        """Whether a request was answered in time."""
        await self._send(io, encode_frame(False, code, data))
        return await self._listen(io, timeout, code)

    async def _listen(self, io: DeviceIO, timeout: float, code: int | None = None) -> bool:
        """Answer what the device asks for so long; True as soon as it answers the request `code`."""
        now = asyncio.get_running_loop().time
        end = now() + timeout
        while True:
            while self._decoder.events:
                frame = self._decoder.events.popleft()
                if not frame.is_response:
                    self._restarted |= frame.code == START
                    await self._answer(io, frame.code)
                elif code is not None and frame.code in (code, CORRUPT):
                    return True
            left = end - now()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                await io.wait(any_reply, left)

    async def _answer(self, io: DeviceIO, code: int) -> None:
        """Each command is answered: who we are, or with nothing in it."""
        data = IDENTITY if code == IDENTIFY else b""
        answer = encode_frame(True, code, data)
        if self.violation(answer) is None:
            await self._send(io, answer)

    async def _send(self, io: DeviceIO, data: bytes) -> None:
        end = asyncio.get_running_loop().time() + SUSPEND_TIMEOUT
        while self._decoder.suspended and asyncio.get_running_loop().time() < end:
            with suppress(TimeoutError):
                await io.wait(any_reply, 1.0)
        self._decoder.suspended = False
        await io.send(data)
        self._last_sent = asyncio.get_running_loop().time()

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return MedibusTwin(seed)
