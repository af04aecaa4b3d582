"""RuuviTag, ATC and pvvx, Govee."""

import pytest

from gatepost.drivers.ble.adverts import atc, govee, ruuvi
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.checksums import FrameError

RUUVI, ATC, GOVEE = 0x0499, 0x181A, 0xEC88
VALID5 = "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"
INVALID5 = "058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF"
VALID3 = "03291A1ECE1EFC18F94202CA0B53"
KEY, SENDER = "aa" * 16, "A4:C1:38:AA:BB:CC"


def test_ruuvi(ear, maker):
    (reading,) = ear().hear(maker(RUUVI, VALID5))
    assert reading.metric == "environment"
    assert reading.values == {
        "temperature": 24.3,
        "humidity": 53.49,
        "pressure": 100044,
        "acceleration_x": 4,
        "acceleration_y": -4,
        "acceleration_z": 1036,
        "battery_voltage": 2.977,
        "movement": 66,
        "sequence": 205,
    }
    assert reading.units["pressure"] == "Pa"
    assert reading.units["acceleration_x"] == "m[g]"
    assert reading.quality == "good"


def test_ruuvi_without_any_value(ear, maker):
    (reading,) = ear().hear(maker(RUUVI, INVALID5))
    assert reading.values == reading.units == {}
    assert reading.quality == "bad"
    assert {"temperature:not-available", "humidity:not-available", "sequence:not-available"} <= set(reading.flags)
    assert len(reading.flags) == 9


def test_ruuvi_without_humidity(ear, maker):
    (reading,) = ear().hear(maker(RUUVI, VALID5[:6] + "ffff" + VALID5[10:]))
    assert "humidity" not in reading.values
    assert reading.flags == ("humidity:not-available",)
    assert reading.quality == "good"


def test_ruuvi_sequence_tells_repetitions(ear, maker):
    one = ear()
    again = VALID5[:32] + "00ce" + VALID5[36:]
    assert one.hear(maker(RUUVI, VALID5))
    for _ in range(100):
        one.wait(5)
        assert one.hear(maker(RUUVI, VALID5)) == []
    (news,) = one.hear(maker(RUUVI, again))
    assert news.values["sequence"] == 206
    one.wait(600)
    assert one.hear(maker(RUUVI, again))


def test_ruuvi_format_3_has_no_number(ear, maker):
    one = ear()
    (reading,) = one.hear(maker(RUUVI, VALID3))
    assert reading.values["temperature"] == 26.3
    assert "sequence" not in reading.values
    assert reading.flags == ()
    one.wait(9)
    assert one.hear(maker(RUUVI, VALID3)) == []
    one.wait(2)
    assert one.hear(maker(RUUVI, VALID3))


def test_ruuvi_formats_of_air_sensors_are_left_alone(ear, maker):
    one = ear()
    assert one.all(maker(RUUVI, "06" + "00" * 19)) == []
    assert one.faults == {"unknown_format": 1}
    assert str(ruuvi.decode3(bytes.fromhex("0300800000008001800180010000")).temperature_c) == "0.0"


@pytest.mark.parametrize(
    ("data", "values"),
    [
        ("a4c138d5d49801453e510b7b62", {"temperature": 32.5, "humidity": 62, "battery": 81, "battery_voltage": 2939}),
        (
            "5601cf38c1a44008bd13470c64cc0f",
            {"temperature": 21.12, "humidity": 50.53, "battery": 100, "battery_voltage": 3143},
        ),
    ],
)
def test_atc_and_pvvx(ear, service, data, values):
    one = ear()
    heard = one.all(service(ATC, data))
    assert heard[0].values == values
    assert heard[0].units == {"temperature": "Cel", "humidity": "%", "battery": "%", "battery_voltage": "mV"}
    assert heard[1].fields == {"battery": values["battery"]}


def test_atc_counter_tells_repetitions(ear, service):
    one = ear()
    assert one.hear(service(ATC, "a4c138d5d49801453e510b7b62"))
    assert one.hear(service(ATC, "a4c138d5d49801453e510b7c62")) == []  # the battery moved, the measurement did not
    one.wait(10)
    assert one.hear(service(ATC, "a4c138d5d49801453e510b7c62")) == []
    assert one.hear(service(ATC, "a4c138d5d49801453e510b7c63"))


def test_atc_encrypted(ear, service):
    one = ear(key=KEY)
    (reading,) = one.hear(service(ATC, "bd86c53ffab900c1515859", SENDER))
    assert reading.values == {"temperature": 19.0, "humidity": 51.13, "battery": 81}
    assert one.hear(service(ATC, "bd86c53ffab900c1515859", SENDER)) == []
    assert ear().all(service(ATC, "bde9b75db856f303", SENDER)) == []
    with pytest.raises(FrameError, match="no_address"):
        atc.decode(bytes.fromhex("bde9b75db856f303"), AdvertCipher(bytes.fromhex(KEY)))


def test_atc_encrypted_counters_wrap_at_an_octet(ear, service):
    def sealed(counter):
        head = bytes.fromhex("ccbbaa38c1a4") + bytes.fromhex("0e161a18") + bytes((counter,))
        plain = bytes.fromhex("6c07fa13520f")
        return (bytes((counter,)) + AdvertCipher(bytes.fromhex(KEY)).seal(head, plain, b"\x11")).hex()

    one = ear(key=KEY)
    assert [bool(one.hear(service(ATC, sealed(n), SENDER))) for n in (250, 255, 3, 255, 4)] == [1, 1, 1, 0, 1]
    assert one.faults == {"replayed": 1}


@pytest.mark.parametrize(
    ("company", "data", "name", "values"),
    [
        (0xEC88, "000341c26400", "GVH5075_1", {"temperature": 21.3, "humidity": 44.2, "battery": 100}),
        (0xEC88, "008327e06400", "GVH5075_1", {"temperature": -20.6, "humidity": 81.6, "battery": 100}),
        (0xEC88, "00e609bc126402", "Govee_H5074_1", {"temperature": 25.34, "humidity": 47.96, "battery": 100}),
        (0xEC88, "00e609bc1264", "Govee_H5074_1", {"temperature": 25.34, "humidity": 47.96, "battery": 100}),
        (0x8801, "ec0001018afd94115c", "Govee_H5179_1", {"temperature": -6.3, "humidity": 45.0, "battery": 92}),
        (0x0001, "010103465464", "GVH5100_1", {"temperature": 21.4, "humidity": 61.2, "battery": 100}),
        (0x0001, "01010deeaa6f", "GVH5106_4B99", {"temperature": 23.3, "humidity": 74.5, "pm25": 7}),
        (0x0001, "01010ddf25cc", "GVH5106_1234", {"temperature": 23.2, "humidity": 72.8, "pm25": 12}),
        (0x0001, "0101848420c0", "GVH5106_1234", {"temperature": -7.5, "humidity": 76.8, "pm25": 0}),
        (0x0001, "010000034db2640000", "B5178", {"temperature": 21.6, "humidity": 49.8, "battery": 100}),
        (
            0x0001,
            "010001834db2640000",
            "B5178",
            {"temperature_remote": -21.6, "humidity_remote": 49.8, "battery_remote": 100},
        ),
    ],
)
def test_govee(ear, maker, company, data, name, values):
    (reading,) = ear().hear(maker(company, data, name=name))
    assert reading.values == values
    assert set(reading.units) == set(values)


@pytest.mark.parametrize("data", ["01010deeaa6f", "01010ddf25cc", "0101848420c0"])
def test_company_and_length_are_no_proof_of_a_model(ear, maker, data):
    one = ear()
    assert one.hear(maker(0x0001, data)) == []
    assert one.faults == {"unnamed": 1}
    one.wait(11)
    (reading,) = one.hear(maker(0x0001, data, name="GVH5106_4B99"))
    assert "pm25" in reading.values
    assert ear().hear(maker(0x0001, data, name="Other")) == []


@pytest.mark.parametrize(
    ("company", "data", "name"),
    [
        (0xEC88, "000341c26500", "GVH5075_1"),
        (0x0001, "010103465465", "GVH5101_1"),
        (0x8801, "ec0001018afd941165", "Govee_H5179_1"),
    ],
)
def test_a_battery_above_100_is_refused(ear, maker, company, data, name):
    one = ear()
    assert one.hear(maker(company, data, name=name)) == []
    assert one.faults == {"out_of_range": 1}


def test_a_govee_in_trouble(ear, maker):
    one = ear()
    heard = one.all(maker(GOVEE, "00034db2e400"))
    assert heard[0].values == {}
    assert heard[0].flags == ("temperature:sensor-fault", "humidity:sensor-fault")
    assert heard[0].quality == "bad"
    assert heard[1].fields == {"battery": 100}
    assert govee.decode(bytes.fromhex("007fffff6400")).error


def test_the_sensors_of_an_h5178_take_turns(ear, maker):
    one = ear()
    own, remote = maker(0x0001, "010000034db2640000"), maker(0x0001, "010001834db2640000")
    assert [len(one.hear(advert)) for advert in (own, remote, own, remote)] == [1, 1, 0, 0]


def test_the_padding_of_a_govee_is_no_beacon(ear, maker):
    glue = "0215" + b"INTELLI_ROCKS_HWPu".hex()[:32] + "f2ff0c22c2"
    one = ear()
    assert one.all(maker(0x004C, glue)) == []
    (reading,) = one.hear(maker(GOVEE, "00034db26400" + "4c000215" + b"INTELLI_ROCKS_HWPu".hex() + "f2ff0c"))
    assert reading.values["temperature"] == 21.6


@pytest.mark.parametrize(("company", "size"), [(0xEC88, 5), (0xEC88, 8), (0x0001, 7), (0x8801, 8), (0x1234, 6)])
def test_other_lengths_are_no_govee(company, size):
    assert not govee.fits(bytes(size), company)
    with pytest.raises(FrameError):
        govee.decode(bytes(size), company)


@pytest.mark.parametrize("data", ["a4c138d5d49801453e660b7b62", "a4c138d5d498f4453e510b7b62"])
def test_what_no_thermometer_can_say_is_another_device_under_the_same_service(ear, maker, data):
    """181A is everybody's, and a length proves nothing: a battery of 102 %, a temperature below absolute zero."""
    assert ear().hear(maker(ATC, data)) == []
