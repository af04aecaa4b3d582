"""Driver `ble-movesense`: ECG and acceleration of Movesense sensors with the GATT sensor data firmware."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.movesense import frames
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import BleOptions, Stream
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, ForbiddenWrite, ScanHints, SupportedDevice
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

ECG, MOTION = 101, 102  # references of the two streams
ECG_RATE, MOTION_RATE = 200, 52  # samples a second
PATHS = {ECG: "/Meas/Ecg/200/mV", MOTION: "/Meas/Acc/52"}
STREAMS = {"ecg": ECG, "acceleration": MOTION}
STEP = 0.001  # m/s2, of a sample of the acceleration
OK = range(200, 300)
ANSWER_LIMIT = 5.0  # seconds
FRAME_LIMIT = 15.0  # seconds without a frame after which a stream is started again
JITTER = 0.3  # of a frame: time beyond the samples that is no jitter any more
LONGEST_GAP = 86_400_000  # ms; a longer pause has no number of lost samples
MAX_ACCELERATION = 1000.0  # m/s2; a number beyond is none


def movesense_uuid(number: str) -> str:
    return f"3480{number}-7185-4d5d-b431-630e7050e8f0"


class MovesenseOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """Options of `ble-movesense`."""

    streams: Annotated[list[Stream], Meta(description="waveforms that are asked for: ecg, acceleration")] = field(
        default_factory=lambda: ["ecg"]
    )


class MovesenseWaves:
    """Rows of one stream -> blocks of about a second, with gaps by the sensor's own time."""

    def __init__(self, metric: str, rate: int, channels: Sequence[WaveformChannel]) -> None:
        self._blocks = WaveformBlocks(metric, rate, channels)
        self._rate = rate
        self._next: float | None = None  # ms of the sensor's clock, at which the next frame begins

    def feed(self, time: int, rows: Sequence[Sequence[int]]) -> Items:
        out: Items = []
        if self._next is not None:
            beyond = (time - self._next) * self._rate / 1000
            if beyond < -max(2.0, JITTER * len(rows)) or time - self._next > LONGEST_GAP:
                out += self._blocks.gap()
            elif beyond > max(2.0, JITTER * len(rows)):
                out += self._blocks.gap(round(beyond))
        for row in rows:
            out += self._blocks.add(row)
        self._next = time + len(rows) * 1000 / self._rate
        return out

    def cut(self) -> Items:
        return list(self._blocks.cut())


class MovesenseProfile(GattProfile):
    """Profile of the sensor data service."""

    service = movesense_uuid("2252")
    title = "Movesense sensor"
    driver = "ble-movesense"
    control = movesense_uuid("0001")
    streams = (movesense_uuid("0002"),)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        # The curves go on over a lost connection: so what is missing between is seen.
        self._waves: dict[int, MovesenseWaves] = memory.kept.setdefault("movesense", {})
        self._frames = dict.fromkeys(PATHS, 0)  # since the last look
        self._running: list[int] = []

    # -- sans-I/O

    def decode(self, value: GattValue) -> Items:
        if value.data[:1] == bytes((frames.ANSWER,)):
            answer = frames.decode_answer(value.data)
            return [Reply("movesense", answer._asdict())]
        reference = value.data[1] if len(value.data) > 1 else 0
        if reference == ECG:
            found = frames.decode_ecg(value.data)
            rows = [(sample,) for sample in found.samples]
            return self._give(ECG, found.timestamp_ms, rows)
        if reference == MOTION:
            motion = frames.decode_motion(value.data)
            if not all(math.isfinite(each) and abs(each) <= MAX_ACCELERATION for row in motion.samples for each in row):
                raise FrameError("out_of_range")
            steps = [tuple(round(each / STEP) for each in row) for row in motion.samples]
            return self._give(MOTION, motion.timestamp_ms, steps)
        raise FrameError("unsupported")

    def _give(self, reference: int, time: int, rows: Sequence[Sequence[int]]) -> Items:
        self._frames[reference] += 1
        if reference not in self._waves:
            if reference == ECG:
                waves = MovesenseWaves("ecg", ECG_RATE, [WaveformChannel("ecg", "uV")])
            else:
                waves = MovesenseWaves(
                    "acceleration", MOTION_RATE, [WaveformChannel(axis, "m/s2", STEP) for axis in "xyz"]
                )
            self._waves[reference] = waves
        return self._waves[reference].feed(time, rows)

    def flush(self) -> Items:
        return [block for waves in self._waves.values() for block in waves.cut()]

    # -- said to the device

    def _point(self, session: ProfileSession) -> GattCharacteristic:
        return self.control_point(session, self.control)

    async def begin(self, session: ProfileSession) -> None:
        for name in self.memory.options.streams:
            await self._start(session, STREAMS[name])

    async def _start(self, session: ProfileSession, reference: int) -> None:
        """A refusal is counted: the heart rate goes on, and it is tried again later."""

        def answered(item: Reading | Reply) -> int | None:
            mine = isinstance(item, Reply) and item.kind == "movesense" and item.fields["reference"] == reference
            return item.fields["status"] if isinstance(item, Reply) and mine else None

        await session.write(self._point(session), frames.subscribe(reference, PATHS[reference]))
        try:
            status = await session.io.wait(answered, ANSWER_LIMIT)
        except TimeoutError:
            status = 0
        if status in OK:
            self._running.append(reference)
        else:
            self.memory.faults.add("stream-refused", f"{PATHS[reference]}: status {status}")

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def watch(io: DeviceIO) -> None:
            for name in self.memory.options.streams:
                reference = STREAMS[name]
                if not self._frames[reference]:
                    await self._start(session, reference)
                self._frames[reference] = 0

        return [ProfileTask(FRAME_LIMIT, watch)] if self.memory.options.streams else []

    async def farewell(self, session: ProfileSession) -> None:
        running, self._running = dict.fromkeys(self._running), []
        await session.bid_farewell(self.control, self.service, *map(frames.unsubscribe, running))


class BleMovesense(BleDriver):
    """Movesense sensors."""

    name = "ble-movesense"
    title = "Movesense with the GATT sensor data firmware: ECG, acceleration and heart rate"
    metrics = ("ecg", "acceleration", "heart_rate")
    services = (MovesenseProfile.service,)
    brings = (MovesenseProfile,)
    companions = (uuid(0x180D),)
    silence = 60.0
    options_type = MovesenseOptions
    example_options: ClassVar[dict[str, Any]] = {"streams": ["ecg", "acceleration"]}
    scan_hints = ScanHints(names=("Movesense ",))
    forbidden = (
        *FORBIDDEN,
        # Its log is cleared and its mode changed by others.
        ForbiddenWrite("delete-records", re.compile(rb"\A(?![\x00\x01\x02])", re.DOTALL), MovesenseProfile.control),
    )
    devices = (SupportedDevice("Movesense", ("with GATT sensor data firmware",), "ECG sensor", "not seen"),)
    source = "sensein/movesense-py; not seen on a device"
