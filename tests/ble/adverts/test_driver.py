"""The driver: its options, its key, its twins."""

import msgspec
import pytest

from gatepost.drivers.ble.adverts import cipher
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement
from gatepost.drivers.ble.adverts.formats import NAMES
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, WrongDevice
from gatepost.drivers.metrics import METRICS, MOMENTARY
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import Reading

KEY = "231d39c1d7cc1ab1aee224cd096db932"


def test_it_listens_and_never_connects():
    driver = BleAdvertisement()
    assert (driver.transport, driver.advertisement, driver.streams) == ("ble", True, True)
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
    monkeypatch.setattr("gatepost.drivers.ble.adverts.driver.available", lambda: False)
    with pytest.raises(WrongOptions, match=r"--extras encrypted"):
        AdvertOptions(key=KEY)
    AdvertOptions()


def test_whether_the_package_is_there_is_asked_without_loading_it(monkeypatch):
    assert cipher.available()
    monkeypatch.setattr(cipher, "find_spec", lambda name: None)
    assert not cipher.available()


def test_a_cipher_opens_what_it_sealed_and_nothing_else():
    one, nonce = AdvertCipher(bytes.fromhex(KEY)), bytes(13)
    box = one.seal(nonce, b"plain", b"\x11")
    assert one.open(nonce, box, b"\x11") == b"plain"
    for wrong in (box[:-1], box[1:], b"", bytes(len(box))):
        with pytest.raises(FrameError, match="decrypt_failed"):
            one.open(nonce, wrong, b"\x11")
    with pytest.raises(FrameError, match="decrypt_failed"):
        one.open(nonce, box)
    with pytest.raises(ValueError, match="16"):
        AdvertCipher(b"short")


@pytest.mark.parametrize("name", ["auto", *NAMES])
def test_every_format_has_a_twin_that_is_understood(name):
    options = AdvertOptions(format=name, key=KEY if name == "victron" else "")
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
        assert len(readings) == len({item.bookmark for item in readings}) == 5
        assert abs(readings[-1].values["weight"] - twin.kilograms) < 0.01


@pytest.mark.parametrize("name", ["bthome", "mibeacon"])
def test_an_encrypted_twin(name):
    options = AdvertOptions(format=name, key=KEY)
    twin = BleAdvertisement.twin(options, seed=1)
    driver = BleAdvertisement(options)
    twin.tick()
    (reading, *_) = driver.decoder().feed(twin.advertisement())
    assert abs(reading.values["temperature"] - twin.temperature) < 0.06


@pytest.mark.parametrize("name", ["pvvx", "mi-body-scale"])
def test_the_other_broadcasters_of_the_catalogue(name):
    from gatepost.drivers.ble.twin.devices.catalogue import make

    twin = make(name, 1)
    decoder = BleAdvertisement().decoder()
    heard = []
    for _ in range(50):
        twin.tick()
        heard += [item for item in decoder.feed(twin.advertisement()) if isinstance(item, Reading)]
    wanted = {"body_weight", "body_composition"} if name == "mi-body-scale" else {"environment"}
    assert {item.metric for item in heard} == wanted
    assert decoder.faults.counts == {}


class Talk:
    """An Exchange that hears nothing, or what `happens` says, in the course of the waits."""

    def __init__(self, *happens) -> None:
        self.happens = list(happens)
        self.waits = []

    async def wait(self, match, timeout):
        self.waits.append(timeout)
        if not self.happens:
            raise AssertionError("it waits for ever")
        found = self.happens.pop(0)()
        for item in found or ():
            if match(item) is not None:
                return item
        raise TimeoutError


SEALED = [f"41a47266c95f730{number}11223378237214" for number in range(4)]


async def test_a_conversation_is_over_when_something_was_understood(ear, service):
    one = ear()
    io = Talk(lambda: one.all(service(0xFCD2, "4002ca09")))
    await one.driver.run_session(io)
    assert io.waits == [20.0]
    scale = ear()
    io = Talk(lambda: scale.all(service(0x181D, "021230e607020e10293a")))  # nobody stands still on it yet
    await scale.driver.run_session(io)
    assert io.waits == [20.0]


@pytest.mark.parametrize(("key", "word"), [("", "set its key"), ("0" * 32, "the key of this sensor")])
async def test_a_missing_or_wrong_key_is_told(ear, service, key, word):
    one = ear(key=key)
    hear = [lambda data=data: one.all(service(0xFCD2, data)) for data in SEALED]
    io = Talk(*hear)
    with pytest.raises(CommandFailed, match=word) as told:
        await one.driver.run_session(io)
    assert told.value.key == "wrong-key"
    assert io.waits == [20.0, 40.0, 80.0]


async def test_a_forged_payload_or_two_do_not_end_it(ear, service):
    one = ear(key=KEY)
    for data in SEALED[:2]:
        one.all(service(0xFCD2, data))
    with pytest.raises(AssertionError, match="for ever"):
        await one.driver.run_session(Talk(list))


async def test_a_device_that_speaks_nothing_known_is_another_one(ear, service):
    one = ear()
    hear = [lambda data=data: one.all(service(0xFE95, data)) for data in ("01", "02", "03")]
    with pytest.raises(WrongDevice, match="fe95"):
        await one.driver.run_session(Talk(*hear, list))
    sure = ear(format="bthome")
    for data in ("01", "02", "03"):
        sure.all(service(0xFE95, data))
    with pytest.raises(AssertionError, match="for ever"):
        await sure.driver.run_session(Talk(*([list] * 9)))


async def test_a_silent_one_is_waited_for_with_ever_longer_patience(ear):
    io = Talk(*([list] * 10))
    with pytest.raises(AssertionError, match="for ever"):
        await ear().driver.run_session(io)
    assert io.waits[:3] == [20.0, 40.0, 80.0]
    assert max(io.waits) == 3600.0
