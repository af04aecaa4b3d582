import pytest

from gatepost.drivers.ble.adverts import bthome
from gatepost.drivers.ble.adverts.bthome_objects import AIR, KINDS, OTHER, STATE
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.metrics import METRICS

BTHOME = 0xFCD2
KEY, MAC = "231d39c1d7cc1ab1aee224cd096db932", "54:48:E6:8F:80:A5"
SEALED = "41a47266c95f730011223378237214"  # temperature 25.06, humidity 50.55, counter 0x33221100
COUNTER = 0x33221100


def sealed(counter, plain="02ca0903bf13", key=KEY, info=0x41):
    nonce = bytes.fromhex(MAC.replace(":", "")) + b"\xd2\xfc" + bytes((info,)) + counter.to_bytes(4, "little")
    box = AdvertCipher(bytes.fromhex(key)).seal(nonce, bytes.fromhex(plain))
    return bytes((info,)).hex() + (box[:-4] + counter.to_bytes(4, "little") + box[-4:]).hex()


def test_air_and_other_quantities_are_metrics_of_their_own(ear, service):
    (air, other) = ear().hear(service(BTHOME, "4002ca0903bf130a138a140c020c"))
    assert (air.metric, air.values) == ("environment", {"temperature": 25.06, "humidity": 50.55})
    assert air.units == {"temperature": "Cel", "humidity": "%"}
    assert (other.metric, other.values) == ("reading", {"energy": 1346.067, "voltage": 3.074})
    assert other.units == {"energy": "kW.h", "voltage": "V"}
    assert air.quality == other.quality == "good"


def test_the_battery_is_status_and_part_of_the_reading(ear, service):
    heard = ear().all(service(BTHOME, "400161" + "02ca09"))
    assert heard[0].values == {"temperature": 25.06, "battery": 97}
    assert heard[1].fields == {"battery": 97}
    (only,) = ear().all(service(BTHOME, "400161"))
    assert only.fields == {"battery": 97}


def test_a_quantity_that_comes_twice(ear, service):
    (reading,) = ear().hear(service(BTHOME, "4002ca0902cf09451101"))
    assert reading.values == {"temperature": 25.06, "temperature_2": 25.11, "temperature_3": 27.3}
    assert set(reading.units) == set(reading.values)


def test_buttons_by_their_place(ear, service):
    (event,) = ear().hear(service(BTHOME, "4000013a003a043a80"))
    assert (event.metric, event.values) == ("event", {"button_2": "long-press", "button_3": "hold"})
    assert ear().hear(service(BTHOME, "4000013a00")) == []
    (other,) = ear().hear(service(BTHOME, "4000013a77"))
    assert other.values == {"button": "event-119"}


def test_a_dimmer_and_the_channel_of_an_event(ear, service):
    (event,) = ear().hear(service(BTHOME, "403c02056003"))
    assert event.values == {"dimmer": "rotate-right", "dimmer_steps": 5, "channel": 3}


def test_states_are_told_when_they_change(ear, service):
    one = ear()
    (first,) = one.hear(service(BTHOME, "4000011a00"))
    assert (first.metric, first.values) == ("state", {"door_open": False})
    one.wait(30)
    assert one.hear(service(BTHOME, "4000021a00")) == []
    (opened,) = one.hear(service(BTHOME, "4000031a01"))
    (closed,) = one.hear(service(BTHOME, "4000041a00"))
    assert (opened.values, closed.values) == ({"door_open": True}, {"door_open": False})
    one.wait(300)
    assert len(one.hear(service(BTHOME, "4000051a00"))) == 1


def test_time_text_and_firmware(ear, service):
    heard = ear().all(service(BTHOME, "40505d39616453024f4bf100010204"))
    assert heard[0].values == {"text": "OK"}
    assert heard[0].device_time == "2023-05-14T19:41:17"
    assert heard[1].fields == {"firmware": "4.2.1.0"}
    (never_set,) = ear().hear(service(BTHOME, "4002ca095000000000"))
    assert never_set.device_time is None


def test_text_that_is_no_utf8(ear, service):
    (reading,) = ear().hear(service(BTHOME, "405302ff41"))
    assert reading.values == {"text": "�A"}


@pytest.mark.parametrize(
    ("data", "fault"), [("4002ca09fe01", "unknown_object"), ("4002ca0903bf", "truncated"), ("4002ca0953", "truncated")]
)
def test_what_was_read_before_a_bad_object_stays(ear, service, data, fault):
    one = ear()
    (reading,) = one.hear(service(BTHOME, data))
    assert reading.values == {"temperature": 25.06}
    assert one.faults == {fault: 1}


def test_a_sensor_that_speaks_when_triggered_is_not_expected_to_speak(ear, service):
    one = ear()
    one.hear(service(BTHOME, "4002ca09"))
    assert one.driver.streams
    one.hear(service(BTHOME, "4404138a01"))
    assert not one.driver.streams


def test_encrypted(ear, service):
    one = ear(key=KEY.upper())
    (reading,) = one.hear(service(BTHOME, SEALED, MAC))
    assert reading.values == {"temperature": 25.06, "humidity": 50.55}
    assert one.faults == {}


@pytest.mark.parametrize(
    ("options", "address", "fault"),
    [
        ({}, MAC, "no_key"),
        ({"key": "0" * 32}, MAC, "decrypt_failed"),
        ({"key": KEY}, "54:48:E6:8F:80:A6", "decrypt_failed"),
        ({"key": KEY}, "1B2D3C4D-0000-1111-2222-333344445555", "no_address"),
    ],
)
def test_what_cannot_be_decrypted_is_counted_with_a_hint_and_without_the_key(ear, service, options, address, fault):
    one = ear(**options)
    assert one.all(service(BTHOME, SEALED, address)) == []
    assert one.faults == {fault: 1}
    assert KEY not in one.decoder.faults.last
    if fault != "no_address":
        assert "`key`" in one.decoder.faults.last


def test_a_key_rules_plain_payloads_out(ear, service):
    one = ear(key=KEY)
    assert one.all(service(BTHOME, "4002ca09", MAC)) == []
    assert one.faults == {"not_encrypted": 1}


def test_counters_must_increase(ear, service):
    one = ear(key=KEY)
    assert one.hear(service(BTHOME, sealed(10), MAC))
    assert one.hear(service(BTHOME, sealed(12, "02cb09"), MAC))
    assert one.hear(service(BTHOME, sealed(11, "02cc09"), MAC)) == []
    assert one.hear(service(BTHOME, sealed(10), MAC)) == []
    assert one.faults == {"replayed": 2}
    assert one.hear(service(BTHOME, sealed(12, "02cb09"), MAC)) == []  # the same again
    assert one.faults == {"replayed": 2}


def test_a_counter_wraps_and_begins_anew_after_silence(ear, service):
    one = ear(key=KEY)
    assert one.hear(service(BTHOME, sealed(0xFFFFFFFF), MAC))
    assert one.hear(service(BTHOME, sealed(0), MAC))
    assert one.hear(service(BTHOME, sealed(1000), MAC))
    one.wait(299)
    assert one.hear(service(BTHOME, sealed(1), MAC)) == []
    one.wait(2)
    assert one.hear(service(BTHOME, sealed(2), MAC))


def test_a_forged_counter_shuts_nobody_out(ear, service):
    one = ear(key=KEY)
    assert one.hear(service(BTHOME, sealed(10), MAC))
    assert one.hear(service(BTHOME, sealed(0x7000_0000, key="1" * 32), MAC)) == []
    assert one.hear(service(BTHOME, sealed(11), MAC))
    assert one.faults == {"decrypt_failed": 1}


def test_encrypted_with_the_address_in_the_payload():
    nonce = bytes.fromhex("5448e68f80a5") + b"\xd2\xfc\x43" + b"\1\0\0\0"
    box = AdvertCipher(bytes.fromhex(KEY)).seal(nonce, b"\x01\x61")
    data = b"\x43" + bytes.fromhex("a5808fe64854") + box[:-4] + b"\1\0\0\0" + box[-4:]
    packet = bthome.decode(data, AdvertCipher(bytes.fromhex(KEY)), bytes(6))  # it goes before the sender's
    assert packet.mac == MAC
    assert packet.counter == 1
    assert packet.objects == (bthome.BtHomeObject(1, "battery", 97),)
    with pytest.raises(FrameError, match="truncated"):
        bthome.decode(data[:10], AdvertCipher(bytes.fromhex(KEY)), None)


def test_the_table_is_sound():
    for number, kind in KINDS.items():
        assert 0 <= number <= 0xFF
        assert kind.size or kind.form
        if kind.place == STATE:
            assert (kind.size, kind.per) == (1, 1)
        if kind.place == AIR:
            value = METRICS["environment"].value(kind.value)
            assert value is not None, kind.value
            assert not kind.unit or kind.unit in value.units
        if kind.place == OTHER and kind.form == "":
            assert kind.unit or kind.value in ("count", "channel")
