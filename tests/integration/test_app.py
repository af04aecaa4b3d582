"""The app itself, in this process: what happens when one of its parts does not do what it should."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatepost.agent.app import App
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.settings import load, loading
from gatepost.agent.settings.editor import Preconditions, SettingsEditor
from gatepost.agent.settings.own_drops import read_drop, write_drop
from gatepost.agent.settings.watch import signature
from gatepost.agent.status_report import STALLED_AFTER
from gatepost.drivers.driver import Registry

from .rig import LATEST, lines, settings_for, twin, until


@asynccontextmanager
async def app(folder: Path, settings: dict[str, Any]) -> AsyncIterator[App]:
    config = folder / "gatepost.yaml"
    config.write_text(yaml.safe_dump(settings), "utf-8")
    loaded = load(config, {}, Registry.installed())
    assert loaded.settings is not None, loaded.problems
    logs = AgentLogs(io.StringIO(), {})
    one = App(loaded, loaded.settings, config, {}, logs)
    one.state_dir.mkdir(parents=True, exist_ok=True)
    await one.start()
    try:
        yield one
    finally:
        if not one._lock.closed:
            await one.close()
        logs.close()


async def test_settings_that_fail_when_they_are_applied_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path, None, {"one": lines(tmp_path / "tty")})
    async with app(tmp_path, settings) as one:
        whole = one.brokers.apply

        async def fails(brokers: Any, reports_to: Any, rooms: Any) -> list[str]:
            if "two" in reports_to:
                raise ValueError("a task of this name runs already")
            return await whole(brokers, reports_to, rooms)

        monkeypatch.setattr(one.brokers, "apply", fails)
        settings["devices"]["two"] = lines(tmp_path / "tty2")
        (tmp_path / "gatepost.yaml").write_text(yaml.safe_dump(settings), "utf-8")
        result = await one.applier.reload("test")
        assert result["applied"] is False
        assert "ValueError" in result["problems"][0]
        assert list(one.current.settings.devices) == ["one"]
        assert [view["id"] for view in one.devices.views()] == ["one"]
        assert one.report.status()["settings"]["problems"] == result["problems"]


@pytest.mark.parametrize("part", ["devices", "dispatcher", "brokers", "audit"])
async def test_a_part_that_does_not_end_keeps_nothing_from_being_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async def hangs(*_: Any) -> None:
        await asyncio.Event().wait()

    async with (
        twin(tmp_path / "tty"),
        app(tmp_path, settings_for(tmp_path, None, {"one": lines(tmp_path / "tty")})) as one,
    ):
        await until(lambda: one.store.head > 3)
        monkeypatch.setattr(getattr(one, part), "close", hangs)
        number = one.store.series("late", None, {"metric_type": "m"})
        seq = one.store.append(number, one.clock.now(), b'{"n":-1}')
        async with asyncio.timeout(LATEST):
            await one.close()
        assert one.store.head >= seq
        assert one._lock.closed
    async with app(tmp_path, settings_for(tmp_path, None, {})) as one:
        assert len(await one.store.queries.history("late")) == 1


async def test_the_watchdog_hears_of_a_log_that_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path, None, {}, store={"commit_interval": "60s"})
    async with app(tmp_path, settings) as one:
        now = one.clock.monotonic()
        monkeypatch.setattr(one.clock, "monotonic", lambda: now)
        waiting = 0
        monkeypatch.setattr(type(one.store.writer), "waiting", property(lambda _: waiting))
        monkeypatch.setattr(one.store.writer, "commits", 7)
        assert one.report.check_progress() is None
        waiting = 5

        def after(seconds: float) -> str | None:
            nonlocal now
            now += seconds
            return one.report.check_progress()

        check: Callable[[float], str | None] = after
        assert check(0) is None
        assert check(60) is None  # the interval's own time
        assert check(STALLED_AFTER + 1) is not None
        monkeypatch.setattr(one.store.writer, "commits", 8)
        assert check(1) is None
        waiting = 0
        assert check(1000) is None
        waiting = 5
        assert check(1000) is None  # they may have come just now
        assert check(STALLED_AFTER + 61) is not None


async def test_an_assignment_is_one_at_a_time(tmp_path: Path) -> None:
    devices = {name: lines(tmp_path / name) for name in "abcd"}
    async with app(tmp_path, settings_for(tmp_path, None, devices)) as one:
        editor = SettingsEditor(one._loader, one.applier)
        await asyncio.gather(*(editor.assign_patient(name, f"P-{name}") for name in "abcd"))
        assert {name: device.patient for name, device in one.current.settings.devices.items()} == {
            name: f"P-{name}" for name in "abcd"
        }


async def test_patients_that_an_earlier_version_assigned_are_kept_and_have_one_home(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, None, {name: lines(tmp_path / name) for name in "abc"})
    drops = Path(settings["gateway"]["state_dir"]) / "conf.d"
    write_drop(drops / "50-patients.yaml", {"devices": {"a": {"patient": "P-a"}, "b": {"patient": "P-old"}}})
    write_drop(drops / "60-api.yaml", {"devices": {"b": {"patient": "P-b"}}})
    async with app(tmp_path, settings) as one:
        assert read_drop(drops / "60-api.yaml")["devices"] == {"a": {"patient": "P-a"}, "b": {"patient": "P-b"}}
        assert not (drops / "50-patients.yaml").exists()
        await one.applier.reload("test")
        await SettingsEditor(one._loader, one.applier).assign_patient("a", None)
        patients = {name: device.patient for name, device in one.current.settings.devices.items()}
        assert patients == {"a": None, "b": "P-b", "c": None}


async def test_an_edit_reads_the_settings_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    whole = loading.load

    def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return whole(*arguments)

    async with app(tmp_path, settings_for(tmp_path, None, {"one": lines(tmp_path / "tty")})) as one:
        monkeypatch.setattr(loading, "load", counted)
        editor = SettingsEditor(one._loader, one.applier)
        changed = {**lines(tmp_path / "tty"), "every": "3s"}
        await editor.put("devices", "one", changed, Preconditions())
        assert one.current.settings.devices["one"].every == 3
        assert reads == 1
        paths, known = one.applier._watcher._watched
        assert known == signature(paths)  # nothing to read again
