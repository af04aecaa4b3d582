"""Battery, device information, user data."""

import pytest

from gatepost.drivers.ble.gatt import battery, user_data
from gatepost.drivers.ble.gatt import device_information as info
from gatepost.drivers.checksums import FrameError


def test_battery():
    assert [battery.decode(bytes((level, 7))) for level in (0, 15, 100)] == [0, 15, 100]
    for wrong in (101, 255):
        with pytest.raises(FrameError, match="out_of_range"):
            battery.decode(bytes((wrong,)))
    with pytest.raises(FrameError, match="truncated"):
        battery.decode(b"")


def test_battery_status():
    data = bytes.fromhex("07 2331 0201 55 01")
    found = battery.decode_status(data)
    assert (found.identifier, found.battery_pct, found.additional_status) == (0x102, 85, 1)
    assert found.power_state == 0x3123
    for end in range(len(data)):
        with pytest.raises(FrameError, match="truncated"):
            battery.decode_status(data[:end])
    with pytest.raises(FrameError, match="out_of_range"):
        battery.decode_status(bytes.fromhex("02 0100 65"))


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"UA-651BLE\0\0\0", "UA-651BLE"), (b"A&D  \0", "A&D"), (b"one\0two", "one"), ("Grüße".encode(), "Grüße"),
     (b"\xff1", "\ufffd1"), (b"", ""), (b"\0\0", "")],
)  # fmt: skip
def test_strings(raw, text):
    assert info.decode_text(raw) == text


def test_identities():
    found = info.decode_system_id(bytes.fromhex("8967452301 efcdab"))
    assert (found.manufacturer_id, found.oui, found.text) == (0x0123456789, 0xABCDEF, "abcdef0123456789")
    assert info.decode_pnp_id(bytes.fromhex("01180001003800")) == info.PnpId(1, 24, 1, 56)
    for decode, size in ((info.decode_system_id, 8), (info.decode_pnp_id, 7)):
        for end in range(size):
            with pytest.raises(FrameError, match="truncated"):
                decode(bytes(end))


def test_user_control():
    assert user_data.give_consent(2, 1234) == bytes.fromhex("0202d204")
    assert user_data.encode(user_data.UserDataOp.REGISTER, consent=1234) == bytes.fromhex("01d204")
    assert user_data.encode(user_data.UserDataOp.LIST_USERS) == b"\x04"
    found = user_data.decode(bytes.fromhex("20010103"))
    assert (found.request_op, found.text, found.user_index) == (1, "success", 3)
    assert user_data.decode(bytes.fromhex("200205")).text == "user-not-authorised"
    assert user_data.decode(bytes.fromhex("0202d204")) == user_data.UserControl(2, 2, 1234)
    assert user_data.decode(bytes.fromhex("01d204")) == user_data.UserControl(1, consent=1234)
    assert user_data.decode(b"\x03").op == user_data.UserDataOp.DELETE


@pytest.mark.parametrize(
    ("raw", "kind"),
    [("", "truncated"), ("2001", "truncated"), ("200101", "truncated"), ("01d2", "truncated"), ("0202d2", "truncated"),
     ("99", "unsupported")],
)  # fmt: skip
def test_user_control_refused(raw, kind):
    with pytest.raises(FrameError, match=kind):
        user_data.decode(bytes.fromhex(raw))


@pytest.mark.parametrize("numbers", [(256, 0), (1, 65536), (1, -1)])
def test_user_control_that_does_not_fit(numbers):
    with pytest.raises(ValueError, match=r"range|fit"):
        user_data.give_consent(*numbers)


def test_user_index_and_changes():
    assert user_data.decode_user_index(b"\x02") == 2
    assert user_data.decode_user_index(b"\xff") is None
    assert user_data.decode_change_increment(bytes.fromhex("01000080")) == 0x80000001
