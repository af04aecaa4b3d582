import subprocess
import sys

import msgspec
import pytest

from gatepost.drivers.driver import Registry, UnknownDriver
from gatepost.drivers.serial.lines.driver import Lines

NAMES = {
    "and-scale", "and-ua767pc", "astm-glucose", "contec-cms50-v7", "contec-cms50d-plus", "ds18b20", "lines",
    "modbus-rtu", "nmea0183", "onetouch-ultra2", "cas-scale", "mt-sics", "nonin", "oximeter-ascii",
}  # fmt: skip


def test_the_built_in_drivers_are_installed():
    registry = Registry.installed()
    assert set(registry.names) >= NAMES
    assert registry.get("lines") is Lines
    assert "lines" in registry
    with pytest.raises(UnknownDriver):
        registry.get("crystal-ball")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_driver_is_complete(name):
    driver = Registry.installed().get(name)
    assert driver.name == name
    assert driver.title
    assert driver.source
    assert driver.aggregation in ("last", "median")
    assert msgspec.json.schema(driver.options_type)["$defs"]
    for command in driver.commands:
        assert command.title
        msgspec.convert(command.example, command.parameters)


def test_a_driver_is_loaded_only_when_asked_for():
    code = (
        "import sys; from gatepost.drivers.driver import Registry; r = Registry.installed(); "
        "assert not any(m.startswith('gatepost.drivers.serial.') for m in sys.modules); r.get('contec-cms50d-plus'); "
        "assert 'serial' not in sys.modules and 'gatepost.drivers.serial.contec.v7_driver' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_driver_that_is_installed_later_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry.installed()
    assert "late-scale" not in registry
    (tmp_path / "late_scale.py").write_text("class LateScale:\n    name = 'late-scale'\n")
    folder = tmp_path / "late_scale-1.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("[gatepost.drivers]\nlate-scale = late_scale:LateScale\n")
    assert "late-scale" in registry
    assert "late-scale" in registry.names
    assert registry.get("late-scale").name == "late-scale"
    assert registry.get("lines").name == "lines"
