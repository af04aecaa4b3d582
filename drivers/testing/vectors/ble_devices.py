"""Frames of BLE devices with protocols of their makers, under the names of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from gatepost.drivers.ble.airthings import values
from gatepost.drivers.ble.airthings.driver import WaveMiniProfile, WavePlusProfile, WaveRadonProfile
from gatepost.drivers.ble.inkbird.driver import InkbirdProfile
from gatepost.drivers.ble.inkbird.values import decode_probes
from gatepost.drivers.ble.oximeters.frames import DIALECTS, OximeterFrames, contec_request
from gatepost.drivers.ble.uuids import short
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def _ignore(wrong: FrameError) -> None:
    """A damaged frame among others is passed over."""


def _refuse(wrong: FrameError) -> None:
    raise wrong


def oximeter_frame(octets: bytes, dialect: type[OximeterFrames]) -> Fields:
    (found,) = dialect(_refuse).feed(octets) or [{}]
    if not found:
        raise FrameError("truncated")
    return found


def oximeter_stream(chunks: Iterable[bytes], dialect: type[OximeterFrames]) -> list[Fields]:
    frames = dialect(_ignore)
    return [found for chunk in chunks for found in frames.feed(chunk)]


def contec(request: Fields) -> bytes:
    return contec_request(request["command"], request.get("channel", 0))


_FRAMES: dict[str, Callable[[bytes], Fields]] = {each.name: partial(oximeter_frame, dialect=each) for each in DIALECTS}


def _airthings(decode: Callable[[bytes], Fields]) -> Callable[[bytes, Fields], Fields]:
    return lambda data, context: {name: value for name, value in decode(data).items() if value is not None}


TABLE: Table = {
    "gatt": {
        short(InkbirdProfile.streams[0]): lambda data, context: decode_probes(data),
        WavePlusProfile.values_at: _airthings(values.decode_plus),
        WaveRadonProfile.values_at: _airthings(values.decode_radon),
        WaveMiniProfile.values_at: _airthings(values.decode_mini),
        WavePlusProfile.control: _airthings(partial(values.decode_battery, at=WavePlusProfile.battery_at)),
        WaveRadonProfile.control: _airthings(partial(values.decode_battery, at=WaveRadonProfile.battery_at)),
        WaveMiniProfile.control: _airthings(partial(values.decode_battery, at=WaveMiniProfile.battery_at)),
    },
    "ble-frame": {**_FRAMES, "airthings-atom": values.decode_latest},
    "ble-stream": {each.name: partial(oximeter_stream, dialect=each) for each in DIALECTS},
    "encode": {"contec-ble": contec},
}
