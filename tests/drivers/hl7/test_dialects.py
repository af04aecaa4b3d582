"""hl7-monitor: messages as analysers and monitors of several makers send them."""

import msgspec
import pytest

from gatepost.drivers.metrics import METRICS
from gatepost.drivers.network.hl7.codes import BESIDE_VITAL_LOINC, VITAL_LOINC
from gatepost.drivers.network.hl7.driver import Hl7Monitor
from gatepost.drivers.network.hl7.options import Hl7Options
from gatepost.drivers.reading import Reading

HEAD = "MSH|^~\\&|BC||||20260727124424||ORU^R01|7|P|2.3.1||||||UNICODE"


def read(*items, service="00001", options=None, head=HEAD):
    lines = [head, "PID|1||4711||Doe^Jane", f"OBR|1|||{service}", *(f"OBX|1|{item}" for item in items)]
    decoder = Hl7Monitor(msgspec.convert(options or {}, Hl7Options)).decoder()
    return [item for item in decoder.feed(f"\x0b{chr(13).join(lines)}\r\x1c\r".encode()) if isinstance(item, Reading)]


@pytest.mark.parametrize(("sent", "value"), [("^5.4", 5.4), ("=^5", 5), (">^500", ">500"), ("1^:^128", "1:128")])
def test_a_structured_number_is_a_number_where_it_is_one(sent, value):
    (reading,) = read(f"SN|2339-0^Glucose^LN||{sent}|mg/dL|||||F")
    assert reading.values == {"glucose": value}


def test_a_blood_count_names_its_analytes_without_a_system():
    found = read(
        "NM|WBC||11.7|10*3/uL|||||F",
        "ST|HGB||LL|g/dL|||||F",
        "ST|MPV||---|fL|||||F",
        "NM|NEU#||8.02|10*3/uL||*|||F",
        "NM|NEU%||68.6|%||H|||F",
        "SN|CRP||<^5|mg/L|||||F",
        service="OBS",
        options={"names": {"HGB": "haemoglobin"}},
    )
    assert {reading.metric for reading in found} == {"laboratory"}
    assert [(reading.values, reading.flags, reading.quality) for reading in found] == [
        ({"wbc": 11.7}, (), "good"),
        ({"haemoglobin": "LL"}, (), "good"),
        ({}, ("mpv:not-measured",), "bad"),
        ({"neu_count": 8.02}, ("abnormal-marked",), "good"),
        ({"neu_percent": 68.6}, ("abnormal-h",), "good"),
        ({"crp": "<5"}, ("crp:under-range",), "uncertain"),
    ]
    assert [reading.units for reading in found[:2]] == [{"wbc": "10*3/uL"}, {}]


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        ("N", ()),
        ("~N", ()),
        ("H~N", ("abnormal-h",)),
        ("L~A", ("abnormal-l", "abnormal-a")),
        ("A~QUES", ("wbc:questionable", "abnormal-a")),
    ],
)
def test_several_marks_are_a_flag_each_and_normal_is_none(sent, flags):
    (reading,) = read(f"NM|6690-2^WBC^LN||9.55|10*9/L|4.00-10.00|{sent}|||F")
    assert (reading.values, reading.flags) == ({"wbc": 9.55}, flags)


def test_of_a_person_nothing_is_kept_and_modes_and_pictures_are_no_results():
    assert not read(
        "NM|30525-0^Age^LN||26|yr|||||F",
        "ST|01001^Remark^99MRC||Jane Doe||||||F",
        "IS|08001^Take Mode^99MRC||O||||||F",
        "IS|12011^WBC Abnormal scattergram^99MRC||T||||||F",
        "NM|15001^WBC Histogram. Left Line^99MRC||7||||||F",
        "NM|15010^WBC Lym left line.^99MRC||23||||||F",
        "ED|15000^WBC Histogram. Binary^99MRC||^Application^Octer-stream^Base64^AAAA||||||F",
    )


def test_older_ones_call_their_numbers_codes():
    first, second = read("IS|6690-2^WBC^LN||0.3|10*9/L|4.0-10.0|L~N|||F", "IS|789-8^RBC^LN||*****|10*12/L||~N|||F")
    assert (first.values, first.units, first.flags) == ({"wbc": 0.3}, {"wbc": "10*9/L"}, ("abnormal-l",))
    assert (second.values, second.flags, second.quality) == ({}, ("rbc:not-measured",), "bad")


@pytest.mark.parametrize(
    ("sent", "values", "flags"),
    [
        ("11,49", {"wbc": "11,49"}, ()),
        ("<0.5", {"wbc": "<0.5"}, ("wbc:under-range",)),
        ("-999", {}, ("wbc:not-measured",)),
        ("NaN", {}, ("wbc:not-measured",)),
        ("1e999", {}, ("wbc:not-measured",)),
    ],
)
@pytest.mark.parametrize("kind", ["NM", "ST"])
def test_what_is_no_number_stays_as_it_was_sent_and_what_stands_for_none_is_none(kind, sent, values, flags):
    (reading,) = read(f"{kind}|6690-2^WBC^LN||{sent}|10*9/L||||F")
    assert (reading.values, reading.flags, reading.units) == (values, flags, {})


@pytest.mark.parametrize("item", ["2||TBil", "||TBil", "TBil^^", "^TBil^M|1.1"])
def test_an_analyte_has_its_name_wherever_it_stands(item):
    code, _, sub_id = item.partition("|")
    (reading,) = read(f"NM|{code}|{sub_id.strip('|')}|100| umol/L |-|N|||F")
    assert (reading.metric, reading.values, reading.units) == ("laboratory", {"tbil": 100}, {"tbil": "umol/L"})


def test_a_number_without_a_system_is_no_code_of_mdc():
    (reading,) = read("NM|101^HR|2101|60||||||F", "NM|160^SpO2|2103|98|%|||||F", "NM|172^Mean|2105|-10000||||||F")
    assert (reading.metric, reading.values) == ("reading", {"hr": 60, "spo2": 98})
    assert reading.flags == ("mean:not-measured",)


def test_the_number_of_a_patient_or_bed_is_no_measurement():
    assert not read("ST|2301^||4711||||||F", "ST|2308^BedNoStr||12||||||F", "CE|2302^Blood||0^N||||||F")
    (reading,) = read("ST|2^ALT||98|U/L|||||F")
    assert reading.values == {"alt": 98}


def test_codes_of_mdc_go_before_those_of_another_system():
    (reading,) = read(
        "NM|8889-8^Heart Rate^LN^149530^MDC_PULS_OXIM_PULS_RATE^MDC|1.11.2.3|55|{beats}/min^beats^UCUM|||||R",
        "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC^20564-1^SpO2^LN|1.11.2.1|95|%^percent^UCUM|||||R",
    )
    assert (reading.metric, reading.values) == ("pulse_oximetry", {"heart_rate": 55, "spo2": 95})
    assert reading.units == {"heart_rate": "/min", "spo2": "%"}


def test_a_pulse_with_the_code_of_an_arterial_one_is_that_of_its_name():
    (reading,) = read("NM|149522^MDC_PULS_RATE^MDC|1.0.0.149522|59|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||F")
    assert (reading.values, reading.flags) == ({"heart_rate": 59}, ("heart_rate:code-mismatch",))


@pytest.mark.parametrize("waveforms", [False, True])
def test_what_belongs_to_a_waveform_is_no_measurement(waveforms):
    found = read(
        "NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.7.6.131329|80^88^92|||||||||20260124131539250+0800",
        "NM|0^MDC_ATTR_SAMP_RATE^MDC|1.7.6.131329.1|500|264640^MDC_DIM_HZ^MDC",
        "NM|2327^MDC_ATTR_NU_MSMT_RES^MDC|1.7.6.131329.2|0.001221|266418^MDC_DIM_MILLI_VOLT^MDC",
        "NM|262196^MDC_EVT_INOP^MDC|1.7.6.131329.3|0",
        options={"waveforms": waveforms},
    )
    assert [(reading.metric, reading.device_time) for reading in found] == [("ecg", "2026-01-24T13:15:39")] * waveforms


def test_vital_signs_are_known_by_loinc_too():
    found = read(
        "NM|8480-6^NBP Systolic^LN||120|mmHg|90-140|N|||F",
        "NM|8462-4^NBP Diastolic^LN||80|mmHg|||||F",
        "NM|8867-4^Heart Rate^LN||72|bpm^beats/min^UCUM|||||F",
        "NM|59408-5^SpO2^LN||98|%|||||F",
        "NM|8310-5^Temperature^LN||98.6|degF|||||F",
        "NM|9279-1^Respiratory Rate||16|{breaths}/min^breaths^UCUM|||||F",
    )
    assert [(reading.metric, reading.values, reading.units) for reading in found] == [
        ("blood_pressure", {"systolic": 120, "diastolic": 80}, {"systolic": "mm[Hg]", "diastolic": "mm[Hg]"}),
        ("heart_rate", {"heart_rate": 72}, {"heart_rate": "/min"}),
        ("pulse_oximetry", {"spo2": 98}, {"spo2": "%"}),
        ("body_temperature", {"temperature": 98.6}, {"temperature": "[degF]"}),
        ("respiration", {"respiration_rate": 16}, {"respiration_rate": "/min"}),
    ]


def test_what_a_blood_gas_analyser_sends_is_of_the_laboratory():
    found = read(
        "NM|2708-6^sO2^LN||97.1|%||N|||F",
        "NM|8310-5^Temp^LN||37.0|Cel|||||F",
        "FT|^^^pH^pH^NOVABIO^M||7.415||7.310 to 7.410|H|||F",
        "FT|^^^Note^Note^NOVABIO^M||clotted: Jane Doe|||||F",
    )
    assert {reading.metric for reading in found} == {"laboratory"}
    assert [reading.values for reading in found] == [{"so2": 97.1}, {"temp": 37.0}, {"ph": 7.415}]
    assert found[2].flags == ("abnormal-h",)


def test_the_loinc_codes_are_those_of_the_catalogue():
    for code, meaning in {**VITAL_LOINC, **BESIDE_VITAL_LOINC}.items():
        known = METRICS[meaning.metric].value(meaning.value)
        assert known is not None
        assert code in (*known.loinc, "8889-8")  # the pulse of an oximeter


def test_a_pressure_in_the_skull_may_be_below_zero():
    (reading,) = read("NM|153611^MDC_PRESS_INTRA_CRAN_MEAN^MDC|1.1.8.153611|-2|266016^MDC_DIM_MMHG^MDC|||||R")
    assert (reading.metric, reading.values, reading.flags) == ("invasive_pressure", {"mean": -2}, ("site-icp",))


@pytest.mark.parametrize(
    ("kind", "flags"), [("0", ()), ("", ()), ("NE", ()), ("1", ("quality-control",)), ("2", ("quality-control",))]
)
def test_controls_of_a_chemistry_analyser_are_no_patients(kind, flags):
    (reading,) = read(
        "NM|0|WBC|7.1|10*9/L|4.0-10.0|0|0|0|",
        head=f"MSH|^~\\&|Mindray|BS-200|||20250101||ORU^R01|1|P|2.3.1||||{kind}||ASCII",
    )
    assert (reading.values, reading.flags) == ({"wbc": 7.1}, flags)
