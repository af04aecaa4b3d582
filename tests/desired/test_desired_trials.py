"""Desired state on trial, in a running agent: confirmed, undone, superseded, and beside what people do at the box."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.fleet import desired_settings
from gatepost.agent.main import _undo_unconfirmed
from gatepost.agent.settings import load
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.trial import trial as trials
from gatepost.drivers.driver import Registry
from tests.desired.box import LONG, ROOT, SIGNER, Fleet, fleet, level, settings
from tests.desired.signing import FleetSigner
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")


async def test_what_is_not_well_again_is_undone(box: Fleet, folder: Path) -> None:
    await box.sent("applied", 1, level("warning"))
    desired = box.app.fleet.running.desired
    desired._compare = lambda: NeverWell()
    document = SIGNER.document(2, level("error"), within="1s")
    box.send(document)
    report = await box.report(2, "reverted")
    assert (report["reason"], report["previous"]) == ("not-confirmed", 1)
    assert report["problems"][0]["key"] == "device-not-well"
    assert box.level == "warning"
    assert "error" in (folder / "state" / "rejected-40-fleet.yaml").read_text()
    box.send(document)  # decided: never again, and told again
    await until(lambda: len(box.reports(2)) > 2, LONG)
    assert box.statuses(2) == ["trying", "reverted"]
    await box.sent("stale", 2, level("error"))
    assert box.level == "warning"


class NeverWell:
    def applied(self, within: float) -> None:
        pass

    def problems(self, settings: Any) -> list[dict[str, str]]:
        return [{"key": "device-not-well", "where": "devices.d", "message": "offline", "hint": ""}]


async def test_a_newer_document_takes_the_place_of_one_that_is_tried(box: Fleet) -> None:
    await box.sent("trying", 1, level("warning"), within="1h", manual=True)
    await box.sent("refused", 2, {"gateway": {"id": "x"}})  # which is refused, and changes nothing about the other
    assert box.level == "warning"
    assert (await box.sent("applied", 3, level("error")))["previous"] == 0
    assert box.statuses(1) == ["trying", "superseded"]
    assert box.level == "error"


async def test_somebody_has_to_confirm_what_says_so(box: Fleet) -> None:
    await box.sent("trying", 1, level("warning"), within="1h", manual=True)
    status = box.app.report.status()
    assert (status["fleet"]["manual"], status["settings"]["trial"]["by"]) == (True, "fleet:1")
    link = box.app.brokers.get("a")
    assert link is not None
    await until(lambda: f"{ROOT}/desired/confirm" in link._tasks._subscriptions.held, LONG)
    for message in (b"no", b'{"version": 9}', b'{"version": "1"}', b"[" * 5000):
        box.listener.publish(f"{ROOT}/desired/confirm", message)
    assert (await box.http.get("status")).json()["fleet"]["status"] == "trying"
    assert box.statuses(1) == ["trying"]
    box.listener.publish(f"{ROOT}/desired/confirm", b'{"version": 1, "by": "somebody"}')
    box.listener.publish(f"{ROOT}/desired/confirm", b'{"version": 9}')
    await box.report(1, "applied")
    await until(lambda: f"{ROOT}/desired/confirm" not in link._tasks._subscriptions.held, LONG)
    await box.sent("trying", 2, level("error"), within="1h", manual=True)
    await box.http.post("settings/confirm", json={})  # a person at the box may, too
    await box.report(2, "applied")
    await box.sent("trying", 3, level("debug"), within="1h", manual=True)
    await box.http.post("settings/revert", json={})
    assert (await box.report(3, "reverted"))["reason"] == "asked"
    assert box.level == "error"


async def test_a_document_is_not_to_blame_for_a_stop_in_the_middle_of_it(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker)
    async with fleet(config, broker) as box:
        devices, begun = box.app.devices, asyncio.Event()
        apply = devices.apply

        async def slow(wanted: Any) -> None:
            begun.set()
            await until(lambda: devices._closed, LONG)
            await apply(wanted)

        devices.apply = slow  # type: ignore[method-assign]
        box.send(SIGNER.document(1, level("error")))
        await asyncio.wait_for(begun.wait(), LONG)
    assert _undo_unconfirmed(load(config, {}, Registry.installed()))
    async with fleet(config, broker) as box:
        assert (await box.report(1, "reverted"))["reason"] == "restarted"
        assert box.level == "info"


async def test_a_document_waits_for_the_trial_of_a_person(box: Fleet) -> None:
    change = {"settings": {"gateway": {"labels": {"site": "north"}}}, "confirm": "1h"}
    assert (await box.http.post("settings/apply", json=change)).status_code == 200
    box.send(SIGNER.document(1, level("warning")))
    box.send(SIGNER.document(2, level("error")))
    await box.report(1, "superseded")
    assert box.level == "info"
    await box.http.post("settings/confirm", json={})
    await box.report(2, "applied")
    assert box.level == "error"
    assert box.app.current.settings.gateway.labels == {"site": "north"}


async def test_a_document_that_waited_is_judged_again(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker)
    async with fleet(config, broker) as box:
        clock: Any = HandClock()
        clock.monotonic = box.app.clock.monotonic
        admission = box.app.fleet.running.desired._admission
        admission._clock = clock
        change = {"settings": {"gateway": {"labels": {"site": "north"}}}, "confirm": "1h"}

        async def waits(version: int, **members: Any) -> None:
            assert (await box.http.post("settings/apply", json=change)).status_code == 200
            box.send(SIGNER.document(version, level("warning"), **members))
            await until(lambda: admission.waiting is not None, LONG)

        await waits(1, expires_at="2026-11-20T10:30:30Z")
        clock.wall += 60 * 1_000_000
        await box.http.post("settings/confirm", json={})
        assert (await box.report(1, "refused"))["problems"][0]["key"] == "expired"
        await waits(2)
        for version, rules, status, key in (
            (2, {"keys": [SIGNER.settings], "allow": ["devices.*"]}, "refused", "not-allowed"),
            (3, {"keys": [FleetSigner("fleet-2").settings]}, "unsigned", "unknown-key"),
        ):
            settings(folder, broker, fleet={"broker": "a", **rules})
            await box.app.applier.reload("test")
            await box.http.post("settings/confirm", json={})
            assert (await box.report(version, status))["problems"][0]["key"] == key
            settings(folder, broker)
            await box.app.applier.reload("test")
            if version == 2:
                await waits(3)
        assert box.level == "info"
        await box.sent("applied", 3, level("error"))  # it was not decided


async def test_what_is_tried_is_kept_between_two_checks_of_signatures(
    box: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desired_settings, "WELL_FOR", 0.0)
    desired = box.app.fleet.running.desired
    admission = desired._admission
    admission.take(b"[" * 600_000)
    admission.take(SIGNER.document(9, {"devices": {"d": {"label": "x" * 130_000}}}))
    admission.take(FleetSigner("fleet-2").document(9, level("error")))
    assert not admission._inbox  # nothing that cannot be a document takes a place
    await box.sent("trying", 1, level("warning"), within="1h", manual=True)
    await until(lambda: desired._told_trying, LONG)
    asked, answers = 0, asyncio.Semaphore(0)

    async def slow(*question: str) -> bool:
        nonlocal asked
        asked += 1
        await answers.acquire()
        return False

    admission._is_signed = slow
    for version in range(2, 9):
        desired.take(SIGNER.document(version, level("error")))
    await until(lambda: asked, LONG)
    desired.confirm(b'{"version": 1}')
    answers.release()
    await box.report(1, "applied")
    assert asked <= 2
    for _ in range(8):
        answers.release()


async def test_a_patient_is_assigned_while_desired_state_is_tried(folder: Path, broker: Mosquitto) -> None:
    device = {"driver": "lines", "port": str(folder / "tty"), "options": {"format": "json"}}
    async with fleet(settings(folder, broker, devices={"d": device}), broker) as box:
        await box.sent("trying", 1, level("warning"), within="1h", manual=True)
        await box.app.editor.assign_patient("d", "P-1")
        assert (await box.http.put("devices/d", json=device)).status_code == 409
        await box.http.post("settings/revert", json={})
        await box.report(1, "reverted")
        assert (box.level, box.app.current.settings.devices["d"].patient) == ("info", "P-1")


async def test_a_file_that_is_broken_just_then_keeps_nothing_in_force_that_was_tried(
    folder: Path, broker: Mosquitto
) -> None:
    device = {"driver": "lines", "port": str(folder / "tty"), "options": {"format": "json"}}
    config = settings(folder, broker, devices={"d": device})
    last_good = LastGood(folder / "state")

    def kept() -> tuple[str, str | None]:
        found = last_good.read()
        assert found is not None
        return found.logging.level, found.devices["d"].patient

    async with fleet(config, broker) as box:
        await box.sent("trying", 1, level("warning"), within="1h", manual=True)
        await box.app.editor.assign_patient("d", "P-1")
        assert (box.level, kept()) == ("warning", ("info", "P-1"))  # also a start with broken files uses nothing tried
        whole = config.read_text()
        config.write_text(whole + "nonsense: 1\n")
        trial = box.app.trial
        trial._timer.cancel()
        trial._expired()  # the hour is over
        assert (await box.report(1, "reverted"))["reason"] == "not-confirmed"
        assert (box.level, box.app.current.settings.devices["d"].patient, kept()) == ("info", "P-1", ("info", "P-1"))
        config.write_text(whole)
        await box.app.applier.reload("test")
        await box.sent("applied", 2, level("error"))
        assert kept() == ("error", "P-1")


async def test_what_cannot_be_put_back_is_told_as_tried_until_it_can(
    box: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "RETRY", 0.02)
    await box.sent("trying", 1, level("warning"), within="1h", manual=True)
    refused = 0

    async def refuse(reason: str) -> dict[str, Any]:
        nonlocal refused
        refused += 1
        return {"applied": False, "changed": [], "problems": ["no"]}

    go_back, box.app.trial._reapply = box.app.trial._reapply, refuse
    assert (await box.http.post("settings/revert", json={})).status_code >= 500
    await until(lambda: refused > 2, LONG)
    assert (await box.http.post("settings/confirm", json={})).status_code == 409  # its drop is gone
    assert box.statuses(1) == ["trying"]
    box.app.trial._reapply = go_back
    await box.report(1, "reverted")
    assert box.level == "info"
