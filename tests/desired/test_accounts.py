"""Accounts of what the broker acknowledged: exact over restarts and resends, and compared with what arrived."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from gatepost.agent.app import App
from gatepost.agent.fleet.accounts import AccountMessage, DeliveryAccounts
from tests.api.real import running, written
from tests.desired.signing import GATEWAY
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto
from tests.uplink.broker import running as serving
from tests.uplink.gateway import Listener, listening

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")
ROOT = f"gateways/{GATEWAY}"
LONG = 30.0


async def put(app: App, count: int) -> None:
    series = app.store.series("d", None, {"metric_type": "reading", "units": {}, "quality": "good", "flags": []})
    seqs = [app.store.append(series, app.clock.now(), orjson.dumps({"n": n})) for n in range(count)]
    await app.store.stored(seqs[-1])


async def told(app: App, listener: Listener, readings: int) -> dict[str, Any]:
    """The accounts by epoch, once the broker owes nothing and has so many readings."""
    link = app.brokers.get("a")
    assert link is not None
    position = app.store.backlog.position("a")
    await until(lambda: len(arrived(listener)) >= readings, LONG)
    await until(lambda: not position.owed[0].within(0, app.store.head + 1), LONG)
    seen = len(listener.on(f"{ROOT}/account"))
    app.fleet.running.accounts.connected()
    await until(lambda: len(listener.on(f"{ROOT}/account")) > seen, LONG)
    await until(lambda: sum(account["sent"] for account in newest(listener).values()) >= readings, LONG)
    return newest(listener)


def newest(listener: Listener) -> dict[str, Any]:
    return {account["epoch"]: account for account in listener.on(f"{ROOT}/account")}


def arrived(listener: Listener) -> set[tuple[str, int]]:
    ids = [reading["id"].split(":") for reading in listener.on(f"{ROOT}/devices/d/data")]
    return {(epoch, int(seq)) for _, epoch, seq in ids}


def missing(account: dict[str, Any], listener: Listener) -> int:
    """As the fleet counts it."""
    lo, hi = account["from_seq"], account["upto_seq"]
    return account["sent"] - sum(epoch == account["epoch"] and lo <= seq <= hi for epoch, seq in arrived(listener))


def store_of(owed: list[int], *epochs: str) -> Any:
    """A store in which a broker owes so many readings whenever it is asked; the last number stays."""
    counts = SimpleNamespace(first=1, last=2, sent=2, skipped=0, gaps=0)
    known = dict.fromkeys(epochs, counts)
    position = SimpleNamespace(
        account=SimpleNamespace(epochs=known, forget=known.pop), restore_account=lambda *_: True, owed={}
    )

    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    async def none(_: str) -> None:
        return None

    async def owed_to(_: str) -> int:
        return owed.pop(0) if len(owed) > 1 else owed[0]

    return SimpleNamespace(
        key_value=SimpleNamespace(with_prefix=nothing, put=nothing, get=none),
        backlog=SimpleNamespace(position=lambda _: position, owed_to=owed_to),
        epochs=SimpleNamespace(of=None, span=lambda _: None),
    )


async def test_what_is_owed_is_told_when_it_changes() -> None:
    told = []

    async def publish(message: AccountMessage) -> None:
        told.append(message.owed)

    clock: Any = HandClock()
    accounts = DeliveryAccounts(store_of([5, 5, 0], "e1"), GATEWAY, clock, publish)
    await accounts.keep("a")
    for _ in range(4):
        assert await accounts._tell() is False
    assert told == [5, 0]


async def test_a_broker_that_is_counted_no_more_while_it_is_told_ends_the_telling() -> None:
    told = []

    async def publish(message: AccountMessage) -> None:
        told.append((message.broker, message.epoch))
        await accounts.keep(None)

    clock: Any = HandClock()
    accounts = DeliveryAccounts(store_of([0], "e1", "e2"), GATEWAY, clock, publish)
    await accounts.keep("a")
    accounts.connected()
    assert await accounts._tell() is False
    assert told == [("a", "e1")]


async def test_what_was_acknowledged_is_counted_once_over_restarts_and_resends(tmp_path: Path) -> None:
    async with serving(Mosquitto(tmp_path / "broker")) as broker, listening(broker.url, (f"{ROOT}/#",)) as listener:
        settings: dict[str, Any] = {"url": broker.url, "layout": "gateway", "routes": []}
        sections: dict[str, Any] = {
            "gateway": {"id": GATEWAY, "state_dir": str(tmp_path / "state")},
            "brokers": {"a": settings},
            "fleet": {"broker": "a"},
        }
        config = written(tmp_path, **sections)
        async with running(config) as (app, _):
            await put(app, 300)
            first = await told(app, listener, 300)
            (account,) = first.values()
            assert (account["sent"], account["broker"], account["gateway_id"]) == (300, "a", GATEWAY)
            assert (account["skipped"], account["gaps"], account["owed"], missing(account, listener)) == (0, 0, 0, 0)
            await app.store.backlog.mark_for_resend(0, None, None)
            link = app.brokers.get("a")
            assert link is not None
            link.requeue()
            seen = len(listener.on(f"{ROOT}/devices/d/data"))
            await until(lambda: len(listener.on(f"{ROOT}/devices/d/data")) >= seen + 300, LONG)
            assert (await told(app, listener, 300))[account["epoch"]]["sent"] == 300
        async with running(config) as (app, _):
            await put(app, 50)
            accounts = await told(app, listener, 350)
            assert sorted(each["sent"] for each in accounts.values()) == [50, 300]
            assert not any(missing(each, listener) for each in accounts.values())
            position = app.store.backlog.position("a")
            assert position.account is not None
            await until(lambda: account["epoch"] not in position.account.epochs, LONG)  # told, and over
        settings["routes"] = [{"devices": ["other"]}]
        config = written(tmp_path, **sections)
        async with running(config) as (app, _):
            await put(app, 20)
            position = app.store.backlog.position("a")
            await until(lambda: not position.owed[0].within(0, app.store.head + 1), LONG)
            assert position.account is not None
            (now,) = (each for name, each in position.account.epochs.items() if name == app.store.epochs.current)
            assert (now.sent, now.skipped) == (0, 20)
        sections["fleet"] = {}
        config = written(tmp_path, **sections)
        async with running(config) as (app, _):  # deliveries that nobody counts
            await put(app, 20)
            position = app.store.backlog.position("a")
            await until(lambda: not position.owed[0].within(0, app.store.head + 1), LONG)
            assert position.account is None
        settings["routes"], sections["fleet"] = [], {"broker": "a"}
        config = written(tmp_path, **sections)
        async with running(config) as (app, _):
            position = app.store.backlog.position("a")
            assert position.account is not None
            assert (position.account.epochs, position.account.floor) == ({}, app.store.head + 1)  # counted anew


async def test_what_was_sent_under_another_gateway_id_is_not_counted_under_this_one(tmp_path: Path) -> None:
    async with serving(Mosquitto(tmp_path / "broker")) as broker, listening(broker.url, (f"{ROOT}/#",)) as listener:
        gateway = {"id": GATEWAY, "state_dir": str(tmp_path / "state")}
        sections: dict[str, Any] = {
            "gateway": gateway,
            "brokers": {"a": {"url": broker.url, "layout": "gateway"}},
            "fleet": {"broker": "a"},
        }
        config = written(tmp_path, **sections)
        async with running(config) as (app, _http):
            await put(app, 10)
            await told(app, listener, 10)
        gateway["id"] = "ward-new"
        async with running(written(tmp_path, **sections)) as (app, _http):
            account = app.store.backlog.position("a").account
            assert account is not None
            assert (account.epochs, account.floor) == ({}, app.store.head + 1)  # counted anew
            assert app.store.reading_id(app.store.head).startswith(f"{GATEWAY}:")
