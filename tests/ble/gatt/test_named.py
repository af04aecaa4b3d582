"""Fields under the names of vectors, for what the open vectors do not hold."""

import pytest

from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.testing.vectors import NotBuilt, judge

PMD = "FB005C81-02E7-F387-1CAD-8ACD2D8DF0C8"
DATA = "FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8"
HEAD = "020094357700000000"


def gatt(name, raw, expect, context=None):
    return judge(
        {"kind": "gatt", "uuid": name, "input_hex": raw.replace(" ", ""), "context": context or {}, "expect": expect}
    )


def encode(name, request, output):
    return judge(
        {"kind": "encode", "uuid": name, "request": request, "expect": {"output_hex": output.replace(" ", "")}}
    )


@pytest.mark.parametrize(
    ("name", "raw", "expect"),
    [
        ("2A2B", "ea070b140a1e3b058001", {"datetime": [2026, 11, 20, 10, 30, 59], "day_of_week": 5, "fractions256": 128,
                                          "adjust_reason": 1}),
        ("2A0F", "80ff", {"tz_offset_min": None, "dst_offset_min": None}),
        ("2A0E", "f0", {"tz_offset_min": -240}),
        ("2A0D", "04", {"dst_offset_min": 60}),
        ("2A38", "01", {"location": 1}),
        ("2A49", "0f00", {"features": 15}),
        ("2A1E", "0025000000", {"unit": "C", "temperature": 37}),
        ("2A1D", "02", {"type": 2}),
        ("2A21", "2c01", {"interval_s": 300}),
        ("2A51", "0304", {"features": 1027}),
        ("2A35", "01 a0f0 ff07 0000", {"unit": "kPa", "systolic": 16, "diastolic": "NaN", "map": 0}),
        ("2A18", "03 0500 e807060f080f00 ff7f ff07 11", {"time_offset_min": None, "mg_dl": "NaN"}),
        ("2A34", "08 0500 ffff 64", {"exercise_s": None, "exercise_pct": 100}),
        ("2A5F", "03 6100 4b00 6200 4c00 6000 4a00", {"spo2_fast": 98, "pulse_rate_fast": 76, "spo2_slow": 96,
                                                      "pulse_rate_slow": 74}),
        ("2A60", "0300 e0ff ffff00", {"measurement_status_support": 0xFFE0, "sensor_status_support": 0xFFFF}),
        ("2A9D", "00ffff", {"unit": "kg", "weight": None}),
        ("2A9C", "0000ffff", {"unit": "kg", "body_fat_pct": None, "multiple_packet": False}),
        ("2A9E", "bf010000", {"features": 447}),
        ("2A9F", "200101 03", {"op": 32, "request_op": 1, "response_code": 1, "user_index": 3}),
        ("2A99", "01000000", {"change_increment": 1}),
        ("2A9A", "ff", {"user_index": None}),
        ("2A6E", "0080", {"temperature_c": None}),
        ("2A6F", "ffff", {"humidity_pct": None}),
        ("2A7B", "f6", {"dew_point_c": -10}),
        ("2A76", "07", {"uv_index": 7}),
        ("2A70", "e803", {"wind_speed_m_s": 10}),
        ("2A78", "0c00", {"rainfall_mm": 12}),
        ("2AA3", "01", {"pressure_trend": 1}),
        ("2AFB", "ffffff", {"illuminance_lx": None}),
        ("2B8C", "e204", {"co2_ppm": 1250}),
        ("2BD6", "1980", {"pm25_kg_m3": 2.5e-7}),
        ("2BD6", "ff07", {"pm25_kg_m3": "NaN"}),
        ("2BED", "02 2100 55", {"power_state": 33, "battery_pct": 85}),
        ("2A29", "4126442020", {"text": "A&D"}),
        ("2AA9", "0500 01 02 03", {"time_offset_min": 5, "status": 1, "cal_temp": 2, "warning": 3}),
        ("2AAC", "06 7800 0500 11 4600 0100 02", {"op": 6, "glucose_mg_dl": 120, "time_offset_min": 5, "type": 1,
                                                  "location": 1, "next_calibration_min": 70, "record_number": 1}),
        ("2A52", "01 04 01 0500 0900", {"op": 1, "operator": 4, "filter_type": 1, "low": 5, "high": 9}),
        ("2A52", "01 03 02 e807060f080f00", {"filter_type": 2, "value": [2024, 6, 15, 8, 15, 0]}),
        ("0AAD7EA0-0D60-11E2-8E3C-0002A5D5C51B", "0a081e000000107f01ff", {"spo2": None, "pulse_rate": None}),
        (PMD, "0f05", {"features": 5}),
        (PMD, "f0 01 00 00 00 00 01 8200 01 01 0e00", {"op": 1, "type": 0, "status": 0, "more": False,
                                                       "settings": {"rate_hz": [130], "resolution_bits": [14]}}),
        (DATA, HEAD + "81 0a00 fbff 0000 04 01 f20f", {"compressed": True, "frame_type": 1,
                                                       "samples_mg": [[10, -5, 0], [12, -6, -1]]}),
        (uuid("2a37"), "0055", {"heart_rate": 85}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_decoded(name, raw, expect):
    assert gatt(name, raw, expect) == ""


def test_a_factor_is_context():
    raw = HEAD + "80 f401 0cfe 0000"
    assert gatt(DATA, raw, {"samples_mg": [[125, -125, 0]]}, {"factor": 0.00025}) == ""


@pytest.mark.parametrize(
    ("name", "request_", "output"),
    [
        ("2A08", {"datetime": [2024, 2, 29, 23, 59]}, "e8 07 02 1d 17 3b 00"),
        ("2A2B", {"datetime": [2026, 11, 20, 10, 30, 59]}, "ea07 0b14 0a1e3b 05 00 00"),
        ("2A2B", {"datetime": [2026, 11, 20, 10, 30, 59], "fractions256": 128, "adjust_reason": 1},
         "ea070b140a1e3b058001"),
        ("2A0F", {"tz_offset_min": 60, "dst_offset_min": 60}, "0404"),
        ("2A52", {"procedure": "report", "operator": "range", "low": 1, "high": 9}, "0104 01 0100 0900"),
        ("2A52", {"procedure": "report", "operator": "range", "value": [1, 9]}, "0104 01 0100 0900"),
        ("2A52", {"procedure": "count", "operator": "le", "value": 7}, "0402 01 0700"),
        ("2A52", {"procedure": "report", "operator": "last"}, "0106"),
        ("2A52", {"procedure": "delete", "operator": "first"}, "0205"),
        ("2A52", {"procedure": "abort"}, "0300"),
        ("2A52", {"procedure": "report", "operator": "ge", "filter": "time", "value": [2024, 6, 15, 8, 15, 0]},
         "0103 02 e807060f080f00"),
        ("2A9F", {"op": "consent", "user_index": 2, "consent": 1234}, "0202d204"),
        (PMD, {"op": "get_settings", "type": 2}, "0102"),
        (PMD, {"op": "start", "type": 1, "rate_hz": 135, "channels": 4}, "0201 00018700 040104"),
    ],
)  # fmt: skip
def test_encoded(name, request_, output):
    assert encode(name, request_, output) == ""


@pytest.mark.parametrize(
    ("name", "request_"),
    [("2A52", {"procedure": "report", "operator": "near"}), ("2A52", {"procedure": "dance", "operator": "all"}),
     ("2A52", {"procedure": "report", "operator": "ge", "value": 70000}), ("2A52", {"procedure": "report"}),
     ("2A08", {"datetime": [70000, 1, 1, 0, 0, 0]}), (PMD, {"op": "dance", "type": 0}),
     (PMD, {"op": "start", "type": 0, "rate_hz": 70000})],
)  # fmt: skip
def test_requests_refused(name, request_):
    assert judge({"kind": "encode", "uuid": name, "request": request_, "expect_error": "any"}) == ""


def test_what_is_not_built():
    with pytest.raises(NotBuilt):
        gatt("2A5B", "00", {})
