"""Desired state over a real broker, in a running agent: applied, refused, reported."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.fleet import desired_settings, reports, validation
from gatepost.agent.fleet.admission import CHECK_BURST, MAX_WAITING
from gatepost.agent.fleet.document import open_envelope
from tests.api.real import running
from tests.desired.box import LONG, ROOT, SIGNER, Fleet, fleet, level, settings, signed
from tests.desired.signing import GATEWAY, FleetSigner
from tests.support.clock import HandClock
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto
from tests.uplink.broker import running as serving
from tests.uplink.gateway import listening

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")


async def test_an_agent_version_is_told_and_not_obeyed(box: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    for version, agent in ((1, {"version": "9.9.9"}), (2, "9.9.9"), (3, {"version": 9})):
        box.send(SIGNER.document(version, level("warning"), agent=agent))
        assert (await box.report(version, "applied"))["agent"] != "9.9.9"
    told = [record.getMessage() for record in caplog.records if "is not upgraded by its fleet" in record.getMessage()]
    assert ["desired state 1 names agent '9.9.9'" in each for each in told] == [True]


async def test_a_document_is_tried_kept_and_reported(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker)
    async with fleet(config, broker) as box:
        assert box.listener.on(f"{ROOT}/desired/get")[0] == {"have": 0, "hash": ""}
        report = await box.sent("applied", 7, level("warning"), rollout="r-17")
        assert box.statuses(7) == ["trying", "applied"]
        assert (report["previous"], report["rollout"], report["problems"]) == (0, "r-17", [])
        assert report["hash"].startswith("sha256:")
        assert box.level == "warning"
        # the whole of it: what stood in the one before is gone
        assert (await box.sent("applied", 8, {}))["previous"] == 7
        assert box.level == "info"
        digest = (await box.sent("applied", 9, level("error")))["hash"]
        await until(lambda: [e for e in box.listener.on(f"{ROOT}/events") if e.get("version") == 9], LONG)
    async with fleet(config, broker) as box:
        assert box.level == "error"
        assert box.listener.on(f"{ROOT}/desired/get")[0] == {"have": 9, "hash": digest}
        await box.report(9, "applied")  # again, on each connection


async def test_what_is_no_document_for_this_gateway_is_refused_with_a_key(box: Fleet) -> None:
    await box.sent("applied", 5, level("warning"))
    other = FleetSigner("fleet-2")
    tampered = json.loads(SIGNER.document(6, level("error")))
    tampered["payload"] = tampered["payload"].replace("error", "debug")
    for message, version, status, key in (
        (b"{", None, "unsigned", "malformed"),
        (b"[" * 2000, None, "unsigned", "malformed"),
        (SIGNER.sign("[]"), None, "refused", "malformed"),
        (SIGNER.sign("{}", schema=9), None, "unsigned", "malformed"),
        (other.document(6, level("error")), 6, "unsigned", "unknown-key"),
        (other.sign(tampered["payload"], key_id="fleet-1"), 6, "unsigned", "bad-signature"),
        (json.dumps(tampered).encode(), 6, "unsigned", "bad-signature"),
        (SIGNER.document(6, level("error"), gateway_id="ward-2"), 6, "refused", "wrong-gateway"),
        (SIGNER.document(4, level("error")), 4, "stale", "old-version"),
        (SIGNER.document(5, level("error")), 5, "stale", "old-version"),
        (SIGNER.document(6, {"devices": {"d": {"label": "x" * 130_000}}}), 6, "refused", "too-large"),
        (SIGNER.document(6, {"devices": {"d": {"label": "x" * 1_000_000}}}), 6, "refused", "too-large"),
        (SIGNER.document(0, {}), 0, "refused", "malformed"),
    ):
        seen = len(box.listener.on(f"{ROOT}/reported"))
        box.send(message)
        await until(lambda seen=seen: len(box.listener.on(f"{ROOT}/reported")) > seen, LONG)
        report = box.listener.on(f"{ROOT}/reported")[-1]
        assert (report["version"], report["status"], report["problems"][0]["key"]) == (version, status, key)
        assert report["previous"] == 5
    assert box.level == "warning"
    assert box.app.fleet.as_dict()["decided"] == 5


async def test_settings_that_may_not_be_set_are_refused_and_decided(box: Fleet, folder: Path) -> None:
    lines = {"driver": "lines", "port": str(folder / "tty"), "options": {"format": "json"}}
    for version, wanted, key in (
        (1, {"gateway": {"id": "x"}}, "not-allowed"),
        (2, {"fleet": {"allow": ["*"]}}, "not-allowed"),
        (3, {"brokers": {"a": {"url": "mqtt://evil.example"}}}, "not-allowed"),
        (4, {"devices": None}, "not-allowed"),
        (5, {"logging": {"level": "info", "format": "json"}}, "not-allowed"),
        (6, {"devices": {"d": {**lines, "token": "plain"}}}, "plain-secret"),
        (7, {"devices": {"d": {**lines, "token": {"file": "/etc/shadow"}}}}, "secret-not-allowed"),
        (8, {"devices": {"d": {**lines, "label": "***"}}}, "hidden-value"),
        (9, {"devices": {"d": {"driver": "no-such"}}}, "unknown-driver"),
        (10, {"devices": {"<<": {"driver": "lines"}}}, "bad-name"),
        (11, {"logging": {"level": "loud"}}, "bad-choice"),
        (12, {"devices": {"nobody": {"every": "5s"}}}, "left-over"),
        (13, {"devices": {"d": {**lines, "label": "!!python/object:os.system"}, "e": "&a"}}, "wrong-type"),
    ):
        report = await box.sent("refused", version, wanted)
        assert report["problems"][0]["key"] == key, report
        assert not (folder / "state" / "conf.d" / "40-fleet.yaml").exists()
    assert (await box.sent("refused", 14, level("error"), within="9d"))["problems"][0]["key"] == "bad-confirm"
    assert box.app.fleet.as_dict()["decided"] == 14


async def test_secrets_are_guarded_also_where_the_box_needs_desired_state(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker, listener={"listen": f"127.0.0.1:{free_port()}"})
    async with fleet(config, broker) as box:
        bridge = {"bridge": {"driver": "mqtt"}}
        await box.sent("applied", 1, {"devices": bridge})
        child = await box.http.put("devices/child", json={"driver": "mqtt", "options": {"via": "bridge"}})
        assert child.status_code in (200, 201), child.text
        lines = {"driver": "lines", "port": str(folder / "tty"), "options": {"format": "json"}}
        for version, token, key in ((2, {"file": "/etc/shadow"}, "secret-not-allowed"), (3, "plain", "plain-secret")):
            report = await box.sent("refused", version, {"devices": {**bridge, "d": {**lines, "token": token}}})
            assert [each["key"] for each in report["problems"]] == ["base-invalid", key]
        await box.sent("applied", 4, {"devices": bridge, **level("error")})  # no secret in it


async def test_a_document_is_written_and_read_back_beside_the_loop(box: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    monkeypatch.setattr(validation, "_lost_in_writing", lambda _: threads.append(threading.current_thread()) or [])
    await box.sent("applied", 1, level("error"))
    assert threading.main_thread() not in threads
    assert threads


async def test_expiry_is_judged_by_a_clock_that_is_right_and_by_no_other(box: Fleet) -> None:
    clock: Any = HandClock()
    clock.monotonic = box.app.clock.monotonic
    box.app.fleet.running.desired._admission._clock = clock
    past, future = "2026-11-20T10:29:59Z", "2026-11-20T11:30:01+01:00"
    assert (await box.sent("refused", 1, level("warning"), expires_at=past))["problems"][0]["key"] == "expired"
    await box.sent("applied", 2, level("warning"), expires_at=future)
    clock.synchronised = False
    clock.wall = 0
    await box.sent("stale", 1, level("error"), expires_at=future)  # the version is judged all the same
    await box.sent("applied", 3, level("error"), expires_at=past)
    for version, moment in ((4, "tomorrow"), (5, "2026-11-20T10:29:59")):
        report = await box.sent("refused", version, level("error"), expires_at=moment)
        assert report["problems"][0]["key"] == "malformed"


async def test_a_flood_of_documents_is_not_checked_one_by_one_and_holds_nothing_up(box: Fleet) -> None:
    await box.sent("trying", 1, level("error"), within="1h", manual=True)
    checked = 0

    async def count(*question: str) -> bool:
        nonlocal checked
        checked += 1
        return False

    admission = box.app.fleet.running.desired._admission
    admission._is_signed = count
    for number in range(45):
        box.send(SIGNER.document(number + 2, level("error")))
        await until(lambda number=number: checked > number or admission._checks.wait(box.app.clock.monotonic()), LONG)
    assert CHECK_BURST - 1 <= checked < 45
    assert len(admission._inbox) <= MAX_WAITING
    link = box.app.brokers.get("a")
    assert link is not None
    await until(lambda: f"{ROOT}/desired/confirm" in link._tasks._subscriptions.held, LONG)
    box.listener.publish(f"{ROOT}/desired/confirm", b'{"version": 1}')
    await box.report(1, "applied")


async def test_a_document_that_a_flood_leaves_no_place_for_is_asked_for_again(box: Fleet) -> None:
    service, answers = box.app.fleet.running, asyncio.Semaphore(0)
    admission, service.jitter = service.desired._admission, 0.0

    async def slow(*question: str) -> bool:
        await answers.acquire()
        return False

    admission._is_signed = slow
    first = SIGNER.document(1, level("error"))
    for message in (first, *(SIGNER.document(version, level("error")) for version in range(2, MAX_WAITING + 3))):
        service.desired.take(message)
    assert admission._inbox[0] == open_envelope(first)  # it keeps its place
    assert len(admission._inbox) == MAX_WAITING
    asked = len(box.listener.on(f"{ROOT}/desired/get"))
    for _ in range(MAX_WAITING):
        answers.release()
    await until(lambda: len(box.listener.on(f"{ROOT}/desired/get")) > asked, LONG)


async def test_a_disk_that_refuses_decides_nothing_and_it_is_tried_again(
    box: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def refuse(*_: Any) -> None:
        nonlocal refused
        refused += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(desired_settings, "RETRY", 0.02)
    with monkeypatch.context() as disk:
        disk.setattr(reports, "write_record", refuse)
        box.send(SIGNER.document(1, level("error")))
        await until(lambda: refused > 2, LONG)
        assert (box.level, box.app.fleet.as_dict()["decided"], box.reports(1)) == ("info", None, [])
    await box.report(1, "applied")
    assert box.level == "error"


async def test_what_a_person_set_at_the_box_counts_more(box: Fleet) -> None:
    await box.http.post("settings/apply", json={"settings": level("debug")})
    assert (await box.sent("applied", 1, level("error")))["overridden"] == ["logging.level"]
    assert box.level == "debug"
    await box.http.post("settings/apply", json={"unset": ["logging.level"], "settings": {}})
    assert box.level == "error"


async def test_under_the_strictest_rule_of_a_broker_all_of_it_works(folder: Path) -> None:
    users = {GATEWAY: "a", "fleet": "b"}
    acl = "pattern readwrite gateways/%u/#\nuser fleet\ntopic readwrite gateways/#\n"
    async with serving(Mosquitto(folder / "broker", users=users, acl=acl)) as broker:
        link = {"url": broker.url, "layout": "gateway", "username": GATEWAY, "password": "a"}
        config = settings(folder, broker, brokers={"a": link})
        async with (
            listening(broker.url, (f"{ROOT}/#",), username="fleet", password="b") as listener,
            running(config) as (app, http),
        ):
            assert app.fleet.running is not None
            app.fleet.running.desired._admission._is_signed = signed
            await until(lambda: listener.on(f"{ROOT}/desired/get"), LONG)
            box = Fleet(app, listener, http)
            await box.sent("trying", 1, level("error"), manual=True)
            confirm = f"{ROOT}/desired/confirm"
            await until(lambda: confirm in app.brokers.get("a")._tasks._subscriptions.held, LONG)
            listener.publish(confirm, b'{"version": 1}')
            await box.report(1, "applied")
            listener.publish(f"{ROOT}/commands", b'{"id": "c1", "command": "ping"}')
            await until(lambda: [r for r in listener.on(f"{ROOT}/responses") if r["id"] == "c1"], LONG)
            view = app.brokers.get("a").as_dict()
            assert (view["connects"], view["refused_topics"], view["condition"]) == (1, {}, "ok")


async def test_a_fleet_that_is_configured_later_is_heard_without_a_new_connection(
    folder: Path, broker: Mosquitto
) -> None:
    config = settings(folder, broker, fleet={"keys": [SIGNER.settings]})
    async with listening(broker.url, (f"{ROOT}/#",)) as listener, running(config) as (app, http):
        await until(lambda: listener.on(f"{ROOT}/status"), LONG)
        assert app.fleet.as_dict() is None
        settings(folder, broker)
        await http.post("reload")
        await until(lambda: listener.on(f"{ROOT}/desired/get"), LONG)
        app.fleet.running.desired._admission._is_signed = signed
        box = Fleet(app, listener, http)
        await box.sent("applied", 1, level("error"))
        assert app.brokers.get("a").as_dict()["connects"] == 1
