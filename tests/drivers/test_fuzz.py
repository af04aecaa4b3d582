"""Arbitrary octets in arbitrary pieces: no decoder raises, what it finds does not depend on the pieces, and it finds
the way back. What a twin says, cut and spoiled, is for test_kit_all.py; the longer run is tools/fuzz."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.drivers.driver import Registry
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.lines.driver import Lines, LinesOptions
from gatepost.drivers.serial.lines.fields import LineField
from gatepost.drivers.testing import driver_kit

REGISTRY = Registry.installed()
OCTETS = [
    name for name in REGISTRY.names if REGISTRY.get(name).transport not in ("ble", "mqtt")
]  # the others: tests/ble
LINES = [
    LinesOptions(max_line=80),
    LinesOptions(
        max_line=40, fields={"a": LineField("x", "V", 0.1, -3.0, ["1", 2]), "/b/0": LineField("y")}, device_time="t"
    ),
    LinesOptions(max_line=40, format="keyvalue"),
    LinesOptions(max_line=40, format="csv", columns=["a", "", "b"], fields={"a": LineField(scale=10)}),
    LinesOptions(max_line=40, format="regex", pattern=r"(?P<a>\S+)(?: (?P<b>\S+))?"),
    LinesOptions(max_line=40, format="keyvalue", line_end="\r\n", encoding="latin-1", separator=":", delimiter="|"),
]
LINES_MAKERS = {f"lines-{i}": (lambda options=options: Lines(options)) for i, options in enumerate(LINES)}
MAKERS = LINES_MAKERS | {name: driver_kit.maker(REGISTRY.get(name)) for name in OCTETS if name != "lines"}

NOISE = st.binary(max_size=300)
TEXT = st.text('{}[]":,=;.-+|ab01e9 \t\r\n\0\u00b0nultrfs', max_size=300).map(lambda text: text.encode())
PARTS = [b"\x86\x32\x05\x48\x61", b"\x01\xe0\x85\xb3\x96\xc1\xe1\xff\xff", b"\x0c\x80", b"\x86", b"\x01", b"\xff"]
PARTS += [b"ST,+0001.234 kg\r\n", b"OL,", b'{"a":1}\n', b"a=1\n"]
PARTS += [b"804C4C4960", b"\x02\0\x0a\0", b"\x05", b"\x021A\r\x0382\r\n", b"\x04", b"$WIMTW,1,C*22\r\n"]
FRAMES = st.lists(st.sampled_from(PARTS)).map(b"".join)
DATA = st.one_of(NOISE, TEXT, FRAMES)
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=10)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def readings(items):
    return [item for item in items if isinstance(item, Reading)]


@pytest.mark.parametrize("name", MAKERS)
@QUICK
@given(data=DATA, sizes=SIZES)
def test_any_octets_in_any_pieces(name, data, sizes, pieces):
    driver = MAKERS[name]()
    whole, cut = driver.decoder(), MAKERS[name]().decoder()
    found = whole.feed(data)
    again = [item for piece in pieces(data, sizes) for item in cut.feed(piece)]
    assert readings(again) == readings(found)
    assert cut.faults.counts == whole.faults.counts
    driver_kit.assert_well_formed(driver, again)


@pytest.mark.parametrize("name", LINES_MAKERS)
@QUICK
@given(data=DATA)
def test_it_finds_the_way_back_after_garbage(name, data):
    driver = MAKERS[name]()
    decoder, twin = driver.decoder(), driver.twin(driver.options, seed=1)
    decoder.feed(data)
    decoder.feed(b"\r\n\r\n")
    before = decoder.faults.total
    found = [item for _ in range(20) for item in decoder.feed(twin.tick()) if isinstance(item, Reading)]
    assert len(found) >= 15
    assert decoder.faults.total - before <= 1


@pytest.mark.parametrize("name", MAKERS)
def test_memory_stays_bounded(name):
    for data in (b"\x80" * 4096, b"\x01\x80" * 2048, b"{" * 4096, b"\xff" * 4096, b"a=" * 2048, b"\x86\x01" * 2048):
        decoder = MAKERS[name]().decoder()
        for _ in range(50):
            decoder.feed(data)
        assert driver_kit.held(decoder) < 20_000


@pytest.mark.parametrize("name", OCTETS)
@QUICK
@given(
    data=st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"Q\r\n", b"\x7d\x81\xa1\x80\x80\x80\x80\x80\x80"]))
    )
)
def test_a_twin_takes_anything(name, data):
    driver = driver_kit.maker(REGISTRY.get(name))()
    twin = driver.twin(driver.options, seed=1)
    for words in data:
        assert isinstance(twin.hear(words), bytes)
    assert isinstance(twin.tick(), bytes)
