"""draeger-medibus: sessions, values and their units by model, realtime octets inside frames, what is never sent."""

import msgspec
import pytest

from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.medibus.driver import DraegerMedibus, MedibusOptions
from gatepost.drivers.serial.medibus.frames import (
    RealtimeChannel,
    alarm_items,
    clock_time,
    encode_frame,
    number_of,
    text_items,
)
from gatepost.drivers.serial.medibus.realtime import ENABLE
from gatepost.drivers.serial.medibus.twin import MedibusTwin
from gatepost.drivers.testing import driver_kit


def decoder(model="8240"):
    made = DraegerMedibus().decoder()
    made.feed(encode_frame(True, 0x52, f"{model}'X'01.00:04.03".encode()))
    return made


def read(made, code, data):
    return [item for item in made.feed(encode_frame(True, code, data)) if isinstance(item, Reading)]


def play(seconds=60, twin=None, **options):
    driver = DraegerMedibus(msgspec.convert(options, MedibusOptions))
    return driver_kit.session(driver, twin or MedibusTwin(), seconds)


def test_values_of_an_evita():
    (ventilation, other) = read(decoder(), 0x24, b"820.45B9 6.37D  2478   5D6  14F0  40C136.5")
    assert ventilation.values == {
        "tidal_volume_expired": 0.45, "minute_volume": 6.3, "peak_pressure": 24, "peep": 5, "respiration_rate": 14,
        "fio2": 40,
    }  # fmt: skip
    assert ventilation.units == {
        "tidal_volume_expired": "L", "minute_volume": "L/min", "peak_pressure": "mbar", "peep": "mbar",
        "respiration_rate": "/min", "fio2": "%",
    }  # fmt: skip
    assert (other.metric, other.values) == ("reading", {"code_c1": 36.5})


@pytest.mark.parametrize(
    ("model", "units"),
    [
        ("8088", {"peak_pressure": "mbar"}),
        ("9999", {}),
        ("8260", {"tidal_volume_expired": "L", "peak_pressure": "mbar"}),
    ],
)
def test_where_the_model_does_not_tell_a_unit_there_is_none(model, units):
    (reading,) = read(decoder(model), 0x24, b"820.457D  24")
    assert reading.units == units


def test_blank_is_no_value():
    (reading,) = read(decoder(), 0x24, b"7D    78 - 5")
    assert (reading.values, reading.flags) == ({"peep": -5}, ("peak_pressure:not-measured",))
    (none,) = read(decoder(), 0x24, b"EB----")
    assert (none.values, none.flags, none.quality) == ({}, ("spo2:not-measured",), "bad")


def test_a_value_is_taken_from_the_code_that_has_it():
    (pressure,) = read(decoder(), 0x24, b"DB    E3    E638.0")
    assert (pressure.values, pressure.units, pressure.flags) == ({"et_co2": 38.0}, {"et_co2": "mm[Hg]"}, ())
    (volume,) = read(decoder(), 0x24, b"82    88 420")
    assert (volume.values, volume.units) == ({"tidal_volume_expired": 420}, {"tidal_volume_expired": "mL"})


def test_agents_are_readings_of_their_own():
    found = read(decoder(), 0x24, b"F8 1.1F9 0.9AE 4.0EF  38")
    assert [(reading.values, reading.flags) for reading in found] == [
        ({"agent_fi": 1.1, "agent_et": 0.9}, ("agent-isoflurane",)),
        ({"agent_fi": 4.0}, ("agent-desflurane",)),
        ({"o2_et": 38}, ()),
    ]


def test_a_session():
    done = play(120)
    metrics = {reading.metric for reading in done.readings}
    assert metrics == {"ventilation", "reading", "ventilator_settings", "device_alarm", "capnography"}
    assert done.told == {"model": "Draeger 8240"}
    settings = [reading for reading in done.readings if reading.metric == "ventilator_settings"]
    (values,) = (reading.values for reading in settings)
    assert values == {"fio2": 40, "tidal_volume": 0.45, "respiration_rate": 14, "peep": 5}
    alarms = [reading for reading in done.readings if reading.metric == "device_alarm"]
    assert alarms[0].values == {"alarm_priority": 8}
    assert alarms[0].flags == ("device-alarm:10",)
    assert {words[1] for words in done.sent} == {0x51, 0x52, 0x24, 0x27, 0x28, 0x29, 0x2E, 0x55}
    times = [reading.device_time for reading in done.readings if reading.metric == "ventilation"]
    assert {time for time in times if time} == {"2026-11-20T10:30:00"}
    assert 10 <= sum(time is not None for time in times) <= 13  # the clock is asked now and then


def test_a_device_that_does_not_tell_its_time_is_not_asked_again():
    class Timeless(MedibusTwin):
        def _data(self, code):
            return b"" if code == 0x28 else super()._data(code)

    done = play(60, Timeless())
    assert sum(words[1] == 0x28 for words in done.sent) == 1
    assert done.outcome is None


def test_realtime_values_in_the_middle_of_frames():
    done = play(30, waveforms=["airway_pressure", "flow"])
    waves = {reading.values["channel"]: reading.waveform for reading in done.readings if reading.waveform}
    assert set(waves) == {"airway_pressure", "flow"}
    assert (waves["flow"].rate_hz, waves["flow"].unit, waves["flow"].offset) == (62.5, "L/min", -200)
    assert done.faults == {}
    assert ENABLE in done.sent


@pytest.mark.parametrize(("codes", "unit"), [("08", "%"), ("07", "kPa"), ("0807", "kPa"), ("0706", "mm[Hg]")])
def test_carbon_dioxide_comes_in_a_unit_that_the_device_offers(codes, unit):
    class Capnograph(MedibusTwin):
        def _data(self, code):
            offered = "".join(f"{codes[at : at + 2]}   16000    0   603FF" for at in range(0, len(codes), 2))
            return offered.encode() if code == 0x53 else super()._data(code)

    done = play(20, Capnograph(), waveforms=["co2"])
    waves = [reading for reading in done.readings if reading.waveform]
    assert {(reading.metric, reading.waveform.unit) for reading in waves} == {("capnography", unit)}


def test_waveforms_go_on_after_the_device_was_switched_off_and_on():
    class Restarted(MedibusTwin):
        def tick(self):
            if self._ticks == 60:
                self.linked = self._realtime = False
            return super().tick()

    done = play(60, Restarted(), waveforms=["airway_pressure", "flow"])
    flow = [reading for reading in done.readings if reading.values.get("channel") == "flow"]
    assert done.outcome is None
    assert done.sent.count(ENABLE) == 2
    assert len(flow) > 45
    assert ["gap" in reading.flags for reading in flow].count(True) == 1


def test_a_pause_that_is_never_over_is_over():
    class Paused(MedibusTwin):
        def tick(self):
            return super().tick() + (b"\x11" if self._ticks == 80 else b"")

    done = play(120, Paused())
    assert len([words for words in done.sent if words[1] == 0x24]) > 80


def test_samples_that_were_cut_off_are_a_gap():
    made = decoder()
    made.choose([RealtimeChannel("00", 500_000, -10, 100, 880)])
    one = bytes((0xD1, 0x91, 0x81))
    found = [item for piece in (one * 2, b"\xd1\x91", one * 2) for item in made.feed(piece)]
    assert [reading.waveform.samples for reading in found] == [[81, 81], [81, 81]]
    assert ["gap" in reading.flags for reading in found] == [False, True]
    assert made.faults.counts == {"lost-samples": 1}


def test_the_device_is_answered():
    class Asking(MedibusTwin):
        def tick(self):
            said = super().tick()
            return said + (encode_frame(False, 0x30) if self.linked and self._ticks % 20 == 0 else b"")

    twin = Asking()
    done = play(30, twin)
    assert twin.named == "0161'GATEPOST'01.00:03.00"
    assert encode_frame(True, 0x30) in done.sent
    assert encode_frame(True, 0x51) in done.sent or encode_frame(False, 0x51) in done.sent


def test_a_slow_poll_keeps_the_link_with_nops():
    done = play(60, poll=60, settings=False, alarms=False)
    assert encode_frame(False, 0x30) in done.sent
    assert done.outcome is None


def test_a_pause_that_the_device_asks_for_is_kept():
    class Busy(MedibusTwin):
        def hear(self, data):
            answer = super().hear(data)
            return answer + b"\x11" if self.linked and self._ticks < 100 else answer

        def tick(self):
            return super().tick() + (b"\x13" if self._ticks % 8 == 0 else b"")

    done = play(30, Busy())
    assert 5 < len([words for words in done.sent if words[1] == 0x24]) < 30


def test_a_device_that_does_not_answer_ends_the_session():
    class Dumb(MedibusTwin):
        def hear(self, data):
            return super().hear(data) if not self.linked or data[1:2] in (b"\x51", b"\x52") else b""

    done = play(60, Dumb())
    assert isinstance(done.outcome, TimeoutError)


def test_clocks_in_both_languages():
    assert clock_time("11:11:1911-NOV-93") == [1993, 11, 11, 11, 11, 19]
    assert clock_time("09:05 3-MAI-26") == [2026, 5, 3, 9, 5]
    assert clock_time("9:05:00 3-DEC-07") == [2007, 12, 3, 9, 5, 0]
    assert clock_time("23:59:5931-DEZ-99") == [1999, 12, 31, 23, 59, 59]
    assert clock_time("25:00:0001-JAN-20") is None
    assert clock_time("10:00:0001-XYZ-20") is None


def test_alarms_and_texts():
    assert alarm_items(b"810PAW HIGH    ") == [(8, "10", "PAW HIGH")]
    assert text_items(b"0E5BIPAP\x032C1D\x03") == [("0E", "BIPAP"), ("2C", "D")]
    assert [number_of(text) for text in ("- 5", " .5", "", "  ", "1.2.3", "4e2")] == [-5, 0.5, None, None, None, None]
