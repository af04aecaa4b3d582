"""iBeacon and Eddystone: presence, and telemetry."""

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

APPLE, EDDYSTONE = 0x004C, 0xFEAA
IBEACON = "0215426c7565436861726d426561636f6e730efe1355c5"
UID, TLM = "00e700010203040506070809aabbccddeeff0000", "20000bb8168000000064000003e8"


def test_ibeacon(ear, maker):
    (reading,) = ear().hear(maker(APPLE, IBEACON))
    assert reading.metric == "presence"
    assert reading.values == {
        "uuid": "426c7565-4368-6172-6d42-6561636f6e73",
        "major": 3838,
        "minor": 4949,
        "tx_power": -59,
        "signal_strength": -60,
    }
    assert reading.units == {"tx_power": "dB[mW]", "signal_strength": "dB[mW]"}
    (unheard,) = ear().hear(maker(APPLE, IBEACON, rssi=None))
    assert "signal_strength" not in unheard.values


def test_a_beacon_is_told_again_while_it_is_there(ear, maker):
    one = ear(repeat=30)
    given = []
    for _ in range(61):
        given += one.hear(maker(APPLE, IBEACON))
        one.wait(1)
    assert len(given) == 3


def test_other_messages_of_apple_are_nothing(ear, maker):
    one = ear()
    assert one.all(maker(APPLE, "1005011c7a3b2f")) == []
    assert one.all(maker(APPLE, "02150102")) == []
    assert one.faults == {"unknown_format": 1}


def test_eddystone_frames_take_turns(ear, service):
    one = ear()
    first = [one.hear(service(EDDYSTONE, data)) for data in (UID, TLM)]
    assert first[0][0].values == {
        "namespace": "00010203040506070809",
        "instance": "aabbccddeeff",
        "tx_power": -25,
        "signal_strength": -60,
    }
    assert first[1][0].values == {"temperature": 22.5, "battery_voltage": 3000, "adverts": 100, "uptime": 100.0}
    assert first[1][0].units == {"temperature": "Cel", "battery_voltage": "mV", "uptime": "s"}
    one.wait(1)
    assert [one.hear(service(EDDYSTONE, data)) for data in (UID, TLM)] == [[], []]


def test_telemetry_that_a_beacon_does_not_have(ear, service):
    (reading,) = ear().hear(service(EDDYSTONE, "200000008000000000010000000f"))
    assert reading.values == {"adverts": 1, "uptime": 1.5}
    assert reading.flags == ("temperature:not-available", "battery_voltage:not-available")


def test_encrypted_telemetry_and_ephemeral_identifiers_are_passed_over(ear, service):
    one = ear()
    assert one.all(service(EDDYSTONE, "2001" + "00" * 16)) == []
    assert one.all(service(EDDYSTONE, "30ee0102030405060708")) == []
    assert one.faults == {"unknown_format": 1}


def test_url(ear, service):
    (reading,) = ear().hear(service(EDDYSTONE, "10ec03676f6f07"))
    assert reading.values["url"] == "https://goo.com"


def test_a_sensor_goes_before_the_beacon_beside_it(ear):
    one = ear()
    thermometer = {uuid(0x181A): bytes.fromhex("a4c138d5d49801453e510b7b62")}
    both = ReceivedAdvert("A4:C1:38:D5:D4:98", "", -60, thermometer, {APPLE: bytes.fromhex(IBEACON)})
    assert [item.metric for item in one.hear(both)] == ["environment"]
    assert [item.metric for item in ear(format="ibeacon").hear(both)] == ["presence"]
    alone = ReceivedAdvert("A4:C1:38:D5:D4:98", "", -60, {}, {APPLE: bytes.fromhex(IBEACON)})
    one.wait(301)
    assert [item.metric for item in one.hear(alone)] == ["presence"]


def test_a_beacon_does_not_hide_another(ear):
    frame = {uuid(EDDYSTONE): bytes.fromhex(UID)}
    both = ReceivedAdvert("A4:C1:38:D5:D4:98", "", -60, frame, {APPLE: bytes.fromhex(IBEACON)})
    values = [item.values for item in ear().hear(both)]
    assert [set(value) & {"uuid", "namespace"} for value in values] == [{"namespace"}, {"uuid"}]
