from decimal import Decimal

import pytest

from gatepost.drivers.ble.gatt import cgm, cgm_session, e2e_crc
from gatepost.drivers.ble.gatt.cgm_session import CgmFeature, CgmSession
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN

PLAIN = bytes.fromhex("06000c100600")
FULL = bytes.fromhex("0fe3d2e405000214ff02f0e5f38e3f")
SESSION = CgmSession(DateTime(2018, 4, 24, 23, 58, 24), 120, 60)


def record(status=0, cal_temp=0, warning=0, glucose="78 00"):
    return cgm.decode(bytes.fromhex(f"09e0{glucose}0600") + bytes((status, cal_temp, warning)))[0]


def sized(data):
    """A record with the right size for its E2E-CRC."""
    return e2e_crc.add(bytes((len(data) + 2,)) + data[1:])


def test_several_records_in_a_notification():
    found = cgm.decode(PLAIN + PLAIN + FULL)
    assert [each.time_offset_min for each in found] == [6, 6, 5]
    assert found[2].trend == Decimal("0.2")
    assert found[2].quality == Decimal("99.7")


@pytest.mark.parametrize(
    ("bit", "octets", "field"), [(7, "2a", "status"), (6, "2a", "cal_temp"), (5, "2a", "warning"),
                                 (0, "2a00", "trend"), (1, "2a00", "quality")],
)  # fmt: skip
def test_each_field_alone(bit, octets, field):
    extra = bytes.fromhex(octets)
    (found,) = cgm.decode(bytes((6 + len(extra), 1 << bit)) + PLAIN[2:] + extra)
    assert getattr(found, field) == 42
    others = {"status", "cal_temp", "warning", "trend", "quality"} - {field}
    assert all(getattr(found, other) is None for other in others)


@pytest.mark.parametrize(
    ("data", "crc", "kind"),
    [
        (b"", None, "truncated"),
        (PLAIN[:-1], None, "truncated"),
        (PLAIN + PLAIN[:3], None, "truncated"),
        (bytes.fromhex("05000c1006"), None, "bad_size"),
        (bytes(6), None, "bad_size"),
        (bytes.fromhex("07000c10060000"), None, "bad_size"),
        (bytes.fromhex("06800c100600"), None, "bad_size"),  # flags ask for more than the size allows
        (PLAIN, True, "bad_size"),
        (sized(PLAIN), False, "bad_size"),
        (FULL[:-1] + b"\x00", True, "bad_crc"),
        (FULL[:-1] + b"\x00", None, "bad_crc"),
        (sized(PLAIN)[:-2] + b"\xff\xff", None, "bad_crc"),
    ],
)
def test_refused(data, crc, kind):
    with pytest.raises(FrameError, match=kind):
        cgm.decode(data, crc)


def test_crc():
    for crc in (None, True):
        assert cgm.decode(sized(PLAIN) + sized(PLAIN), crc) == cgm.decode(PLAIN + PLAIN)
    assert cgm.decode(PLAIN, False) == cgm.decode(PLAIN)


def test_reading():
    found = cgm.reading(cgm.decode(PLAIN)[0], SESSION)
    assert (found.metric, found.quality, found.flags) == ("continuous_glucose", GOOD, ())
    assert found.values == {"glucose": 120, "time_offset": 6}
    assert found.units == {"glucose": "mg/dL", "time_offset": "min"}
    assert found.device_time == "2018-04-25T00:04:24"
    assert cgm.reading(cgm.decode(PLAIN)[0]).device_time is None
    assert cgm.reading(cgm.decode(PLAIN)[0], CgmSession(DateTime(0, 0, 0, 0, 0, 0), None, None)).device_time is None


def test_trend_and_quality():
    found = cgm.reading(cgm.decode(FULL)[0])
    assert found.values["trend"] == 0.2
    assert found.values["signal_quality"] == 99.7
    assert found.units["trend"] == "mg/dL/min"


@pytest.mark.parametrize(
    ("told", "flag", "quality"),
    [({"status": 1}, "session-stopped", UNCERTAIN), ({"status": 2}, "battery-low", GOOD),
     ({"status": 8}, "sensor-fault", UNCERTAIN), ({"status": 16}, "device-alert", GOOD),
     ({"cal_temp": 1}, "time-sync-required", GOOD), ({"cal_temp": 4}, "calibration-recommended", GOOD),
     ({"cal_temp": 8}, "calibration-required", UNCERTAIN), ({"cal_temp": 32}, "temperature-too-low", UNCERTAIN),
     ({"warning": 1}, "below-patient-low", GOOD), ({"warning": 4}, "hypoglycaemia", GOOD),
     ({"warning": 32}, "rising-fast", GOOD), ({"warning": 64}, "glucose:under-range", BAD),
     ({"warning": 128}, "glucose:over-range", BAD)],
)  # fmt: skip
def test_status(told, flag, quality):
    found = cgm.reading(record(**told))
    assert flag in found.flags
    assert found.quality == quality
    assert ("glucose" in found.values) is (quality != BAD)


def test_no_number():
    found = cgm.reading(record(glucose="ff07"))
    assert (found.flags, found.quality) == (("glucose:nan",), BAD)


def test_sample():
    found = cgm.reading(cgm.decode(PLAIN)[0], None, CgmFeature(0, 9, 5, False))
    assert found.flags == ("sample-interstitial-fluid", "location-subcutaneous-tissue")
    assert cgm.reading(cgm.decode(PLAIN)[0], None, CgmFeature(0, 0, 15, False)).flags == ()
    found = cgm.reading(cgm.decode(PLAIN)[0], None, CgmFeature(0, 10, 4, False))
    assert "glucose" not in found.values
    assert "glucose:control-solution" in found.flags


def test_feature():
    found = cgm_session.decode_feature(bytes.fromhex("6e9e01168ac1"))
    assert found == CgmFeature(0x19E6E, 6, 1, True)
    assert cgm_session.decode_feature(bytes.fromhex("000000 59 ffff")) == CgmFeature(0, 9, 5, False)
    for wrong in ("6e9e01168ac0", "000000590000"):
        with pytest.raises(FrameError, match="bad_crc"):
            cgm_session.decode_feature(bytes.fromhex(wrong))


def test_status_octets():
    found = cgm_session.decode_status(bytes.fromhex("0500 01 02 03"))
    assert (found.time_offset_min, found.status, found.cal_temp, found.warning) == (5, 1, 2, 3)


def test_session_start():
    found = cgm_session.decode_session_start(bytes.fromhex("e20704180d0818 80 ff"))
    assert (found.tz_offset_min, found.dst_offset_min) == (None, None)
    assert cgm_session.decode_session_start(bytes.fromhex("e20704180d0818 f0 00")).tz_offset_min == -240


@pytest.mark.parametrize(
    ("decode", "raw"),
    [(cgm_session.decode_status, "0500010203"), (cgm_session.decode_session_start, "e20704180d08180804"),
     (cgm_session.decode_run_time, "0200"), (cgm_session.decode_ops, "1c0201"), (cgm_session.decode_ops, "030b"),
     (cgm_session.decode_ops, "1a"), (cgm_session.decode_ops, "06780005001146000100ff")],
)  # fmt: skip
def test_check_values(decode, raw):
    data = bytes.fromhex(raw)
    checked = e2e_crc.add(data)
    plain = decode(data)
    assert decode(data, False) == plain
    assert decode(checked) == plain
    assert decode(checked, True) == plain
    assert decode(checked, False) == plain  # octets after the known ones
    for crc in (True, None):
        with pytest.raises(FrameError, match="bad_crc"):
            decode(data + bytes((checked[-2] ^ 1, checked[-1])), crc)
    for end in range(len(checked)):
        with pytest.raises(FrameError, match="truncated"):
            decode(checked[:end], True)
    for end in range(len(data)):
        with pytest.raises(FrameError, match=r"truncated|bad_crc"):
            decode(data[:end])


def test_ops():
    assert cgm_session.decode_ops(bytes.fromhex("090cf0")).value == Decimal("1.2")
    assert cgm_session.decode_ops(bytes.fromhex("050300")).calibration_record == 3
    calibration = cgm_session.decode_ops(bytes.fromhex("0678000500114600 0100 02")).calibration
    assert calibration == cgm_session.CgmCalibration(Decimal(120), 5, 1, 1, 70, 1, 2)
    for limit in (0x07, 0x09, 0x0C, 0x0F, 0x12, 0x15, 0x18):
        assert cgm_session.decode_ops(bytes((limit, 0x78, 0))).value == 120
    for bare in (0x02, 0x08, 0x19, 0x1A, 0x1B):
        assert cgm_session.decode_ops(bytes((bare,))).op == bare
    for unknown in (0x00, 0x1D, 0xFF):
        with pytest.raises(FrameError, match="unsupported"):
            cgm_session.decode_ops(bytes((unknown, 0, 0)))
