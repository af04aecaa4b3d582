"""Rules for a device: its driver and that driver's options, its port, its brokers, its thresholds."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as types

from gatepost.agent.settings.problem import Path, closest, dotted, in_words, listed, meant, quoted
from gatepost.agent.settings.rules.base import RuleContext
from gatepost.agent.settings.yaml.nodes import MapNode
from gatepost.agent.settings.yaml.scalars import WRONG
from gatepost.drivers.options import DriverOptions, WrongOptions
from gatepost.drivers.serial.port.port_url import PORT_URLS, url_fault

if TYPE_CHECKING:
    from gatepost.drivers.driver import Driver

GATEWAY = "gateway"  # what the gateway itself is called where a device could stand
_LIKE_A_NAME = re.compile(r"[^\W\d_]{2}[ ,]+[^\W\d_]{2}")  # two letters are enough, and linear in the text
_LIKE_A_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-./]?)[01]\d\1[0-3]\d|[0-3]?\d([-./])[01]?\d\2(?:19|20)?\d\d)(?!\d)"
)
_LINE_KEYS = ("port", "baudrate", "parity", "stopbits", "bytesize", "flow", "rts", "dtr")
_RADIO_KEYS = ("address", "name", "adapter")
_NO_EFFECT = {
    "serial": _RADIO_KEYS,
    "ble": _LINE_KEYS,
    "w1": (*_RADIO_KEYS, *_LINE_KEYS[1:]),
    "mqtt": (*_RADIO_KEYS, *_LINE_KEYS),
}
_NEED_PORT = {
    "serial": ("a serial device needs a port", "add `port: /dev/serial/by-id/...`"),
    "w1": ("a 1-wire sensor needs a port", "add `port: 28-...`, its name under /sys/bus/w1/devices"),
}


def check_devices(rules: RuleContext, written: dict[str, MapNode]) -> None:
    """`written` holds the options of each device as they stand in the files."""
    for name, device in rules.section("devices").items():
        path = ("devices", name)
        _check_driver(rules, path, device, written.get(name))
        if device.get("stopbits") not in (None, 1, 1.5, 2):
            rules.error((*path, "stopbits"), "bad-choice", "expected 1, 1.5 or 2", "")
        _check_brokers(rules, path, device)
        _check_thresholds(rules, path)
        _check_patient(rules, path, device)
    _check_names(rules)
    _check_ports(rules)
    _check_addresses(rules)
    _check_carriers(rules)


def _check_patient(rules: RuleContext, path: Path, device: dict[str, Any]) -> None:
    """A pseudonym is asked for; what looks like a person is only warned about, for it may be one all the same."""
    text = device.get("patient")
    if not isinstance(text, str):
        return
    looks = "a name" if _LIKE_A_NAME.search(text) else "a date of birth" if _LIKE_A_DATE.search(text) else ""
    if looks:
        here = (*path, "patient")
        hint = "use a reference that only your own system can resolve, such as P-001"
        rules.report.warn(rules.checker.key_of(here), here, "patient-named", f"this looks like {looks}", hint)


def _check_names(rules: RuleContext) -> None:
    for name in rules.names("devices"):
        if name == GATEWAY and rules.written(("devices", name)):
            path = ("devices", name)
            message = "no device can be called gateway: commands and commands.allow mean the gateway itself by that"
            rules.report.error(rules.checker.key_of(path), path, "reserved-name", message, "give it another name")


def _check_driver(rules: RuleContext, path: Path, device: dict[str, Any], options: MapNode | None) -> None:
    name = device.get("driver")
    if name is None:
        return
    here = (*path, "driver")
    if name not in rules.registry:
        near = meant(name, rules.registry.names)
        hint = f"did you mean {listed(near)}?" if near else "`gatepost drivers` lists them"
        rules.error(here, "unknown-driver", f"there is no driver {quoted(name)}", hint)
        return
    try:
        driver = rules.registry.get(name)
        kind = rules.options.get(name) or types.type_info(driver.options_type)
    except Exception as error:  # a driver of another package may fail in any way
        message = f"the driver {name} cannot be loaded: {type(error).__name__}: {error}"
        rules.error(here, "driver-broken", message, "reinstall the package that brings it")
        return
    rules.drivers[path[1]] = driver
    rules.options[name] = kind
    before = len(rules.report.problems)
    tree = options or MapNode({}, rules.where(path))
    values = rules.checker.check(tree, kind, (*path, "options"))
    if options is None:
        rules.checker.origins.pop((*path, "options"), None)  # nobody wrote them: `default`
    if values is not WRONG:
        wrong = {problem.key for problem in rules.report.problems[before:]}
        _build_options(rules, path, driver, values, wrong)
    if values is not WRONG and options is not None:
        device["options"] = values
    _check_transport(rules, path, device, driver.transport)


def _build_options(
    rules: RuleContext, path: Path, driver: type[Driver], values: dict[str, Any], wrong: set[str]
) -> None:
    """What the driver itself has to say, for example about two options that exclude each other. `wrong` are keys that
    were reported already: what rests on them is not judged."""
    here = (*path, "options")
    # What a reference leads to is known only where the agent runs.
    values = {
        name: value
        for name, value in values.items()
        if not (isinstance(value, dict) and (*here, name) in rules.checker.secrets)
    }
    start = dotted(here) + "."
    known = {key.removeprefix(start).partition(".")[0] for key in wrong}
    try:
        options = msgspec.convert(values, driver.options_type)
        found = options.problems() if isinstance(options, DriverOptions) else []
        if not wrong:
            rules.built[path[1]] = options
    except Exception as error:  # the code of a driver, which may be of another package
        cause = error.__cause__
        if not isinstance(cause, WrongOptions):
            if not wrong:
                _option_error(rules, here, str(error), values)
            return
        found = cause.problems
    for problem in found:
        if known.isdisjoint((*problem.about, *problem.path[:1])):
            hint = problem.hint or "`gatepost drivers` explains the options"
            told, code = (rules.warn, "no-effect") if problem.warning else (rules.error, "bad-option")
            told((*here, *problem.path), code, problem.message.removesuffix(f": {hint}"), hint)  # said once


def _option_error(rules: RuleContext, here: Path, text: str, values: dict[str, Any]) -> None:
    """At the place that the text of an exception names."""
    message, _, spot = text.partition(" - at `$")
    inner = tuple(part for part in spot.rstrip("`").replace("[", ".").replace("]", "").split(".") if part)
    named = [name for name in re.findall(r"`([a-z_]+)`", message) if name in values]
    rules.error(
        (*here, *(inner or named[:1])), "bad-option", in_words(message), "`gatepost drivers` explains the options"
    )


def _check_transport(rules: RuleContext, path: Path, device: dict[str, Any], transport: str) -> None:
    if transport in _NEED_PORT and "port" not in device and not rules.written((*path, "port")):
        if rules.whole and not _carrier_of(rules, path[1]):
            where = rules.checker.key_of(path)
            message, hint = _NEED_PORT[transport]
            rules.report.error(where, (*path, "port"), "missing", message, hint)
    elif transport == "ble" and not any(rules.written((*path, key)) for key in ("address", "name")) and rules.whole:
        where = rules.checker.key_of(path)
        hint = 'add `address: "AA:BB:CC:DD:EE:FF"` or `name: ...`'
        rules.report.error(where, (*path, "address"), "missing", "a Bluetooth device needs an address or a name", hint)
    for key in _NO_EFFECT.get(transport, ()):
        if key in device:
            message = f"{key} does not apply to a {transport} device"
            rules.warn((*path, key), "no-effect", message, "remove it")


def _check_brokers(rules: RuleContext, path: Path, device: dict[str, Any]) -> None:
    for index, name in enumerate(device.get("brokers") or []):
        rules.check_broker((*path, "brokers", str(index)), name)
    if "brokers" in device and not device["brokers"]:
        hint = "remove the key to send its readings to every broker"
        rules.warn((*path, "brokers"), "no-broker", "its readings are stored and sent nowhere", hint)


def _check_thresholds(rules: RuleContext, path: Path) -> None:
    thresholds = rules.section(*path, "thresholds")
    names = _value_names(rules, path[1]) if thresholds else ()
    for value, threshold in thresholds.items():
        here = (*path, "thresholds", value)
        if names and value not in names:
            near = meant(value, names)
            hint = f"did you mean {listed(near)}?" if near else f"it has {', '.join(names)}"
            message = f"this device reports no value {quoted(value)}, as far as is known"
            rules.report.warn(rules.checker.key_of(here), here, "unknown-value", message, hint)
        low, high = threshold.get("min"), threshold.get("max")
        if low is not None and high is not None and low >= high:
            message = f"min {low} is not below max {high}"
            rules.error(here, "bad-threshold", message, "exchange them")
        elif not threshold and not any(rules.checker.keys.get((*here, key)) for key in ("min", "max")):
            rules.warn(here, "no-effect", "a threshold without min or max", "add one of them")


def _value_names(rules: RuleContext, name: str) -> tuple[str, ...]:
    """What the values of a device can be called; empty when that cannot be known."""
    if name not in rules.drivers:
        return ()
    try:
        return tuple(rules.drivers[name].value_names(rules.built.get(name)))
    except Exception:  # the code of a driver of another package; it is only about a warning
        return ()


def _check_ports(rules: RuleContext) -> None:
    """A port belongs to one device; two names of one port are one port."""
    seen: dict[str, str] = {}
    for name, device in rules.section("devices").items():
        port = device.get("port")
        if port is None:
            continue
        path = ("devices", name, "port")
        if rules.drivers.get(name) is not None and rules.drivers[name].transport == "w1":
            _only_one(rules, seen, name, f"w1:{port.rstrip('/').removesuffix('/w1_slave').rpartition('/')[2]}", "port")
            continue
        if fault := _port_fault(port):
            rules.error(path, "bad-port", *fault)
        elif not port.startswith("loop://"):  # each loop:// is a loop of its own
            _only_one(rules, seen, name, port if "://" in port else _real(port), "port")


def _check_addresses(rules: RuleContext) -> None:
    """A peripheral that is connected belongs to one device; an advertisement may be heard by several."""
    seen: dict[str, str] = {}
    for name, device in rules.section("devices").items():
        address = device.get("address")
        driver = rules.drivers.get(name)
        if address is not None and driver is not None and not getattr(driver, "advertisement", False):
            _only_one(rules, seen, name, str(address).upper(), "address")


def _carrier_of(rules: RuleContext, name: str) -> str:
    """The device whose connection carries this one, where its driver can listen; empty = it has a port of its own."""
    driver = rules.drivers.get(name)
    if driver is None or driver.transport != "serial" or not hasattr(driver.options_type, "via"):
        return ""
    return str(rules.section("devices", name, "options").get("via") or "")


def _check_carriers(rules: RuleContext) -> None:
    for name in rules.section("devices"):
        via = _carrier_of(rules, name)
        if not via or not rules.whole:
            continue
        path = ("devices", name, "options", "via")
        carrier = rules.section("devices").get(via)
        port = (carrier or {}).get("port")
        if via == name or carrier is None:
            near = closest(via, rules.names("devices"))
            hint = f"did you mean {near}?" if near and near != name else "name the device whose port it is"
            rules.error(path, "unknown-device", f"there is no other device {quoted(via)}", hint)
        elif not _may_listen(port) if port else not rules.written(("devices", via, "port")):
            rules.error(path, "bad-option", f"devices.{via} does not listen", "its `port` must be listen://...")
        elif carrier.get("driver") != rules.section("devices", name).get("driver"):
            rules.error(path, "bad-option", f"devices.{via} has another driver", "both must have the same driver")
        if "port" in rules.section("devices", name):
            rules.error(("devices", name, "port"), "bad-option", "a device with `via` has no port", "remove `port`")


def _may_listen(port: str) -> bool:
    """Also where it is no port at all, which is told at the port."""
    return not port.startswith("/") and (port.startswith("listen://") or bool(_port_fault(port)))


def _port_fault(port: str) -> tuple[str, str] | None:
    """What is wrong with the text of a serial device's port, and what may stand there."""
    scheme, mark, _ = port.partition("://")
    if fault := url_fault(port):
        near = None if scheme in PORT_URLS else closest(scheme, PORT_URLS)
        return fault[0], f"did you mean {near}://?" if near else fault[1]
    if not mark and not port.startswith("/"):
        hint = f"write /dev/{port}" if port.startswith("tty") else "write a path such as /dev/ttyUSB0, or a URL"
        return f"{quoted(port)} is not a serial port path", hint
    return None


def _only_one(rules: RuleContext, seen: dict[str, str], name: str, place: str, key: str) -> None:
    other = seen.setdefault(place, name)
    if other != name:
        spot = rules.where(("devices", other, key))
        message = f"devices.{other} has the same {key} ({spot})"
        article = "an" if key == "address" else "a"
        rules.error(("devices", name, key), f"same-{key}", message, f"{article} {key} belongs to one device")


def _real(port: str) -> str:
    try:
        return os.path.realpath(port)
    except (OSError, ValueError):
        return port
