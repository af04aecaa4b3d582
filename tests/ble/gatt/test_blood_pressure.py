import pytest

from gatepost.drivers.ble.gatt import blood_pressure as bp
from gatepost.drivers.ble.gatt import blood_pressure_enhanced as enhanced
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN

FULL = "1e 7800 5000 5d00 e90701020708 09 4800 02 0000"


def read(raw):
    return bp.reading(bp.decode(bytes.fromhex(raw)))


def test_everything():
    found = read(FULL)
    assert found.metric == "blood_pressure"
    assert found.values == {"systolic": 120, "diastolic": 80, "mean": 93, "heart_rate": 72, "user_id": 2}
    assert found.units == {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"}
    assert (found.flags, found.quality, found.device_time) == ((), GOOD, "2025-01-02T07:08:09")


def test_kilopascals_stay():
    found = read("01 a0f0 6bf0 7cf0")
    assert found.values == {"systolic": 16.0, "diastolic": 10.7, "mean": 12.4}
    assert set(found.units.values()) == {"kPa"}


def test_decimals_are_exact():
    assert read("00bdf00b009ff0").values == {"systolic": 18.9, "diastolic": 11, "mean": 15.9}


@pytest.mark.parametrize(
    ("bits", "flags", "quality"),
    [(0x01, ("body-movement",), UNCERTAIN), (0x02, ("cuff-too-loose",), UNCERTAIN), (0x04, ("irregular-pulse",), GOOD),
     (0x08, ("pulse-above-range",), GOOD), (0x10, ("pulse-below-range",), GOOD), (0x18, (), GOOD),
     (0x20, ("improper-position",), UNCERTAIN), (0xFFC0, (), GOOD),
     (0x2F, (*bp.STATUS.values(), "pulse-above-range"), UNCERTAIN)],
)  # fmt: skip
def test_status(bits, flags, quality):
    found = read("10780050005d00" + bits.to_bytes(2, "little").hex())
    assert (found.flags, found.quality) == (flags, quality)


def test_a_failed_measurement_has_no_numbers():
    found = read("14 ff07 ff07 ff07 ff07 0200")
    assert found.values == {}
    assert found.flags == ("systolic:nan", "diastolic:nan", "mean:nan", "heart_rate:nan", "cuff-too-loose")
    assert found.quality == BAD


@pytest.mark.parametrize(("mean", "why"), [("ff07", "nan"), ("0000", "not-given"), ("0008", "not-at-this-resolution")])
def test_a_mean_that_is_not_given_is_no_doubt(mean, why):
    found = read("0078005000" + mean)
    assert found.values == {"systolic": 120, "diastolic": 80}
    assert (found.flags, found.quality) == ((f"mean:{why}",), GOOD)


def test_a_mean_alone_is_a_value():
    found = read("00 ff07 ff07 5d00")
    assert (found.values, found.quality) == ({"mean": 93}, UNCERTAIN)


def test_half_a_pressure_is_doubtful():
    found = read("00 7800 fe07 5d00")
    assert found.flags == ("diastolic:over-range",)
    assert found.quality == UNCERTAIN


def test_unknown_user_and_unknown_time():
    found = read("0a780050005d00 0000 0411 14293b ff")
    assert "user_id" not in found.values
    assert found.device_time is None


def test_cuff_pressure():
    found = bp.cuff_reading(bp.decode_cuff(bytes.fromhex("02 d7f0 ff07 ff07 e9070102070809")))
    assert (found.metric, found.values, found.units) == ("cuff_pressure", {"pressure": 21.5}, {"pressure": "mm[Hg]"})
    assert (found.flags, found.quality, found.device_time) == ((), GOOD, "2025-01-02T07:08:09")


def test_short():
    data = bytes.fromhex(FULL)
    for decode in (bp.decode, bp.decode_cuff):
        decode(data + b"\x99")
        for end in range(len(data)):
            with pytest.raises(FrameError, match="truncated"):
                decode(data[:end])


def test_feature():
    assert bp.decode_feature(bytes.fromhex("0f01")) == 0x10F
    with pytest.raises(FrameError, match="truncated"):
        bp.decode_feature(b"\x01")


def test_enhanced():
    data = bytes.fromhex("7e 7800 5000 5d00 80510100 4800 02 0100 00000000")
    found = enhanced.decode(data)
    assert found.time == "2000-01-02T00:00:00"
    assert found.user_facing_time is None  # zero is no time
    told = found.reading()
    assert told.values == {"systolic": 120, "diastolic": 80, "mean": 93, "heart_rate": 72, "user_id": 2}
    assert (told.flags, told.device_time) == (("body-movement",), "2000-01-02T00:00:00")
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            enhanced.decode(data[:end])


def test_enhanced_cuff_pressure_is_one_number():
    found = enhanced.decode_cuff(bytes.fromhex("22 7800 80510100 00a30200"))
    assert (found.time, found.user_facing_time) == ("1900-01-02T00:00:00", "1900-01-03T00:00:00")
    told = found.reading()
    assert (told.metric, told.values, told.device_time) == ("cuff_pressure", {"pressure": 120}, "1900-01-03T00:00:00")
