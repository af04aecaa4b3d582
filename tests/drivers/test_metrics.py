from gatepost.drivers.driver import Registry
from gatepost.drivers.metrics import METRICS, MOMENTARY, find

CONTRACT = {
    "blood_pressure": {"systolic", "diastolic", "mean", "heart_rate"},
    "cuff_pressure": {"pressure"},
    "pulse_oximetry": {"spo2", "heart_rate", "perfusion_index"},
    "heart_rate": {"heart_rate", "energy_expended", "rr_intervals"},
    "body_temperature": {"temperature"},
    "temperature": {"temperature"},
    "glucose": {"glucose"},
    "continuous_glucose": {"glucose"},
    "body_weight": {"weight", "height", "bmi"},
    "body_composition": {"body_fat", "muscle_mass", "body_water_mass", "impedance"},
    "ecg": set(),
    "acceleration": set(),
    "environment": {"temperature", "humidity", "pressure", "illuminance", "co2", "pm25", "pm10"},
}


def test_every_metric_and_value_of_the_contract_is_there():
    assert METRICS.keys() >= CONTRACT.keys()
    for name, values in CONTRACT.items():
        assert {value.name for value in METRICS[name].values} >= values
    assert {value.name for value in METRICS["acceleration"].waveforms} == {"x", "y", "z"}
    assert [value.name for value in METRICS["pulse_oximetry"].waveforms] == ["pleth", "infrared", "red"]


def test_codes():
    spo2 = find("pulse_oximetry", "spo2")
    assert (spo2.units, spo2.loinc, spo2.mdc) == (("%",), ("2708-6", "59408-5"), 150456)
    assert find("pulse_oximetry", "heart_rate").mdc != find("blood_pressure", "heart_rate").mdc
    assert find("glucose", "glucose").loinc_by_unit["mmol/L"] == "14743-9"
    assert find("body_weight", "weight").loinc == ("29463-7",)
    assert find("reading", "anything") is None
    assert find("body_weight", "anything") is None


def test_every_code_is_well_formed():
    for metric in METRICS.values():
        for value in (*metric.values, *metric.waveforms):
            for codes in (value, *value.by_flag.values()):
                assert (codes.mdc is None) == (codes.mdc_name == "")
                for code in (*codes.loinc, *codes.loinc_by_unit.values()):
                    digits, check = code.split("-")
                    assert _luhn(digits) == int(check), code
                assert set(codes.loinc_by_unit) <= set(value.units)


def test_names_and_kinds():
    for metric in METRICS.values():
        names = [value.name for value in (*metric.values, *metric.waveforms)]
        assert len(names) == len(set(names)), metric.name
        assert metric.kind in ("vital-signs", "laboratory", "procedure", "surroundings")
        for value in (*metric.values, *metric.waveforms):
            assert value.title
            assert value.kind in ("number", "list", "count", "text", "waveform")
            assert (value.kind == "waveform") == (value in metric.waveforms)
            assert value.unit == (value.units[0] if value.units else "")
    assert frozenset({"device_alarm", "event", "state"}) == MOMENTARY


def test_codes_by_site_and_sample():
    temperature = find("body_temperature", "temperature")
    assert temperature.codes(("low", "site-mouth")).loinc == ("8310-5", "8331-1")
    assert temperature.codes() is temperature
    assert all("8310-5" in codes.loinc for codes in temperature.by_flag.values())
    assert find("glucose", "glucose").codes(("sample-venous-plasma",)).loinc_by_unit == {}
    assert find("ecg", "aVR").mdc_name == "MDC_ECG_ELEC_POTL_AVR"
    assert [find("ecg", f"V{i}").mdc for i in range(1, 7)] == list(range(131331, 131337))


def test_drivers_name_metrics_of_the_catalogue():
    for driver in Registry.installed():
        assert set(driver.metrics) <= METRICS.keys()


def _luhn(digits):
    """LOINC's check digit: mod 10."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if i % 2 == 0 else 1)
        total += number // 10 + number % 10
    return -total % 10
