"""Options of `lines`: every mistake at once, each with its place; what the values can be called."""

import msgspec
import pytest

from gatepost.drivers.driver import Driver, Registry
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.serial.lines.driver import Lines, LinesOptions

CSV = {"format": "csv", "columns": ["a", "b"]}
REGEX = {"format": "regex", "pattern": "(?P<t>[0-9]+)"}


def problems(**settings):
    try:
        return msgspec.convert(settings, LinesOptions).problems()
    except msgspec.ValidationError as error:
        wrong = error.__cause__
    return wrong.problems if isinstance(wrong, WrongOptions) else []


@pytest.mark.parametrize(
    ("settings", "path", "says"),
    [
        ({**CSV, "fields": {"c": {}}}, ("fields", "c"), "no column 'c'"),
        ({**CSV, "fields": {"/c/0": {}}}, ("fields", "/c/0"), "no column 'c'"),
        ({**CSV, "device_time": "when"}, ("device_time",), "no column 'when'"),
        ({**REGEX, "fields": {"temperature": {}}}, ("fields", "temperature"), "no group 'temperature'"),
        ({"others": "drop"}, ("others",), "nothing to report"),
        ({"device_time": "t", "device_time_format": "%Q"}, ("device_time_format",), "strptime"),
        ({"encoding": "hex"}, ("encoding",), "not known"),
        ({"encoding": "ascii", "line_end": "\u00e9"}, ("line_end",), "cannot be written"),
    ],
)
def test_what_cannot_work_is_an_error_at_its_place(settings, path, says):
    (problem,) = problems(**settings)
    assert (problem.path, problem.warning) == (path, False)
    assert says in problem.message


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"columns": ["a"]}, "columns"),
        ({"pattern": "(?P<t>x)"}, "pattern"),
        ({"delimiter": ";"}, "delimiter"),
        ({**REGEX, "delimiter": ";"}, "delimiter"),
        ({**CSV, "separator": ":"}, "separator"),
        ({"device_time_format": "%H"}, "device_time_format"),
    ],
)
def test_what_has_no_effect_is_a_warning(settings, name):
    (problem,) = problems(**settings)
    assert (problem.path, problem.warning) == ((name,), True)
    assert "no effect" in problem.message


def test_all_mistakes_at_once():
    found = problems(encoding="klingon", max_line=-3, columns=["a", "a"])
    assert [(problem.path, problem.warning) for problem in found] == [
        (("columns",), False),
        (("encoding",), False),
        (("max_line",), False),
        (("columns",), True),
    ]


def test_a_near_miss_is_named():
    (problem,) = problems(format="csv", columns=["temperature"], fields={"temprature": {}})
    assert problem.hint == "did you mean temperature?"


@pytest.mark.parametrize(
    "settings",
    [
        {**CSV, "fields": {"a": {}, "/b": {}}, "device_time": "b"},
        {**REGEX, "fields": {"t": {"unit": "Cel"}}},
        {"fields": {"/data/0/t": {}}, "others": "drop"},
        {"device_time": "t", "device_time_format": "%d/%m/%y %H:%M:%S"},
        {"format": "keyvalue", "delimiter": ";", "separator": ":"},
        {"encoding": "latin-1", "line_end": "\u00e9"},
    ],
)
def test_what_works_is_no_problem(settings):
    assert problems(**settings) == []


@pytest.mark.parametrize("metric", ["", "a b", "a/b", "a+", "#", "x" * 65, "a\u00e9"])
@pytest.mark.parametrize("name", ["lines", "and-scale"])
def test_a_metric_is_a_plain_name(name, metric):
    kind = Registry.installed().get(name).options_type
    with pytest.raises(msgspec.ValidationError, match="metric"):
        msgspec.convert({"metric": metric}, kind)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ()),
        ({"fields": {"t": {"name": "temperature"}}}, ()),
        ({"fields": {"t": {"name": "temperature"}, "/data/0/h": {}}, "others": "drop"}, ("temperature", "h")),
        ({**CSV, "fields": {"a": {"name": "x"}}}, ("b", "x")),
        ({**CSV, "device_time": "a"}, ("b",)),
        (REGEX, ("t",)),
    ],
)
def test_the_names_of_values_where_the_options_fix_them(settings, names):
    assert Lines.value_names(msgspec.convert(settings, LinesOptions)) == names


def test_the_names_of_values_are_those_of_the_catalogue_or_the_drivers_own():
    registry = Registry.installed()
    oximetry = ("spo2", "heart_rate", "perfusion_index", "sequence_number")
    assert registry.get("contec-cms50-v7").value_names() == oximetry
    assert registry.get("contec-cms50d-plus").value_names() == ("spo2", "heart_rate", "sequence_number")
    assert "weight" in registry.get("and-scale").value_names()

    class Strange(Lines):
        metrics = ("pulse_oximetry", "acme")

    assert Driver.value_names.__func__(Strange) == ()  # a metric that the catalogue does not know


@pytest.mark.parametrize("driver", list(Registry.installed()), ids=lambda driver: driver.name)
def test_every_option_and_parameter_is_described_and_the_example_works(driver):
    def described(kind):
        for field in msgspec.inspect.type_info(kind).fields:
            told = field.type
            assert isinstance(told, msgspec.inspect.Metadata), field.name
            assert (told.extra_json_schema or {}).get("description"), field.name
            while isinstance(told, msgspec.inspect.Metadata):
                told = told.type
            if isinstance(told, msgspec.inspect.DictType) and isinstance(told.value_type, msgspec.inspect.StructType):
                described(told.value_type.cls)
            if isinstance(told, msgspec.inspect.ListType) and isinstance(told.item_type, msgspec.inspect.StructType):
                described(told.item_type.cls)

    described(driver.options_type)
    for command in driver.commands:
        described(command.parameters)
    options = msgspec.convert(driver.example_options, driver.options_type)
    assert driver.example_options or not msgspec.structs.fields(driver.options_type)
    driver(options).decoder()
