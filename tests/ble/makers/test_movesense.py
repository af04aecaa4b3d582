"""Movesense: waves as they were sent, lost frames as gaps, and nothing that clears its log."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.movesense.driver import BleMovesense, MovesenseOptions, MovesenseProfile
from gatepost.drivers.ble.movesense.frames import subscribe, unsubscribe
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.twin.devices.movesense import MovesenseTwin
from tests.ble.profiles.bench import Bench, play, played


def waves(bench: Bench, metric: str) -> list:
    return [reading for reading in bench.stored if reading.metric == metric and reading.waveform is not None]


def worn(streams: list[str], lose: int = 0) -> Bench:
    async def scene() -> Bench:
        b = Bench(BleMovesense(MovesenseOptions(streams=streams)), MovesenseTwin())

        async def wear() -> None:
            await asyncio.sleep(10)
            b.twin.lose_frames = lose
            await asyncio.sleep(10)

        await b.session(wear)
        return b

    return play(scene())


def test_the_ecg_as_it_was_sent():
    b = worn(["ecg"])
    samples = list(itertools.chain(*(block.waveform.samples for block in waves(b, "ecg"))))
    assert len(samples) > 3700
    assert samples == b.twin.sent[: len(samples)]
    assert not any("gap" in block.flags for block in waves(b, "ecg"))
    assert waves(b, "ecg")[0].waveform.unit == "uV"
    assert any(reading.values.get("heart_rate") == 70 for reading in b.stored)
    assert b.twin.running == {}
    assert b.faults == {}


def test_lost_frames_are_a_gap():
    b = worn(["ecg"], lose=3)
    gaps = [block.values["lost_samples"] for block in waves(b, "ecg") if "gap" in block.flags]
    assert gaps == [60]


def test_acceleration():
    b = worn(["acceleration"])
    blocks = waves(b, "acceleration")
    assert {block.values["channel"] for block in blocks} == {"x", "y", "z"}
    last = [block.waveform for block in blocks if block.values["channel"] == "z"][-1]
    assert last.samples[0] * last.scale == 9.812
    assert waves(b, "ecg") == []


@played
async def test_a_path_that_it_does_not_know():
    b = Bench(BleMovesense(), MovesenseTwin())
    b.twin.find(MovesenseProfile.control).on_write = lambda data: b.twin.send(b.twin._notify, b"\x01e\x94\x01")
    await b.session(lambda: asyncio.sleep(10))
    assert b.faults == {"stream-refused": 1}


def test_what_clears_its_log_is_refused():
    driver = BleMovesense()
    for operation in (0x05, 0x06, 0x07, 0x09, 0x03):
        assert driver.violation(bytes((operation, 1)), MovesenseProfile.control) == "delete-records"
    for data in (subscribe(101, "/Meas/Ecg/200/mV"), unsubscribe(101)):
        assert driver.violation(data, MovesenseProfile.control) is None


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_octets_are_decoded_or_refused(chunks):
    decoder = BleMovesense().decoder()
    for data in chunks:
        for head in (b"", b"\x02e", b"\x02f", b"\x01e"):
            decoder.feed(GattValue(MovesenseProfile.streams[0], head + data, 1, MovesenseProfile.service))
    assert all(isinstance(kind, str) for kind, _ in decoder.faults)
