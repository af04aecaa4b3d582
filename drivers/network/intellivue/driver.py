"""Driver `philips-intellivue`: IntelliVue monitors by Data Export, over LAN (UDP) or the serial port."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, ClassVar

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, SessionOver, Twin
from gatepost.drivers.network.intellivue import requests
from gatepost.drivers.network.intellivue.decoder import IntellivueDecoder
from gatepost.drivers.network.intellivue.frames import START, decode_frame, encode_payload
from gatepost.drivers.network.intellivue.messages import MDS_CREATE
from gatepost.drivers.network.intellivue.options import IntellivueOptions
from gatepost.drivers.network.intellivue.twin import IntellivueTwin, SerialIntellivue
from gatepost.drivers.reading import Reading, Reply

ANSWER_TIMEOUT = 5.0  # seconds for an answer to the request of an association
CREATE_TIMEOUT = 10.0  # seconds for the event that follows it
REFUSED_PAUSE = 15.0  # seconds; the monitor ends an association that it lost sight of in the meantime
WAVE_PERIOD, WAVE_RENEWAL = 60.0, 45.0  # seconds
ALERT_INTERVAL = 5.0
REAL_TIME_WAVES = 0x08000000
OVER = ("association-refused", "association-abort", "release-request", "release-response")


class PhilipsIntellivue(Driver):
    """Client of one association; it polls numbers, waveforms and alerts, and changes nothing but what is exported."""

    name = "philips-intellivue"
    title = "Philips IntelliVue monitor (Data Export, LAN or serial)"
    line = SerialSettings(115200, 8, "N", 1)
    metrics: ClassVar[tuple[str, ...]] = (
        "heart_rate", "pulse_oximetry", "blood_pressure", "invasive_pressure", "respiration", "body_temperature",
        "capnography", "ecg", "device_alarm",
    )  # fmt: skip
    values = ()  # private ids pass, too
    silence = 15.0
    options_type = IntellivueOptions
    example_options: ClassVar[dict[str, Any]] = {"waveforms": ["ii", "pleth"]}
    forbidden = (ForbiddenWrite("request", requests.FORBIDDEN),)
    source = "Philips IntelliVue Data Export Interface programming guide, 4535 642 59271"
    _decoder: IntellivueDecoder  # of the newest session

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._invoked = 0

    def decoder(self) -> IntellivueDecoder:
        self._decoder = IntellivueDecoder(self.options)
        return self._decoder

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (self._framed(requests.release_request()),)

    def violation(self, data: bytes, characteristic: str = "") -> str | None:
        """A frame of the serial port is judged by what is in it."""
        if data[:1] == bytes((START,)):
            try:
                data = decode_frame(data)
            except FrameError:
                return self.forbidden[0].name
        return super().violation(data, characteristic)

    def _framed(self, payload: bytes) -> bytes:
        return payload if self.datagrams else encode_payload(payload)

    def _next(self) -> int:
        self._invoked = self._invoked % 0xFFFE + 1
        return self._invoked

    async def run_session(self, io: DeviceIO) -> None:
        await io.send(self._framed(requests.association_request()))
        answer = await io.wait(_association, ANSWER_TIMEOUT)
        if answer != "association-accepted":
            raise SessionOver(f"the monitor does not accept the association ({answer})", REFUSED_PAUSE)
        model = await io.wait(_created, CREATE_TIMEOUT)
        io.update_status(model=model)
        await self._answer_events(io)
        if self.options.labels:
            await io.send(self._framed(requests.set_priorities(self._next(), self.options.labels)))
        await self._poll(io)

    async def _answer_events(self, io: DeviceIO) -> None:
        while self._decoder.events:
            await io.send(self._framed(requests.event_result(self._decoder.events.popleft(), MDS_CREATE)))

    async def _poll(self, io: DeviceIO) -> None:
        """Until the association ends; the polls keep it alive."""
        now = asyncio.get_running_loop().time
        due = {requests.NUMERICS: now()}
        if self.options.alarms:
            due[requests.ALERTS] = now() + 0.5
        if self.options.labels and self._decoder.granted & REAL_TIME_WAVES:
            due[requests.WAVES] = now() + 0.2
        while True:
            if self._decoder.waves.unscaled and requests.WAVES in due:
                self._decoder.waves.unscaled = False
                due[requests.WAVES] = min(due[requests.WAVES], now() + 2.0)
            kind = min(due, key=lambda name: due[name])
            with suppress(TimeoutError):
                ended = await io.wait(_ended, max(0.0, due[kind] - now()))
                raise SessionOver(f"the monitor ended the association ({ended})", REFUSED_PAUSE)
            await self._answer_events(io)
            invoke = self._next()
            if kind == requests.WAVES:
                due[kind] = now() + WAVE_RENEWAL
                request = requests.poll_request(invoke, invoke, kind, 0, WAVE_PERIOD * 1000)
            else:
                due[kind] = now() + (self.options.poll if kind == requests.NUMERICS else ALERT_INTERVAL)
                request = requests.poll_request(invoke, invoke, kind)
            await io.send(self._framed(request))

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return SerialIntellivue(IntellivueTwin(seed))

    @classmethod
    def datagram_twin(cls, options: Any = None, seed: int = 0) -> IntellivueTwin:
        return IntellivueTwin(seed)


def _kind(item: Reading | Reply) -> str | None:
    return str(item.fields["message"]) if isinstance(item, Reply) and item.kind == "intellivue" else None


def _association(item: Reading | Reply) -> str | None:
    kind = _kind(item)
    return kind if kind == "association-accepted" or kind in OVER else None


def _created(item: Reading | Reply) -> str | None:
    return str(item.fields.get("model", "")) if isinstance(item, Reply) and _kind(item) == "mds-create-event" else None


def _ended(item: Reading | Reply) -> str | None:
    kind = _kind(item)
    return kind if kind in OVER else None
