import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.gatt import pmd, pmd_data
from gatepost.drivers.ble.gatt.pmd import PmdFeatures, PmdSetting, PmdType
from gatepost.drivers.checksums import FrameError

TIME = (2_000_000_000).to_bytes(8, "little")
SMALL = st.integers(-7, 7)


def packed(deltas, width):
    """Differences as they travel: lowest bit first."""
    whole = 0
    for i, delta in enumerate(deltas):
        whole |= (delta & (1 << width) - 1) << i * width
    return whole.to_bytes((len(deltas) * width + 7) // 8, "little")


def test_requests():
    wanted = {PmdSetting.RESOLUTION_BITS: 14, PmdSetting.RATE_HZ: 130}
    assert pmd.start(PmdType.ECG, wanted) == bytes.fromhex("02000001820001010e00")
    assert pmd.stop(PmdType.ACC) == bytes.fromhex("0302")
    assert pmd.get_settings(PmdType.ECG) == bytes.fromhex("0100")
    assert pmd.start(PmdType.PPG, {PmdSetting.CHANNELS: 4}) == bytes.fromhex("0201040104")
    for wrong in ({PmdSetting.RATE_HZ: 65536}, {PmdSetting.RATE_HZ: -1}, {PmdSetting.FACTOR: 1}):
        with pytest.raises(ValueError, match=r"fit|factor"):
            pmd.start(PmdType.ECG, wrong)


def test_features():
    found = pmd.decode(bytes.fromhex("0f0500000000"))
    assert isinstance(found, PmdFeatures)
    assert [kind for kind in PmdType if found.has(kind)] == [PmdType.ECG, PmdType.ACC]


def test_settings_of_a_sensor():
    found = pmd.decode(bytes.fromhex("f0 01 02 00 00 00 04 1900 3200 6400 c800 01 01 1000 02 03 0200 0400 0800"))
    assert found.settings == {0: (25, 50, 100, 200), 1: (16,), 2: (2, 4, 8)}
    assert (found.op, found.type, found.text, found.more, found.factor) == (1, 2, "success", False, 1.0)


def test_the_factor_of_a_stream():
    assert pmd.decode(bytes.fromhex("f0 02 02 00 00 05 01 0000803e")).factor == 0.25


@pytest.mark.parametrize("raw", ["0000c07f", "0000807f"])
def test_a_factor_that_is_no_number_is_refused(raw):
    with pytest.raises(FrameError, match="out_of_range"):
        pmd.decode(bytes.fromhex("f0 02 02 00 00 05 01" + raw))


@pytest.mark.parametrize(("raw", "text"), [("f0 02 00 06 00", "already-in-state"), ("f0 02 00 0a", "invalid-mtu"),
                                           ("f0 02 00 63 00 00 09", "unknown")])  # fmt: skip
def test_requests_that_failed(raw, text):
    found = pmd.decode(bytes.fromhex(raw))
    assert (found.text, found.settings) == (text, {})


def test_a_setting_that_is_not_known_ends_them():
    assert pmd.decode(bytes.fromhex("f0 01 00 00 00 00 01 8200 63 01 00")).settings == {0: (130,)}


@pytest.mark.parametrize(("raw", "kind"), [("", "truncated"), ("0f", "truncated"), ("f0", "truncated"),
                         ("f00100", "truncated"), ("f0010000000001", "truncated"), ("f0010000000001 82", "truncated"),
                         ("01", "unsupported")])  # fmt: skip
def test_refused(raw, kind):
    with pytest.raises(FrameError, match=kind):
        pmd.decode(bytes.fromhex(raw))


def test_ecg():
    found = pmd_data.decode(b"\0" + TIME + b"\0" + bytes.fromhex("0280ff 028000 ffffff"))
    assert [sample[0] for sample in found.samples] == [-32766, 32770, -1]
    assert (found.timestamp_ns, found.frame_type, found.compressed, found.unit) == (2_000_000_000, 0, False, "uV")


@pytest.mark.parametrize(("form", "raw", "sample"), [(0, "f7ff7f", (-9, -1, 127)), (1, "f7ffffffe703", (-9, -1, 999)),
                                                     (2, "f7ffffffffffe70300", (-9, -1, 999))])  # fmt: skip
def test_acceleration(form, raw, sample):
    found = pmd_data.decode(b"\2" + TIME + bytes((form,)) + bytes.fromhex(raw) * 2)
    assert found.samples == (sample, sample)
    assert (found.unit, [each[2] for each in found.samples]) == ("m[g]", [sample[2]] * 2)


@given(st.lists(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=20), max_size=4))
def test_compressed(blocks):
    data = b"\2" + TIME + b"\x81" + bytes.fromhex("0a00 fbff 0000")
    expected = [(10, -5, 0)]
    for block in blocks:
        data += bytes((4, len(block))) + packed([delta for sample in block for delta in sample], 4)
        for sample in block:
            expected.append(tuple(old + delta for old, delta in zip(expected[-1], sample, strict=True)))
    found = pmd_data.decode(data)
    assert found.samples == tuple(expected)
    assert (found.compressed, found.frame_type, found.scale) == (True, 1, 1.0)


def test_compressed_type_0_is_in_g():
    assert pmd_data.decode(b"\2" + TIME + b"\x80" + bytes(6)).scale == 1000.0


def test_differences_of_no_bits():
    head = b"\2" + TIME + b"\x81" + bytes(6)
    assert pmd_data.decode(head + b"\0\3").samples == ((0, 0, 0),) * 4
    with pytest.raises(FrameError, match="bad_size"):
        pmd_data.decode(head + b"\0\xff" * 17)


def test_a_frame_without_samples():
    assert pmd_data.decode(b"\0" + TIME + b"\0").samples == ()
    assert pmd_data.decode(b"\2" + TIME + b"\x81").samples == ()


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", "truncated"), (b"\0" + TIME, "truncated"), (b"\0" + TIME + b"\0\1\2", "truncated"),
     (b"\2" + TIME + b"\1" + bytes(7), "truncated"), (b"\2" + TIME + b"\x81" + bytes(5), "truncated"),
     (b"\2" + TIME + b"\x81" + bytes(7), "truncated"), (b"\2" + TIME + b"\x81" + bytes(6) + b"\4\1\0", "truncated"),
     (b"\0" + TIME + b"\x63", "unsupported"), (b"\x63" + TIME + b"\0", "unsupported"),
     (b"\0" + TIME + b"\x80", "unsupported")],
)  # fmt: skip
def test_frames_refused(data, kind):
    with pytest.raises(FrameError, match=kind):
        pmd_data.decode(data)
