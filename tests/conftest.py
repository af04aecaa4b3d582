"""Rules for every test: marks by folder, Ctrl-C as a terminal gives it, no thread left behind."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

GONE = 5.0  # seconds for a thread that was told to end

# Mark -> beginnings of test ids. What has none of these marks is `quick`.
MARKS = {
    "browser": ("tests/browser/",),
    "broker": (
        "tests/api/test_messages.py",
        "tests/fleet/test_acl.py::test_a_gateway_under",
        "tests/fleet/test_controller.py",
        "tests/fleet/test_demo.py",
        "tests/fleet/test_postgres_sink.py",
        "tests/fleet/test_sources.py",
        "tests/fleet/test_verbs.py",
        "tests/integration/",
        "tests/tools/test_helpers.py",
        "tests/listener/test_broker_source.py",
        "tests/uplink/test_carried.py",
        "tests/uplink/test_connection.py",
        "tests/uplink/test_connection_tls.py",
        "tests/uplink/test_dialects.py",
        "tests/uplink/test_uplink.py",
    ),
    "soak": (
        "tests/api/test_csv.py::test_history_as_csv_is_whole_and_one_row_a_value",
        "tests/api/test_schema_fuzz.py",
        "tests/ble/gatt/test_fuzz.py",
        "tests/ble/link/test_adapter.py::test_a_stuck_adapter",
        "tests/ble/link/test_chaos.py",
        "tests/ble/link/test_connecting.py::test_others_connect_after_one_that_vanished",
        "tests/ble/profiles/test_bus.py",
        "tests/ble/twin/test_agent.py",
        "tests/ble/twin/test_faults.py",
        "tests/cli/test_export.py::test_a_reader_that_leaves_early_ends_it_quietly",
        "tests/cli/test_scan_ble.py",
        "tests/cli/test_scan_serial.py::test_devices_are_known_and_configured_by_the_drop",
        "tests/drivers/astm/test_astm.py::test_on_a_port_over_a_restart",
        "tests/drivers/test_fuzz.py",
        "tests/drivers/test_guide.py::test_the_tests_on_the_page_pass",
        "tests/drivers/testing/test_every_driver.py",
        "tests/drivers/test_oximeters_and_scales.py::test_stored_records",
        "tests/drivers/scan/test_port_probe.py::test_who_speaks_only_when_asked_is_asked",
        "tests/project/test_deb.py::test_the_manual_page",
        "tests/project/test_install.py",
        "tests/project/test_wheel.py",
        "tests/store/test_kill.py",
        "tests/store/test_model.py",
        "tests/tools/test_demo.py::test_ctrl_c",
        "tests/tools/test_demo.py::test_it_shows",
        "tests/tools/test_demo.py::test_killed",
        "tests/tools/test_torture.py",
        "tests/uplink/test_connection_faults.py",
        "tests/uplink/test_uplink_faults.py",
    ),
}
WHOLLY_SLOW = {begin.rstrip("/") for mark in MARKS.values() for begin in mark if "::" not in begin}


hypothesis.settings.register_profile(
    "search",  # `tools/test --hypothesis-profile search`: other examples with each run
    deadline=None,  # the limit of the test counts; an example may wait for the other tests on this machine
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("tests", hypothesis.settings.get_profile("search"), derandomize=True)
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("tests"), max_examples=25)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shorter than pytest's own: the path of a Unix socket has 107 octets at most, and pytest-xdist adds a folder."""
    return tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:16])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m quick`, files without a quick test are not even imported."""
    if not _is_quick(config) or config.args_source is not config.ArgsSource.TESTPATHS:
        return None
    return collection_path.relative_to(config.rootpath).as_posix() in WHOLLY_SLOW or None


def _is_quick(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "quick")


def pytest_configure(config: pytest.Config) -> None:
    if _is_quick(config):
        hypothesis.settings.load_profile("quick")
    gc.disable()  # until everything is imported: what is collected stays
    # A shell that started us in the background has SIGINT ignored, and children inherit that; a handler they do not.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marks = [mark for mark, beginnings in MARKS.items() if item.nodeid.startswith(beginnings)]
        for mark in marks or ["quick"]:
            item.add_marker(mark)


def pytest_collection_finish() -> None:
    """Thousands of tests are not looked through at each collection of garbage."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    if item.path not in _threads:
        _threads.clear()
        _threads[item.path] = set(threading.enumerate())
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """A file of tests ends its threads, also where one of them failed: what is left would keep pytest from ending."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        left = _left(_threads.get(item.path, set()))
        _stuck.extend(left)
        assert not left, "threads are left behind:\n" + "\n".join(map(_stack, left))
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    _status.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    if any(thread.is_alive() for thread in _stuck):  # Python would wait for them, perhaps for ever
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status[-1] if _status else 1)


_threads: dict[Path, set[threading.Thread]] = {}  # file of the test that runs -> threads before its first test
_stuck: list[threading.Thread] = []
_status: list[int] = []


def _left(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that came since, and do not end by themselves within GONE."""
    end = time.monotonic() + GONE
    while left := [each for each in threading.enumerate() if each not in before and not _ends_by_itself(each)]:
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    return left


def _ends_by_itself(thread: threading.Thread) -> bool:
    """pytest-timeout's own goes after the last fixture."""
    return thread.daemon or thread.name.startswith("pytest_timeout ")


def _stack(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return f"{thread.name}\n{''.join(traceback.format_stack(frame)) if frame else ''}"
