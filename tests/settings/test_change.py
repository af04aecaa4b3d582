from __future__ import annotations

from msgspec.structs import replace

from gatepost.agent.settings import changes
from gatepost.agent.settings.model import (
    ApiSettings,
    BrokerSettings,
    DeviceSettings,
    GatewaySettings,
    Settings,
    StoreSettings,
)

OLD = Settings(
    brokers={"a": BrokerSettings(url="mqtt://a"), "b": BrokerSettings(url="mqtt://b")},
    devices={"p": DeviceSettings(driver="x"), "q": DeviceSettings(driver="x"), "r": DeviceSettings(driver="x")},
)


def test_nothing_changed():
    found = changes(OLD, replace(OLD))
    assert not found
    assert found.keys() == []


def test_only_what_differs_is_named():
    new = replace(
        OLD,
        brokers={"b": BrokerSettings(url="mqtt://b", qos=2), "c": BrokerSettings(url="mqtt://c")},
        devices={
            "q": DeviceSettings(driver="x", patient="P"),
            "r": DeviceSettings(driver="x"),
            "s": DeviceSettings(driver="x"),
        },
        store=StoreSettings(keep=1.0),
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
    found = changes(OLD, replace(OLD, gateway=GatewaySettings(id="x", labels={"a": "b"}), api=ApiSettings(socket="/s")))
    assert found.sections == ("gateway", "api")
    assert found.at_start == ("gateway.id", "api.socket")
