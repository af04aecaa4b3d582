"""A recording hears everything, disturbs nothing, and is bounded."""

from __future__ import annotations

import pytest

from gatepost.agent.devices import recorder as module
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.drivers.driver import Registry
from gatepost.drivers.recording import RecordedMoment
from tests.devices.fakes import Bench, line
from tests.support.waiting import until


async def test_what_is_heard_and_said_is_on_the_tape(bench: Bench) -> None:
    link = await bench.online()
    bench.answers[b"who"] = line(reply={"n": 1})
    header, tape = bench.devices.recorder("d")
    assert (header.driver, header.device) == ("test", "d")
    with tape.listen() as reel:
        link.say(line(a=1))
        await bench.execute("d", "who", {})
        link.lose()
        await until(lambda: link.opened == 2 and bench.view()["status"] == "online")
        told = reel.take()
    assert [moment.heard for moment in told if moment.heard is not None] == [line(a=1), line(reply={"n": 1})]
    assert [moment.said for moment in told if moment.said is not None] == [b"who", b"hello"]
    notes = [moment.note for moment in told if moment.note]
    assert notes[0].startswith("closed: ")
    assert notes[-1] == "opened"
    assert bench.store.values("a") == [1]


async def test_nothing_is_tapped_when_nobody_listens(bench: Bench) -> None:
    await bench.online()
    _, tape = bench.devices.recorder("d")
    pipeline = bench.devices._sessions["d"].pipeline
    with tape.listen(), tape.listen():
        assert pipeline.tap is not None
    assert pipeline.tap is None


def test_a_slow_listener_loses_the_oldest_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    tape = DeviceRecorder(lambda: 7.0, lambda used: None)
    with tape.listen() as reel:
        for number in range(5):
            tape.received(bytes([number]))
        told = reel.take()
        assert told[0] == RecordedMoment(7.0, note="2 moments went by faster than they were taken")
        assert [moment.heard for moment in told[1:]] == [b"\x02", b"\x03", b"\x04"]
        tape.received(b"x")
        assert [moment.heard for moment in reel.take()] == [b"x"]


def test_secrets_are_not_in_the_header() -> None:
    from gatepost.agent.settings.effective import without_secrets

    kind = Registry.installed().get("ble-advertisement").options_type
    options = {"format": "auto", "key": "00" * 16, "passkey": "123456"}
    assert without_secrets(options, kind) == {"format": "auto"}
