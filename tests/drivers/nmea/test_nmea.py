import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD
from gatepost.drivers.serial.nmea.driver import Nmea0183, NmeaOptions
from gatepost.drivers.serial.nmea.sentence import checksum, decode_sentence, encode_sentence
from gatepost.drivers.serial.nmea.twin import NmeaTwin
from gatepost.drivers.serial.nmea.values import READERS, degrees, number
from gatepost.drivers.testing.pty import PtyTwin
from tests.drivers.rig import Rig, until


def read(*sentences, **options):
    decoder = Nmea0183(NmeaOptions(**options)).decoder()
    decoder.feed(b"\r\n")
    data = b"".join(each if isinstance(each, bytes) else encode_sentence(*each.split(",")) for each in sentences)
    return decoder.feed(data), decoder


def one(sentence, **options):
    (reading,), decoder = read(sentence, **options)
    assert decoder.faults.counts == {}
    return reading


def test_a_sentence():
    sentence = decode_sentence("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n")
    assert (sentence.address, sentence.kind, sentence.talker, len(sentence.fields)) == ("GPGGA", "GGA", "GP", 14)
    own = decode_sentence(encode_sentence("PGRMT", "x").decode())
    assert (own.kind, own.talker) == ("PGRMT", "P")
    assert decode_sentence("$WIMTW,1,C", checked=False).fields == ("1", "C")


@pytest.mark.parametrize(
    ("line", "kind"),
    [("", "bad_sync"), ("GPGGA,1*00", "bad_sync"), ("$GPGGA,123519", "no_checksum"), ("$GPGGA,1*00", "bad_checksum"),
     ("$GPGGA,1*4", "bad_format"), ("$GPGGA,1*zz", "bad_format"), ("$gpgga,1*00", "bad_checksum"),
     ("$,1*1D", "bad_format"), ("$GP$GGA,1*00", "no_checksum"), ("$GPGGA,1*41*41", "bad_format")],
)  # fmt: skip
def test_what_is_no_sentence_is_refused(line, kind):
    if kind == "no_checksum" and "*" in line:
        kind = "bad_format"
    with pytest.raises(FrameError, match=kind):
        decode_sentence(line)


def test_a_wrong_checksum_never_passes():
    with pytest.raises(FrameError, match="bad_checksum"):
        decode_sentence("$WIMTW,1,C*00", checked=False)
    assert checksum("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,") == 0x47


def test_water():
    reading = one("YXMTW,17.75,C")
    assert (reading.metric, reading.values) == ("environment", {"water_temperature": 17.75})
    assert reading.units == {"water_temperature": "Cel"}
    assert one("YXMTW,,C").flags == ("water_temperature:no-value",)
    assert one("YXMTW,17.75,F").values == {}  # not the unit that it says it is


def test_pressure():
    assert one("WIMMB,29.92,I,1.0132,B").values == {"pressure": 1.0132}
    reading = one("WIMMB,29.92,I,,B")
    assert (reading.values, reading.units) == ({"pressure": 29.92}, {"pressure": "[in_i'Hg]"})


def test_a_weather_station():
    reading = one("WIMDA,29.7544,I,1.0076,B,35.5,C,,C,42.1,,20.6,C,116.4,T,107.7,M,1.2,N,0.6,M")
    assert reading.values == {
        "pressure": 1.0076, "temperature": 35.5, "humidity": 42.1, "dew_point": 20.6, "wind_direction": 116.4,
        "wind_direction_magnetic": 107.7, "wind_speed": 0.6,
    }  # fmt: skip
    assert reading.units["wind_speed"] == "m/s"
    assert reading.flags == ()
    assert read("WIMDA,,I,,B,,C,,C,,,,C,,T,,M,,N,,M")[0] == []
    assert one("WIMDA,,I,,B,,C,,C,,,,C,,T,,M,1.2,N,,M").units == {"wind_speed": "[kn_i]"}


def test_wind():
    reading = one("WIMWV,214.8,R,0.1,K,A")
    assert reading.values == {"apparent_wind_angle": 214.8, "apparent_wind_speed": 0.1}
    assert reading.units == {"apparent_wind_angle": "deg", "apparent_wind_speed": "km/h"}
    assert one("WIMWV,214.8,T,3,N,A").units["wind_speed"] == "[kn_i]"
    invalid = one("WIMWV,214.8,T,3,N,V")
    assert (invalid.values, invalid.flags) == ({}, ("wind_angle:invalid", "wind_speed:invalid"))


def test_transducers():
    reading = one("WIXDR,C,19.2,C,TempAir,P,1.0103,B,Barometer,H,,P,,U,13.7,V,,U,5,V,")
    assert reading.values == {"tempair": 19.2, "barometer": 1.0103, "voltage": 13.7, "voltage_2": 5}
    assert reading.units == {"tempair": "Cel", "barometer": "bar", "voltage": "V", "voltage_2": "V"}
    assert reading.flags == ("humidity:no-value",)
    assert one("IIXDR,C,19.2,C,TEMP", names={"TEMP": "temperature"}).values == {"temperature": 19.2}
    assert one("IIXDR,Q,1,Z,").units == {"value": "Z"}


def test_position():
    reading = one("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,")
    assert reading.metric == "position"
    assert reading.values == {
        "latitude": 48.1173, "longitude": 11.5166667, "satellites": 8, "altitude": 545.4, "hdop": 0.9
    }  # fmt: skip
    assert one("GPGGA,123519,4807.038,S,01131.000,W,2,08,0.9,545.4,M,46.9,M,,").values["latitude"] == -48.1173
    none = one("GPGGA,123519,,,,,0,00,,,M,,M,,")
    assert (none.values, none.flags) == ({"satellites": 0}, ("latitude:no-fix", "longitude:no-fix"))


def test_position_with_time():
    reading = one("GPRMC,123519.25,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W")
    assert reading.device_time == "1994-03-23T12:35:19.25"
    assert reading.values == {"latitude": 48.1173, "longitude": 11.5166667, "speed": 22.4, "course": 84.4}
    lost = one("GPRMC,123519,V,4807.038,N,01131.000,E,022.4,084.4,230394,,")
    assert (lost.values, lost.quality) == ({}, BAD)
    assert one("GPRMC,123519,A,4807.038,N,01131.000,E,,,320394,,").device_time is None


@pytest.mark.parametrize(
    ("text", "side"), [("4807.038", "X"), ("9107.038", "N"), ("4860.0", "N"), ("x", "N"), ("4807.038", ""), ("", "N")]
)
def test_what_is_no_place(text, side):
    with pytest.raises(FrameError):
        degrees(text, side)
    assert degrees("", "") is None


def test_numbers():
    assert [number(text) for text in ("1", "-1.5", ".5", "", "007")] == [1, -1.5, 0.5, None, 7]
    for text in ("1e5", "nan", "0x1", "1,5", "--", "1" * 21, "٣"):
        with pytest.raises(FrameError):
            number(text)


def test_what_is_unknown_is_counted_and_no_fault():
    found, decoder = read("GPGSV,1,1,00", "GPGSV,1,1,00", "PGRMT,x", b"!AIVDM,1,1,,A,x,0*00\r\n")
    assert found == []
    assert decoder.others == {"GSV": 2, "PGRMT": 1}
    assert decoder.faults.counts == {"bad_checksum": 1}


def test_checksums_and_talkers_can_be_chosen():
    assert read(b"$YXMTW,1.5,C\r\n")[1].faults.counts == {"no_checksum": 1}
    assert len(read(b"$YXMTW,1.5,C\r\n", checksum=False)[0]) == 1
    assert len(read("YXMTW,1,C", "WIMTW,1,C", talkers=["WI"])[0]) == 1


def test_a_cut_first_line_is_no_fault():
    decoder = Nmea0183().decoder()
    assert decoder.feed(b"038,N*47\r\n" + encode_sentence("YXMTW", 1, "C"))[0].quality == GOOD
    assert decoder.faults.counts == {}


WHOLE = (
    "GGA,170834,4124.8963,N,08151.6838,W,1,05,1.5,280.2,M,-34.0,M,,",
    "MDA,30.1,I,1.019,B,12.5,C,9.5,C,60.1,,5.0,C,270.0,T,,M,5.0,N,2.6,M",
    "MMB,30.1,I,1.019,B",
    "MTW,12.5,C",
    "MWV,214.8,R,0.1,K,A",
    "RMC,170834,A,4124.8963,N,08151.6838,W,0.5,54.7,191194,,,A",
    "XDR,C,19.52,C,TEMP,P,1.02,B,BARO",
)
OTHER_FIELDS = st.dictionaries(st.integers(1, 21), st.text("0123456789.-NSEWACTRMKBIPV x\xe9", max_size=12))


@given(st.sampled_from(WHOLE), OTHER_FIELDS)
def test_any_fields(whole, others):
    assert {each[:3] for each in WHOLE} == set(READERS)
    decoder = Nmea0183().decoder()
    fields = whole.split(",")
    for place, text in others.items():
        fields[place : place + 1] = [text]
    body = ",".join(("GP" + fields[0], *fields[1:]))
    items = decoder.feed(b"\r\n" + f"${body}*{checksum(body):02X}\r\n".encode("latin-1"))
    assert others or any(item.values for item in items)
    for item in items:
        assert all(math.isfinite(value) for value in item.values.values())
        assert item.units.keys() <= item.values.keys()


async def test_on_a_port(tmp_path):
    async with PtyTwin(NmeaTwin(seed=1), tmp_path / "mast", speed=100, patient=True), Rig() as rig:
        await rig.run("nmea0183", tmp_path / "mast", names={"TEMPAIR": "temperature"})
        await until(lambda: {reading["metric_type"] for reading in rig.readings} == {"environment", "position"})
        await until(lambda: any("temperature" in reading for reading in rig.readings))
        assert rig.view["status"] == "online"
