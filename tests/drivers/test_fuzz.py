"""Arbitrary octets in arbitrary pieces: no decoder raises, what it finds does not depend on the pieces, and it finds
the way back."""

import math

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.driver import Registry
from drivers.reading import BAD, GOOD, UNCERTAIN, Reading, Reply
from drivers.serial.line_fields import Field
from drivers.serial.lines import LinesOptions

REGISTRY = Registry.installed()
OCTETS = [name for name in REGISTRY.names if REGISTRY.get(name).transport != "ble"]  # the others: tests/ble
ASKED = ("astm-glucose", "modbus-rtu", "onetouch-ultra2")  # say nothing unless spoken to: their own tests do that
LINES = [
    LinesOptions(max_line=80),
    LinesOptions(max_line=40, fields={"a": Field("x", "V", 0.1, -3.0, ["1", 2]), "/b/0": Field("y")}, device_time="t"),
    LinesOptions(max_line=40, format="keyvalue"),
    LinesOptions(max_line=40, format="csv", columns=["a", "", "b"], fields={"a": Field(scale=10)}),
    LinesOptions(max_line=40, format="regex", pattern=r"(?P<a>\S+)(?: (?P<b>\S+))?"),
    LinesOptions(max_line=40, format="keyvalue", line_end="\r\n", encoding="latin-1", separator=":", delimiter="|"),
]
MAKERS = {f"lines-{i}": (REGISTRY.get("lines"), options) for i, options in enumerate(LINES)}
MAKERS |= {name: (REGISTRY.get(name), None) for name in OCTETS if name != "lines"}

NOISE = st.binary(max_size=300)
TEXT = st.text('{}[]":,=;.-+|ab01e9 \t\r\n\0\u00b0nultrfs', max_size=300).map(lambda text: text.encode())
PARTS = [b"\x86\x32\x05\x48\x61", b"\x01\xe0\x85\xb3\x96\xc1\xe1\xff\xff", b"\x0c\x80", b"\x86", b"\x01", b"\xff"]
PARTS += [b"ST,+0001.234 kg\r\n", b"OL,", b'{"a":1}\n', b"a=1\n"]
PARTS += [b"804C4C4960", b"\x02\0\x0a\0", b"\x05", b"\x021A\r\x0382\r\n", b"\x04", b"$WIMTW,1,C*22\r\n"]
FRAMES = st.lists(st.sampled_from(PARTS)).map(b"".join)
DATA = st.one_of(NOISE, TEXT, FRAMES)
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=10)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make(name):
    driver, options = MAKERS[name]
    return driver(options).decoder()


def check(item):
    """What every driver promises about what it hands on."""
    if isinstance(item, Reply):
        return
    assert isinstance(item, Reading)
    assert item.quality in (GOOD, UNCERTAIN, BAD)
    assert item.units.keys() <= item.values.keys()
    orjson.dumps(item.values)
    for value in item.values.values():
        for number in value if isinstance(value, list) else [value]:
            assert not isinstance(number, float) or math.isfinite(number)


@pytest.mark.parametrize("name", MAKERS)
@QUICK
@given(data=DATA, sizes=SIZES)
def test_any_octets_in_any_pieces(name, data, sizes, pieces):
    whole, cut = make(name), make(name)
    found = whole.feed(data)
    again = [item for piece in pieces(data, sizes) for item in cut.feed(piece)]
    assert again == found
    assert cut.faults.counts == whole.faults.counts
    for item in found:
        check(item)


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ASKED])
@QUICK
@given(data=DATA)
def test_it_finds_the_way_back_after_garbage(name, data):
    driver, options = MAKERS[name]
    decoder, twin = driver(options).decoder(), driver.twin(options, seed=1)
    for words in driver(options).greeting():
        twin.hear(words)
    decoder.feed(data)
    decoder.feed(b"\r\n\r\n")
    before = decoder.faults.total
    asked = driver(options).keep_alive.data if driver(options).keep_alive else b""  # some speak only when asked
    said = (twin.hear(asked) + twin.tick() for _ in range(20))
    found = [item for words in said for item in decoder.feed(words) if isinstance(item, Reading)]
    assert len(found) >= 15
    assert decoder.faults.total - before <= 1


@pytest.mark.parametrize("name", MAKERS)
def test_memory_stays_bounded(name):
    for data in (b"\x80" * 4096, b"\x01\x80" * 2048, b"{" * 4096, b"\xff" * 4096, b"a=" * 2048, b"\x86\x01" * 2048):
        decoder = make(name)
        for _ in range(50):
            decoder.feed(data)
        assert _held(decoder) < 1000


def _held(thing, depth=0):
    """The longest bytes object kept anywhere inside of a decoder."""
    if isinstance(thing, (bytes, bytearray)):
        return len(thing)
    if depth > 4 or not hasattr(thing, "__dict__"):
        return 0
    return max((_held(member, depth + 1) for member in vars(thing).values()), default=0)


@pytest.mark.parametrize("name", OCTETS)
@QUICK
@given(
    data=st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"Q\r\n", b"\x7d\x81\xa1\x80\x80\x80\x80\x80\x80"]))
    )
)
def test_a_twin_takes_anything(name, data):
    twin = REGISTRY.get(name).twin(seed=1)
    for words in data:
        assert isinstance(twin.hear(words), bytes)
    assert isinstance(twin.tick(), bytes)
