"""Polar H10: blocks of a second, gaps, the real rate, streams that are already running, and the farewell."""

from __future__ import annotations

import asyncio
import struct

import pytest

from gatepost.drivers.ble.gatt import pmd, pmd_data
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.decoder import TICK
from gatepost.drivers.ble.profiles.options import StreamOptions
from gatepost.drivers.ble.profiles.polar import BlePolarH10
from gatepost.drivers.ble.profiles.polar_waveforms import NS_PER_SECOND, PolarWaves
from gatepost.drivers.ble.twin.devices.polar import PolarH10Twin
from gatepost.drivers.reading import Reading
from tests.ble.profiles.bench import Bench, played


def strap(streams=("ecg",), twin=None, **settings) -> Bench:
    return Bench(BlePolarH10(StreamOptions(streams=list(streams), **settings)), twin or PolarH10Twin())


def waves(bench: Bench, channel: str) -> list:
    return [reading for reading in bench.stored if reading.values.get("channel") == channel]


def samples(readings: list) -> list[int]:
    return [sample for reading in readings for sample in reading.waveform.samples]


@played
async def test_an_ecg_arrives_whole_and_in_order():
    b = strap()
    sent: list[int] = []
    original = b.twin._sample

    def sample(stream, at):
        found = original(stream, at)
        sent.append(found[0])
        return found

    b.twin._sample = sample
    await b.session(lambda: asyncio.sleep(30))
    found = waves(b, "ecg")
    got = samples(found)
    assert got == sent[: len(got)]
    assert len(sent) - len(got) < 73
    assert {len(reading.waveform.samples) for reading in found[:-1]} == {130}
    assert all(reading.waveform.unit == "uV" and "gap" not in reading.flags for reading in found)
    assert found[-1].waveform.rate_hz == pytest.approx(130 * 1.004, rel=1e-4)
    assert found[0].device_time.startswith("2019-01-01T")
    assert any(reading.metric == "heart_rate" for reading in b.stored)


@pytest.mark.parametrize("drift", [0.98, 1.0, 1.02])
@played
async def test_lost_frames_are_a_gap_of_known_length_whatever_the_drift(drift):
    b = strap(twin=PolarH10Twin(drift=drift))

    async def lose():
        await asyncio.sleep(10)
        b.twin.lose_frames = 2
        await asyncio.sleep(10)

    await b.session(lose)
    gaps = [reading for reading in waves(b, "ecg") if "gap" in reading.flags]
    assert [reading.values["lost_samples"] for reading in gaps] == [146]


@pytest.mark.parametrize("compressed", [False, True])
@played
async def test_acceleration_has_three_channels(compressed):
    b = strap(("ecg", "acceleration"), PolarH10Twin(compressed=compressed), acceleration_rate=100)
    await b.session(lambda: asyncio.sleep(10))
    assert waves(b, "ecg")
    for axis in "xyz":
        found = waves(b, axis)
        assert all(reading.metric == "acceleration" and reading.waveform.unit == "m[g]" for reading in found)
        assert len(samples(found)) > 800
    assert all(970 < sample < 1010 for sample in samples(waves(b, "z")))
    assert waves(b, "z")[-1].waveform.rate_hz == pytest.approx(100.4, rel=1e-3)


@played
async def test_a_stream_that_is_already_running_is_stopped_and_started():
    b = strap()
    b.twin._rates[0] = 130.0
    b.twin._due[0], b.twin._count[0], b.twin._samples[0], b.twin._began[0] = 0.0, 0, [], 0
    await b.session(lambda: asyncio.sleep(5))
    assert [data[:2] for _, data in b.peripheral.said] == [
        b"\x01\x00",
        b"\x02\x00",
        b"\x03\x00",
        b"\x02\x00",
        b"\x03\x00",
    ]
    assert waves(b, "ecg")


@played
async def test_the_streams_are_stopped_at_the_end():
    b = strap(("ecg", "acceleration"))
    await b.session(lambda: asyncio.sleep(5))
    assert [data for _, data in b.peripheral.said][-2:] == [b"\x03\x00", b"\x03\x02"]
    assert b.twin._rates == {}


@played
async def test_a_lost_link_is_a_gap_too():
    b = strap()

    async def fall():
        await asyncio.sleep(5)
        b.lose()
        await asyncio.sleep(0.01)

    await b.session(fall)
    before = len(waves(b, "ecg"))
    b.twin._ticks += 100  # ten seconds
    await b.session(lambda: asyncio.sleep(5))
    (gap,) = [reading for reading in waves(b, "ecg")[before:] if "gap" in reading.flags]
    assert 1200 < gap.values["lost_samples"] < 1500


@played
async def test_a_stream_that_ends_by_itself_is_started_again():
    b = strap()

    async def stop():
        await asyncio.sleep(5)
        b.twin._rates.clear()
        await asyncio.sleep(50)

    await b.session(stop)
    assert len(samples(waves(b, "ecg"))) > 3500


@played
async def test_a_refusal_is_counted_and_the_heart_rate_goes_on():
    b = strap()
    b.twin.mtu = 100
    await b.session(lambda: asyncio.sleep(8))
    assert b.faults["stream-refused"] == 1
    assert len([reading for reading in b.stored if reading.metric == "heart_rate"]) > 5


def frame(time: int, values: list[int]) -> pmd_data.PmdFrame:
    body = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    return pmd_data.decode(b"\x00" + struct.pack("<Q", time) + b"\x00" + body)


def test_a_clock_that_goes_back_is_a_gap_of_unknown_length():
    blocks = PolarWaves("ecg", ("ecg",), "uV", 130)
    out = []
    for time in (10, 11, 5, 6):
        out += blocks.feed(frame(time * NS_PER_SECOND, [7] * 130))
    assert [reading.flags for reading in out] == [(), (), ("gap",), ()]
    assert "lost_samples" not in out[2].values


def test_the_time_of_a_block_is_that_of_its_first_sample():
    blocks = PolarWaves("ecg", ("ecg",), "uV", 130)
    out = blocks.feed(frame(10 * NS_PER_SECOND, [0] * 100))
    out += blocks.feed(frame(10 * NS_PER_SECOND + round(100 / 130 * NS_PER_SECOND), [0] * 100))
    (block,) = out
    assert block.device_time == "2000-01-01T00:00:09.238"


def test_times_beyond_every_calendar():
    blocks = PolarWaves("ecg", ("ecg",), "uV", 130)
    out = blocks.feed(frame(2**64 - 1, [0] * 130)) + blocks.feed(frame(0, [0] * 130))
    assert len(out) == 2


# Acceleration of a Polar sensor, compressed, type 0: 57 samples (Polar SDK, AccDataTest)
COMPRESSED_0 = bytes.fromhex(
    "020094357700000000807107f06a9e8d0a38be5cbeba2f96b3ee4be5adfb42b9ebbe4cfeba2f92bfee4be4b1fb12b9ecbd3c3ebb2f8fd3de4b"
    "e3b5f7d2b8edbd307e7b2f8be3ce8be2baf7a2b8eebc20be7b2f88f3cecbe1bdef52f8efbc18fe3b2f8403bfcbe0c2ef32b8f0bb044ebc2e81"
    "13af0be0c6eff2f7f1b9fc7dbc2e7d279f4bdfcaebc2f7f2b8eccd7c2e7b378f4bdecee392f7f3b8e00dfd2d774b7fcbddd2df6237f5b7d44d"
    "bd2d745b6fcbdcd7d73237f6b5c88d7d2d716b4f4bdcdcd3f236f7b4bcddfd2c6f7b3f4bdbe0cfd236f8b2b02dbe2c6c8f1fcbdae3c7a276f9"
)
# The answer to the start of the stream: success, factor 2.44e-4 as float32
STARTED = bytes.fromhex("f0020200000501") + struct.pack("<f", 2.44e-4)


def test_compressed_samples_are_scaled_by_the_factor_that_the_sensor_told():
    decoder = BlePolarH10(StreamOptions()).decoder()
    frame = GattValue(pmd.DATA, COMPRESSED_0, service=pmd.SERVICE)
    assert decoder.feed(frame) == []
    assert decoder.faults.counts == {"no_factor": 1}  # a number without its unit is none
    decoder.feed(GattValue(pmd.CONTROL, STARTED, service=pmd.SERVICE))
    found = [item for item in decoder.feed(frame) + decoder.feed(TICK) if isinstance(item, Reading)]
    assert sum(len(block.waveform.samples) for block in found) == 3 * 57
    first = [block.waveform.samples[0] * block.waveform.scale for block in found[:3]]
    assert first == pytest.approx([464.82, 6679.744, -7144.808])
    assert all(abs(sample * block.waveform.scale) <= 8000 for block in found for sample in block.waveform.samples)
    decoder.feed(GattValue(pmd.CONTROL, STARTED[:-4] + struct.pack("<f", 1.22e-4), service=pmd.SERVICE))
    assert decoder.feed(frame)[0].waveform.scale == pytest.approx(0.122)
