"""Any octets: decoders refuse and never raise anything else; the driver's decoder never raises and stays small."""

import contextlib
import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.ble.adverts import atc, bthome, eddystone, govee, ibeacon, mi_scale, ruuvi
from gatepost.drivers.ble.adverts.advert_history import MOST_PLACES, AdvertHistory
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoder import AdvertDecoder
from gatepost.drivers.ble.adverts.formats import FORMATS, recognise
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading

KEY = bytes(range(16))
CIPHER, MAC = AdvertCipher(KEY), bytes.fromhex("a4c138d5d498")
DECODERS = [
    bthome.decode,
    lambda data: bthome.decode(data, CIPHER, MAC),
    atc.decode,
    lambda data: atc.decode(data, CIPHER, MAC),
    ruuvi.decode3,
    ruuvi.decode5,
    govee.decode,
    lambda data: govee.decode(data, 0x0001),
    lambda data: govee.decode(data, 0x8801),
    lambda data: govee.decode(data, 0xEC88, "Govee_H5074"),
    govee.decode_packed,
    govee.decode_plain,
    mi_scale.decode,
    mi_scale.decode_body,
    eddystone.decode,
    ibeacon.decode,
]
HEADS = [b"\x40", b"\x41", b"\x42", b"\x43", b"\x44", b"\x05", b"\x03", b"\x02\x15", b"\x10", b"\x20\0", b"\0", b"\x22"]
NOISE = st.binary(max_size=40)
SHAPED = st.tuples(st.sampled_from(HEADS), NOISE).map(b"".join)
SIZED = st.sampled_from([6, 7, 8, 9, 10, 11, 13, 14, 15, 20, 23, 24]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)
DATA = st.one_of(NOISE, SHAPED, SIZED)
QUICK = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize("decode", DECODERS)
@QUICK
@given(data=DATA)
def test_a_decoder_gives_fields_or_refuses(decode, data):
    with contextlib.suppress(FrameError):
        decode(data)


@given(body=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=5)), max_size=6))
@QUICK
def test_objects_that_fit_are_all_read(body):
    """Whatever is there is read in order, to the first object that cannot be."""
    data = b"\x40" + b"".join(bytes((number,)) + value for number, value in body)
    packet = bthome.decode(data)
    assert packet.cut or sum(_length(found, data) for found in packet.objects) == len(data) - 1


def _length(found, data):
    kind = bthome.KINDS[found.id]
    if kind.size:
        return 1 + kind.size
    if kind.form == "raw":
        return 2 + len(found.value) // 2
    return 2 + len(found.value.encode()) if "\ufffd" not in found.value else _rest(data, found)


def _rest(data, found):
    """Octets that were no UTF-8 cannot be counted by what they became: by the length octet then."""
    at = data.index(bytes((found.id,)), 1)
    return 2 + data[at + 1]


PLACES = [form.key for form in FORMATS]
SERVICES = st.dictionaries(st.sampled_from([key for key in PLACES if isinstance(key, str)]), DATA, max_size=3)
MAKERS = st.dictionaries(st.sampled_from([key for key in PLACES if isinstance(key, int)] + [0x1234]), DATA, max_size=3)
NAMES = st.sampled_from(["", "GVH5075", "Govee_H5074"])
ADDRESSES = st.sampled_from(["A4:C1:38:D5:D4:98", "", "1B2D3C4D-0000-1111-2222-333344445555"])
ADVERTS = st.builds(ReceivedAdvert, ADDRESSES, NAMES, st.none() | st.integers(-100, 0), SERVICES, MAKERS)


@pytest.mark.parametrize("key", [b"", KEY])
@QUICK
@given(adverts=st.lists(st.tuples(ADVERTS, st.floats(0, 1000)), max_size=8))
def test_the_decoder_never_raises(key, adverts):
    now = [0.0]
    decoder = AdvertDecoder(lambda: now[0], key=key)
    for advert, seconds in adverts:
        now[0] += seconds
        for item in decoder.feed(advert):
            check(item)
        for name, title, options in recognise(advert):
            assert name
            assert title
            assert options["format"] == name


def check(item):
    if not isinstance(item, Reading):
        orjson.dumps(item.fields)
        return
    assert item.quality in (GOOD, UNCERTAIN, BAD)
    assert item.units.keys() <= item.values.keys()
    assert all(flag.partition(":")[0] not in item.values for flag in item.flags)
    orjson.dumps(item.values)
    for value in item.values.values():
        assert not isinstance(value, float) or math.isfinite(value)


def test_memory_stays_bounded():
    history, now = AdvertHistory(), [0.0]
    decoder = AdvertDecoder(lambda: now[0], history=history)
    for number in range(5000):
        now[0] += 1
        body = number.to_bytes(2, "big")
        services = {PLACES[0]: b"\x40" + body + bytes(4), FORMATS[-2].key: body[1:] + bytes(20)}
        decoder.feed(
            ReceivedAdvert(f"A4:C1:38:00:{body[0]:02X}:{body[1]:02X}", "", -60, services, {0x0499: b"\x05" + body * 12})
        )
    assert len(history._places) <= MOST_PLACES
    assert len(history._states) <= 64
    assert len(history._marks) <= 8


def test_the_next_good_payload_is_understood_after_any_garbage():
    good = ReceivedAdvert("A4:C1:38:D5:D4:98", "", -60, {PLACES[0]: bytes.fromhex("4002ca0903bf13")})

    @QUICK
    @given(adverts=st.lists(ADVERTS, max_size=5))
    def garbage(adverts):
        now = [0.0]
        decoder = AdvertDecoder(lambda: now[0], wanted="bthome")
        for advert in adverts:
            decoder.feed(advert)
        now[0] += 11
        assert decoder.feed(good)[0].values == {"temperature": 25.06, "humidity": 50.55}

    garbage()
