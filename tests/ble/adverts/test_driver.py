"""The driver: its options, its key, its twins."""

import msgspec
import pytest

from drivers.ble.advertisement import AdvertOptions, BleAdvertisement
from drivers.ble.adverts import cipher
from drivers.ble.adverts.cipher import Cipher
from drivers.ble.adverts.formats import NAMES
from drivers.frames import FrameError
from drivers.metrics import METRICS, MOMENTARY
from drivers.options import WrongOptions
from drivers.reading import Reading

KEY = "231d39c1d7cc1ab1aee224cd096db932"


def test_it_listens_and_never_connects():
    driver = BleAdvertisement()
    assert (driver.transport, driver.advertisement, driver.steady) == ("ble", True, True)
    assert {"event", "state"} <= MOMENTARY
    assert {value.name for value in METRICS["environment"].values} <= set(driver.value_names())
    assert {"door_open", "button", "energy", "weight", "impedance", "uuid"} <= set(driver.value_names())


def test_the_key_is_never_shown():
    options = AdvertOptions(key=KEY)
    assert KEY not in repr(options)
    assert KEY not in str(options)
    assert "key=''" in repr(AdvertOptions())


@pytest.mark.parametrize("key", ["abc", "g" * 32, "0" * 31, "0" * 33, "0" * 64])
def test_a_key_has_32_hex_digits(key):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"key": key}, AdvertOptions)


def test_a_key_for_a_format_that_is_never_encrypted_is_warned_about():
    (problem,) = AdvertOptions(format="ruuvi", key=KEY).problems()
    assert problem.warning
    assert problem.path == ("key",)
    assert AdvertOptions(format="atc", key=KEY).problems() == []


def test_a_key_without_the_package_is_refused_by_the_check(monkeypatch):
    monkeypatch.setattr("drivers.ble.advertisement.available", lambda: False)
    with pytest.raises(WrongOptions, match=r"gatepost\[encrypted\]"):
        AdvertOptions(key=KEY)
    AdvertOptions()


def test_whether_the_package_is_there_is_asked_without_loading_it(monkeypatch):
    assert cipher.available()
    monkeypatch.setattr(cipher, "find_spec", lambda name: None)
    assert not cipher.available()


def test_a_cipher_opens_what_it_sealed_and_nothing_else():
    one, nonce = Cipher(bytes.fromhex(KEY)), bytes(13)
    box = one.seal(nonce, b"plain", b"\x11")
    assert one.open(nonce, box, b"\x11") == b"plain"
    for wrong in (box[:-1], box[1:], b"", bytes(len(box))):
        with pytest.raises(FrameError, match="decrypt_failed"):
            one.open(nonce, wrong, b"\x11")
    with pytest.raises(FrameError, match="decrypt_failed"):
        one.open(nonce, box)
    with pytest.raises(ValueError, match="16"):
        Cipher(b"short")


@pytest.mark.parametrize("name", ["auto", *NAMES])
def test_every_format_has_a_twin_that_is_understood(name):
    options = AdvertOptions(format=name)
    twin = BleAdvertisement.twin(options, seed=3)
    now = [0.0]
    decoder = BleAdvertisement(options, clock=lambda: now[0]).decoder()
    heard = []
    for _ in range(100):
        twin.tick()
        now[0] += twin.interval
        for _ in range(3):
            heard += decoder.feed(twin.advertisement())
    readings = [item for item in heard if isinstance(item, Reading)]
    assert len(readings) >= 5
    assert decoder.faults.counts == {}
    if name in ("auto", "bthome", "atc", "govee"):
        assert abs(readings[-1].values.get("temperature", twin.temperature) - twin.temperature) < 0.2
    if name == "mi-scale":
        assert {item.metric for item in readings} == {"body_weight"}
        assert len(readings) == len({item.mark for item in readings}) == 5
        assert abs(readings[-1].values["weight"] - twin.kilograms) < 0.01


def test_an_encrypted_twin():
    options = AdvertOptions(format="bthome", key=KEY)
    twin = BleAdvertisement.twin(options, seed=1)
    driver = BleAdvertisement(options)
    twin.tick()
    (reading, *_) = driver.decoder().feed(twin.advertisement())
    assert abs(reading.values["temperature"] - twin.temperature) < 0.01


@pytest.mark.parametrize("name", ["pvvx", "mi-body-scale"])
def test_the_other_broadcasters_of_the_catalogue(name):
    from drivers.ble.twin.devices.catalogue import make

    twin = make(name, 1)
    decoder = BleAdvertisement().decoder()
    heard = []
    for _ in range(50):
        twin.tick()
        heard += [item for item in decoder.feed(twin.advertisement()) if isinstance(item, Reading)]
    wanted = {"body_weight", "body_composition"} if name == "mi-body-scale" else {"environment"}
    assert {item.metric for item in heard} == wanted
    assert decoder.faults.counts == {}
