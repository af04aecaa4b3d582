"""Rules for devices on the connection of another: `options.via` of drivers that a device connects to."""

import pytest

from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry

WARD = "  ward: {driver: hl7-monitor, port: 'listen://127.0.0.1:2575?allow=10.0.0.0/8'}\n"
BED = "  bed: {driver: hl7-monitor, options: {via: %s, match: {bed: '5'}}}\n"


@pytest.fixture
def problems(tmp_path):
    registry = Registry.installed()

    def found(devices):
        path = tmp_path / "gatepost.yaml"
        path.write_text("devices:\n" + devices)
        loaded = load(path, {}, registry, tmp_path / "own")
        return {(problem.code, problem.key) for problem in loaded.errors}

    return found


def test_a_bed_on_the_connection_of_its_ward(problems):
    assert problems(WARD + BED % "ward") == set()


def test_nobody_is_there(problems):
    assert problems(WARD + BED % "wart") == {("unknown-device", "devices.bed.options.via")}
    assert problems(BED % "bed") == {("unknown-device", "devices.bed.options.via")}


def test_the_other_must_listen_and_have_the_same_driver(problems):
    serial = "  ward: {driver: hl7-monitor, port: /dev/ttyS0}\n"
    assert problems(serial + BED % "ward") == {("bad-option", "devices.bed.options.via")}
    other = WARD.replace("hl7-monitor", "lines")
    assert ("bad-option", "devices.bed.options.via") in problems(other + BED % "ward")


@pytest.mark.parametrize(
    "port", ["lisen://127.0.0.1:2575?allow=10.0.0.0/8", "listen:/127.0.0.1", "listen://127.0.0.1:2575"]
)
def test_a_mistyped_port_is_told_once(problems, port):
    assert problems(WARD.replace("listen://127.0.0.1:2575?allow=10.0.0.0/8", port) + BED % "ward") == {
        ("bad-port", "devices.ward.port")
    }


def test_it_has_no_port_of_its_own_and_says_what_is_meant(problems):
    both = BED.replace("driver", "port: /dev/ttyS1, driver") % "ward"
    assert problems(WARD + both) == {("bad-option", "devices.bed.port")}
    without = "  bed: {driver: hl7-monitor, options: {via: ward}}\n"
    assert problems(WARD + without) == {("bad-option", "devices.bed.options.via")}
    strange = "  bed: {driver: hl7-monitor, options: {via: ward, match: {colour: blue}}}\n"
    assert problems(WARD + strange) == {("bad-option", "devices.bed.options.match.colour")}
