from __future__ import annotations

from msgspec.structs import replace

from gatepost.agent.settings import changes
from gatepost.agent.settings.model import Api, Broker, Device, Gateway, Settings, Store

OLD = Settings(
    brokers={"a": Broker(url="mqtt://a"), "b": Broker(url="mqtt://b")},
    devices={"p": Device(driver="x"), "q": Device(driver="x"), "r": Device(driver="x")},
)


def test_nothing_changed():
    found = changes(OLD, replace(OLD))
    assert not found
    assert found.keys() == []


def test_only_what_differs_is_named():
    new = replace(
        OLD,
        brokers={"b": Broker(url="mqtt://b", qos=2), "c": Broker(url="mqtt://c")},
        devices={"q": Device(driver="x", patient="P"), "r": Device(driver="x"), "s": Device(driver="x")},
        store=Store(keep=1.0),
    )
    found = changes(OLD, new)
    assert found.brokers.added == ("c",)
    assert found.brokers.removed == ("a",)
    assert found.brokers.changed == ("b",)
    assert found.devices.added == ("s",)
    assert found.devices.removed == ("p",)
    assert found.devices.changed == ("q",)
    assert found.sections == ("store",)
    assert found.at_start == ()
    assert found.keys()[:3] == ["store", "brokers.c added", "brokers.a removed"]


def test_what_waits_for_the_next_start():
    found = changes(OLD, replace(OLD, gateway=Gateway(id="x", labels={"a": "b"}), api=Api(socket="/s")))
    assert found.sections == ("gateway", "api")
    assert found.at_start == ("gateway.id", "api.socket")
