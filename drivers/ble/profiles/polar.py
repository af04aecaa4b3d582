"""Polar Measurement Data, and the driver `ble-polar-h10`: ECG and acceleration beside the heart rate."""

from __future__ import annotations

from typing import Any, ClassVar

from gatepost.drivers.asking import forget_answers
from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import pmd, pmd_data
from gatepost.drivers.ble.gatt.pmd import PmdOp, PmdSetting, PmdType
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError, GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.options import StreamOptions
from gatepost.drivers.ble.profiles.polar_waveforms import PolarWaves
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, ScanHints
from gatepost.drivers.reading import Reading, Reply

ANSWER_LIMIT = 5.0  # seconds
FRAME_LIMIT = 15.0  # seconds without a frame after which a stream is started again
ECG_RATE, ECG_BITS, ACC_BITS = 130, 14, 16
STREAMS = {"ecg": PmdType.ECG, "acceleration": PmdType.ACC}
METRICS = {PmdType.ECG: "ecg", PmdType.ACC: "acceleration"}


class PolarProfile(GattProfile):
    """Polar Measurement Data profile."""

    service = pmd.SERVICE
    title = "Polar sensor"
    driver = "ble-polar-h10"
    streams = (pmd.CONTROL, pmd.DATA)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        # The curves go on over a lost connection: so what is missing between is seen.
        self._waves: dict[int, PolarWaves] = memory.kept.setdefault("polar", {})
        self._rates: dict[int, float] = {PmdType.ECG: ECG_RATE, PmdType.ACC: memory.options.acceleration_rate}
        self._factors: dict[int, float] = memory.kept.setdefault("polar-factors", {})  # of compressed samples
        self._frames: dict[int, int] = {}  # since the last look
        self._running: list[int] = []

    # -- sans-I/O

    def decode(self, value: GattValue) -> Items:
        if value.uuid == pmd.CONTROL:
            response = pmd.decode(value.data)
            if not isinstance(response, pmd.PmdResponse):
                return []
            if response.op == PmdOp.START and response.status == pmd.OK:
                self._use_factor(response.type, response.factor)
            return [Reply("pmd", {"answer": response})]
        frame = pmd_data.decode(value.data)
        kind = frame.measurement_type
        if kind not in METRICS:
            raise FrameError("unsupported")
        if frame.compressed and kind not in self._factors:
            raise FrameError("no_factor")  # the sensor told it when the stream was started: before we listened
        self._frames[kind] = self._frames.get(kind, 0) + 1
        if kind not in self._waves:
            scale = frame.scale * self._factors[kind] if frame.compressed else 1.0
            channels = pmd_data.CHANNELS[PmdType(kind)]
            self._waves[kind] = PolarWaves(METRICS[PmdType(kind)], channels, frame.unit, self._rates[kind], scale)
        return list(self._waves[kind].feed(frame))

    def _use_factor(self, kind: int, factor: float) -> None:
        if self._factors.get(kind, factor) != factor:
            self._waves.pop(kind, None)
        self._factors[kind] = factor

    def flush(self) -> Items:
        return [block for waves in self._waves.values() for block in waves.cut()]

    # -- said to the device

    async def prepare(self, session: ProfileSession) -> None:
        self._running.clear()

    async def begin(self, session: ProfileSession) -> None:
        for name in self.memory.options.streams:
            await self._start(session, session.io, STREAMS[name])

    async def _start(self, session: ProfileSession, io: DeviceIO, kind: PmdType) -> None:
        """A refusal is counted: the heart rate goes on, and it is tried again later."""
        control = session.find(pmd.CONTROL, self.service)
        if control is None:
            return
        offered = await self._ask(session, io, control, pmd.get_settings(kind))
        settings = self._settings(kind, offered.settings if offered else {})
        response = await self._ask(session, io, control, pmd.start(kind, settings))
        if response is not None and response.status == pmd.ALREADY:
            await self._ask(session, io, control, pmd.stop(kind))
            response = await self._ask(session, io, control, pmd.start(kind, settings))
        self._frames[kind] = 0
        if response is None or response.status not in (pmd.OK, pmd.ALREADY):
            reason = "it does not answer" if response is None else response.text
            self.memory.faults.add("stream-refused", f"{METRICS[kind]}: {reason}")
            return
        rate = float(settings[PmdSetting.RATE_HZ])
        if self._rates[kind] != rate:
            self._waves.pop(kind, None)
        self._rates[kind] = rate
        if kind not in self._running:
            self._running.append(kind)

    def _settings(self, kind: PmdType, offered: dict[int, tuple[int | float, ...]]) -> dict[PmdSetting, int]:
        """Requested settings where the sensor offers them, else the nearest that it offers."""
        if kind is PmdType.ECG:
            wanted = {PmdSetting.RATE_HZ: ECG_RATE, PmdSetting.RESOLUTION_BITS: ECG_BITS}
        else:
            wanted = {
                PmdSetting.RATE_HZ: self.memory.options.acceleration_rate,
                PmdSetting.RESOLUTION_BITS: ACC_BITS,
                PmdSetting.RANGE: self.memory.options.acceleration_range,
            }
        return {
            setting: int(min(offered.get(setting) or (value,), key=lambda each: abs(each - value)))
            for setting, value in wanted.items()
        }

    async def _ask(
        self, session: ProfileSession, io: DeviceIO, control: GattCharacteristic, request: bytes
    ) -> pmd.PmdResponse | None:
        """None when it does not answer, or refuses to be written to."""

        def answered(item: Reading | Reply) -> pmd.PmdResponse | None:
            if not isinstance(item, Reply) or item.kind != "pmd":
                return None
            response: pmd.PmdResponse = item.fields["answer"]
            return response if (response.op, response.type) == (request[0], request[1]) else None

        await forget_answers(io)
        try:
            await session.write(control, request)
            return await io.wait(answered, ANSWER_LIMIT)
        except TimeoutError:
            return None
        except GattError as refused:
            self.memory.faults.add("stream-refused", str(refused))
            return None

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def watch(io: DeviceIO) -> None:
            for name in self.memory.options.streams:
                kind = STREAMS[name]
                if not self._frames.get(kind):
                    await self._start(session, io, kind)
                self._frames[kind] = 0

        return [ProfileTask(FRAME_LIMIT, watch)] if self.memory.options.streams else []

    async def farewell(self, session: ProfileSession) -> None:
        """A stream that is not stopped would drain the sensor, and refuse to be started again."""
        running, self._running = self._running, []
        await session.bid_farewell(pmd.CONTROL, self.service, *map(pmd.stop, running))


class BlePolarH10(BleDriver):
    """The Polar H10 chest strap, and others of Polar that speak PMD."""

    name = "ble-polar-h10"
    title = "Polar H10: ECG, acceleration and heart rate"
    metrics = ("ecg", "acceleration", "heart_rate")
    services = (pmd.SERVICE,)
    scan_hints = ScanHints(names=("Polar H10 ",))  # it does not advertise its own service
    companions = (uuid(0x180D),)
    silence = 60.0
    options_type = StreamOptions
    example_options: ClassVar[dict[str, Any]] = {"streams": ["ecg", "acceleration"], "acceleration_rate": 100}
    source = "Polar SDK documentation: Polar Measurement Data"
