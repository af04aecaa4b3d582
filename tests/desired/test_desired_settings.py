"""Desired state over a real broker, in a running agent: applied, refused, undone, reported."""

from __future__ import annotations

import asyncio
import errno
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.app import App
from gatepost.agent.fleet import desired_settings, reports, validation
from gatepost.agent.fleet.admission import CHECK_BURST, MAX_WAITING
from gatepost.agent.fleet.signature import VALID, check
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.trial import trial as trials
from tests.api.real import running, written
from tests.desired.signing import GATEWAY, FleetSigner
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto, free_port
from tests.uplink.broker import running as serving
from tests.uplink.gateway import Listener, listening

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")

SIGNER = FleetSigner()
ROOT = f"gateways/{GATEWAY}"
LONG = 30.0  # seconds for anything that should come about soon


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gp-") as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired_settings, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(desired_settings, "WELL_FOR", 0.1)


async def signed(*question: str) -> bool:
    """In this process: the one of its own is tested by itself."""
    return check(*question) == VALID


class Fleet:
    """What the fleet says and hears."""

    def __init__(self, app: App, listener: Listener, http: Any) -> None:
        self.app = app
        self.http = http
        self.listener = listener

    def send(self, message: bytes, retain: bool = False) -> None:
        self.listener.publish(f"{ROOT}/desired", message, retain)

    def reports(self, version: int | None) -> list[dict[str, Any]]:
        return [each for each in self.listener.on(f"{ROOT}/reported") if each["version"] == version]

    def statuses(self, version: int | None) -> list[str]:
        return list(dict.fromkeys(each["status"] for each in self.reports(version)))

    async def report(self, version: int | None, status: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [each for each in self.reports(version) if each["status"] == status]

        try:
            await until(found, LONG)
        except TimeoutError:
            raise AssertionError(f"{version} is not {status}: {self.listener.on(f'{ROOT}/reported')}") from None
        return found()[-1]

    @property
    def level(self) -> str:
        return self.app.current.settings.logging.level


def settings(folder: Path, broker: Mosquitto, **more: Any) -> Path:
    sections: dict[str, Any] = {
        "gateway": {"id": GATEWAY, "state_dir": str(folder / "state")},
        "brokers": {"a": {"url": broker.url, "layout": "gateway"}},
        "fleet": {"broker": "a", "keys": [SIGNER.settings]},
        **more,
    }
    return written(folder, **sections)


@asynccontextmanager
async def fleet(config: Path, broker: Mosquitto) -> AsyncIterator[Fleet]:
    async with listening(broker.url, (f"{ROOT}/#",)) as listener, running(config) as (app, http):
        assert app.fleet.running is not None
        app.fleet.running.desired._admission._is_signed = signed
        await until(lambda: listener.on(f"{ROOT}/desired/get"), LONG)
        yield Fleet(app, listener, http)


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[Mosquitto]:
    async with serving(Mosquitto(folder / "broker")) as one:
        yield one


@pytest.fixture
async def box(folder: Path, broker: Mosquitto) -> AsyncIterator[Fleet]:
    async with fleet(settings(folder, broker), broker) as one:
        yield one


def level(name: str) -> dict[str, Any]:
    return {"logging": {"level": name}}


async def test_a_document_is_tried_kept_and_reported(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker)
    async with fleet(config, broker) as box:
        assert box.listener.on(f"{ROOT}/desired/get")[0] == {"have": 0, "hash": ""}
        box.send(SIGNER.document(7, level("warning"), rollout="r-17"))
        report = await box.report(7, "applied")
        assert box.statuses(7) == ["trying", "applied"]
        assert (report["previous"], report["rollout"], report["problems"]) == (0, "r-17", [])
        assert report["hash"].startswith("sha256:")
        assert box.level == "warning"
        box.send(SIGNER.document(8, {}))  # the whole of it: what stood in the one before is gone
        assert (await box.report(8, "applied"))["previous"] == 7
        assert box.level == "info"
        box.send(SIGNER.document(9, level("error")))
        digest = (await box.report(9, "applied"))["hash"]
        await until(lambda: [e for e in box.listener.on(f"{ROOT}/events") if e.get("version") == 9], LONG)
    async with fleet(config, broker) as box:
        assert box.level == "error"
        assert box.listener.on(f"{ROOT}/desired/get")[0] == {"have": 9, "hash": digest}
        await box.report(9, "applied")  # again, on each connection


async def test_what_is_no_document_for_this_gateway_is_refused_with_a_key(box: Fleet) -> None:
    box.send(SIGNER.document(5, level("warning")))
    await box.report(5, "applied")
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
        box.send(SIGNER.document(version, wanted))
        report = await box.report(version, "refused")
        assert report["problems"][0]["key"] == key, report
        assert not (folder / "state" / "conf.d" / "40-fleet.yaml").exists()
    box.send(SIGNER.document(14, level("error"), within="9d"))
    assert (await box.report(14, "refused"))["problems"][0]["key"] == "bad-confirm"
    assert box.app.fleet.as_dict()["decided"] == 14


async def test_secrets_are_guarded_also_where_the_box_needs_desired_state(folder: Path, broker: Mosquitto) -> None:
    config = settings(folder, broker, listener={"listen": f"127.0.0.1:{free_port()}"})
    async with fleet(config, broker) as box:
        bridge = {"bridge": {"driver": "mqtt"}}
        box.send(SIGNER.document(1, {"devices": bridge}))
        await box.report(1, "applied")
        child = await box.http.put("devices/child", json={"driver": "mqtt", "options": {"via": "bridge"}})
        assert child.status_code in (200, 201), child.text
        lines = {"driver": "lines", "port": str(folder / "tty"), "options": {"format": "json"}}
        for version, token, key in ((2, {"file": "/etc/shadow"}, "secret-not-allowed"), (3, "plain", "plain-secret")):
            box.send(SIGNER.document(version, {"devices": {**bridge, "d": {**lines, "token": token}}}))
            problems = (await box.report(version, "refused"))["problems"]
            assert [each["key"] for each in problems] == ["base-invalid", key]
        box.send(SIGNER.document(4, {"devices": bridge, **level("error")}))  # no secret in it
        await box.report(4, "applied")


async def test_a_document_is_written_and_read_back_beside_the_loop(box: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    monkeypatch.setattr(validation, "_lost_in_writing", lambda _: threads.append(threading.current_thread()) or [])
    box.send(SIGNER.document(1, level("error")))
    await box.report(1, "applied")
    assert threading.main_thread() not in threads
    assert threads


async def test_expiry_is_judged_by_a_clock_that_is_right_and_by_no_other(box: Fleet) -> None:
    clock: Any = HandClock()
    clock.monotonic = box.app.clock.monotonic
    box.app.fleet.running.desired._admission._clock = clock
    past, future = "2026-11-20T10:29:59Z", "2026-11-20T11:30:01+01:00"
    box.send(SIGNER.document(1, level("warning"), expires_at=past))
    assert (await box.report(1, "refused"))["problems"][0]["key"] == "expired"
    box.send(SIGNER.document(2, level("warning"), expires_at=future))
    await box.report(2, "applied")
    clock.synchronised = False
    clock.wall = 0
    box.send(SIGNER.document(1, level("error"), expires_at=future))  # the version is judged all the same
    await box.report(1, "stale")
    box.send(SIGNER.document(3, level("error"), expires_at=past))
    await box.report(3, "applied")
    for version, moment in ((4, "tomorrow"), (5, "2026-11-20T10:29:59")):
        box.send(SIGNER.document(version, level("error"), expires_at=moment))
        assert (await box.report(version, "refused"))["problems"][0]["key"] == "malformed"


async def test_what_is_not_well_again_is_undone(box: Fleet, folder: Path) -> None:
    box.send(SIGNER.document(1, level("warning")))
    await box.report(1, "applied")
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
    box.send(SIGNER.document(2, level("error")))
    await box.report(2, "stale")
    assert box.level == "warning"


class NeverWell:
    def applied(self, within: float) -> None:
        pass

    def problems(self, settings: Any) -> list[dict[str, str]]:
        return [{"key": "device-not-well", "where": "devices.d", "message": "offline", "hint": ""}]


async def test_a_newer_document_takes_the_place_of_one_that_is_tried(box: Fleet) -> None:
    box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
    await box.report(1, "trying")
    box.send(SIGNER.document(2, {"gateway": {"id": "x"}}))  # which is refused, and changes nothing about the other
    await box.report(2, "refused")
    assert box.level == "warning"
    box.send(SIGNER.document(3, level("error")))
    assert (await box.report(3, "applied"))["previous"] == 0
    assert box.statuses(1) == ["trying", "superseded"]
    assert box.level == "error"


async def test_somebody_has_to_confirm_what_says_so(box: Fleet) -> None:
    box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
    await box.report(1, "trying")
    link = box.app.brokers.get("a")
    assert link is not None
    await until(lambda: f"{ROOT}/desired/confirm" in link._tasks._subscriptions.held, LONG)
    for message in (b"no", b'{"version": 9}', b'{"version": "1"}'):
        box.listener.publish(f"{ROOT}/desired/confirm", message)
    assert (await box.http.get("status")).json()["fleet"]["status"] == "trying"
    assert box.statuses(1) == ["trying"]
    box.listener.publish(f"{ROOT}/desired/confirm", b'{"version": 1}')
    await box.report(1, "applied")
    await until(lambda: f"{ROOT}/desired/confirm" not in link._tasks._subscriptions.held, LONG)
    box.send(SIGNER.document(2, level("error"), within="1h", manual=True))
    await box.report(2, "trying")
    await box.http.post("settings/confirm", json={})  # a person at the box may, too
    await box.report(2, "applied")
    box.send(SIGNER.document(3, level("debug"), within="1h", manual=True))
    await box.report(3, "trying")
    await box.http.post("settings/revert", json={})
    assert (await box.report(3, "reverted"))["reason"] == "asked"
    assert box.level == "error"


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
        box.send(SIGNER.document(3, level("error")))  # it was not decided
        await box.report(3, "applied")


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
    box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
    await box.report(1, "trying")
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
        box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
        await box.report(1, "trying")
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
        box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
        await box.report(1, "trying")
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
        box.send(SIGNER.document(2, level("error")))
        await box.report(2, "applied")
        assert kept() == ("error", "P-1")


async def test_what_cannot_be_put_back_is_told_as_tried_until_it_can(
    box: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "RETRY", 0.02)
    box.send(SIGNER.document(1, level("warning"), within="1h", manual=True))
    await box.report(1, "trying")
    refused = 0

    async def refuse(reason: str) -> dict[str, Any]:
        nonlocal refused
        refused += 1
        return {"applied": False, "changed": [], "problems": ["no"]}

    go_back, box.app.trial._reapply = box.app.trial._reapply, refuse
    assert (await box.http.post("settings/revert", json={})).status_code >= 500
    await until(lambda: refused > 2, LONG)
    assert box.statuses(1) == ["trying"]
    box.app.trial._reapply = go_back
    await box.report(1, "reverted")
    assert box.level == "info"


async def test_a_flood_of_documents_is_not_checked_one_by_one_and_holds_nothing_up(box: Fleet) -> None:
    box.send(SIGNER.document(1, level("error"), within="1h", manual=True))
    await box.report(1, "trying")
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
    box.send(SIGNER.document(1, level("error")))
    assert (await box.report(1, "applied"))["overridden"] == ["logging.level"]
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
            box.send(SIGNER.document(1, level("error"), manual=True))
            await box.report(1, "trying")
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
        box.send(SIGNER.document(1, level("error")))
        await box.report(1, "applied")
        assert app.brokers.get("a").as_dict()["connects"] == 1
