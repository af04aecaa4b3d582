"""`lines` with a waveform: one moment a line, and what is missing between the samples."""

import msgspec
import pytest

from gatepost.drivers.serial.lines.driver import Lines, LinesOptions
from gatepost.drivers.testing.vectors.ecg import AD8232_FIELDS, AD8232_PATTERN

AD8232 = {
    "format": "regex",
    "pattern": AD8232_PATTERN,
    "metric": "ecg",
    "fields": msgspec.to_builtins(AD8232_FIELDS),
    "waveform": {"rate_hz": 4},
}


def decoder(**given):
    return Lines(msgspec.convert({**AD8232, **given}, LinesOptions)).decoder()


def blocks(found):
    return [(r.values, r.waveform and r.waveform.samples, r.flags) for r in found]


def test_a_number_a_line_becomes_a_curve():
    (reading,) = decoder(first_line="keep").feed(b"512\n 513 \r\n-5\n514\n600\n")
    assert reading.metric == "ecg"
    assert reading.values == {"channel": "ecg"}
    wave = reading.waveform
    assert (wave.samples, wave.rate_hz, wave.unit, wave.scale) == ([512, 513, -5, 514], 4, "{raw}", 1.0)


def test_the_first_line_may_be_cut_and_is_left_out():
    (reading,) = decoder().feed(b"12\n1\n2\n3\n4\n")
    assert (reading.waveform.samples, reading.flags) == ([1, 2, 3, 4], ())


def test_leads_off_say_so_once_a_second_and_leave_a_gap_of_known_length():
    one = decoder(first_line="keep")
    found = one.feed(b"1\n!\n!\n!\n!\n5\n6\n7\n")
    assert blocks(found) == [
        ({"channel": "ecg"}, [1], ()),
        ({"channel": "ecg"}, None, ("ecg:lead-off",)),
        ({"channel": "ecg"}, None, ("ecg:lead-off",)),
        ({"channel": "ecg", "lost_samples": 4}, [5, 6, 7], ("gap",)),
    ]
    assert one.faults.total == 0


@pytest.mark.parametrize(
    ("bad", "kind"),
    [(b"51 2x", "no-match"), (b"1.5", "no-match"), (b"9" * 99, "too-long"), (b"9" * 30, "not-a-sample")],
)
def test_a_line_that_does_not_fit_leaves_a_gap(bad, kind):
    one = decoder(first_line="keep", max_line=50)
    found = one.feed(b"1\n2\n" + bad + b"\n3\n4\n5\n6\n")
    assert blocks(found) == [({"channel": "ecg"}, [1, 2], ()), ({"channel": "ecg"}, [3, 4, 5, 6], ("gap",))]
    assert one.faults.counts == {kind: 1}


def test_several_curves_with_scales_from_json_and_csv():
    fields = {"a": {"scale": 0.5, "offset": 1, "unit": "mV"}, "/b/0": {"name": "II"}}
    one = decoder(format="json", pattern="", fields=fields, waveform={"rate_hz": 2}, first_line="keep")
    found = one.feed(b'{"a": 1, "b": [7], "c": 9}\n{"a": 2.0, "b": [null]}\n{"a": 3, "b": [8]}\n{"a": 3, "b": [8]}\n')
    assert blocks(found)[:3] == [
        ({"channel": "II"}, [7], ()),
        ({"channel": "II"}, None, ("II:nan",)),
        ({"channel": "a"}, [1, 2], ()),
    ]
    assert blocks(found)[-1] == ({"channel": "II", "lost_samples": 1}, [8, 8], ("gap",))
    wave = next(r for r in found if r.values["channel"] == "a").waveform
    assert (wave.scale, wave.offset, wave.unit) == (0.5, 1, "mV")
    fields = {"a": {}, "b": {}}
    one = decoder(format="csv", pattern="", columns=["a", "b"], fields=fields, waveform={"rate_hz": 2})
    found = one.feed(b"x\na,b\n1,2\n3,4\n")
    assert blocks(found) == [({"channel": "a"}, [1, 3], ()), ({"channel": "b"}, [2, 4], ())]


@pytest.mark.parametrize("line", [b'{"a": 1.5}', b'{"a": "x"}', b'{"b": 1}', b'{"a": true}', b'{"a": 1e300}'])
def test_what_is_no_sample_is_counted(line):
    one = decoder(format="json", pattern="", fields={"a": {}}, first_line="keep")
    assert one.feed(line + b"\n") == []
    assert one.faults.counts == {"not-a-sample": 1}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"fields": {}}, "needs `fields`"),
        ({"waveform": {"rate_hz": 0}}, "rate_hz"),
        ({"waveform": {"rate_hz": float("inf")}}, "rate_hz"),
        ({"waveform": {}}, "rate_hz"),
        ({"fields": {"ecg": {"invalid_means": "Lead off"}}}, "invalid_means"),
    ],
)
def test_options_that_cannot_work(given, says):
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({**AD8232, **given}, LinesOptions)


def test_a_device_time_has_no_effect_and_is_warned_about():
    given = {**AD8232, "device_time": "ecg"}
    assert [p.warning for p in msgspec.convert(given, LinesOptions).problems()] == [True]
    assert Lines.value_names(msgspec.convert(AD8232, LinesOptions)) == ("lost_samples",)


def test_the_twin_prints_a_curve_at_its_rate():
    options = msgspec.convert({**AD8232, "waveform": {"rate_hz": 500}}, LinesOptions)
    twin = Lines.twin(options)
    assert twin.interval == pytest.approx(0.04)
    one = Lines(options).decoder()
    found = [item for _ in range(51) for item in one.feed(twin.tick())]
    assert [len(r.waveform.samples) for r in found] == [500, 500]
    assert one.faults.total == 0
