"""Device Information service: System ID (2A23), strings (2A24 to 2A29), regulatory list (2A2A), PnP ID (2A50); GATT
Specification Supplement."""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor

STRINGS = {
    0x2A24: "model",
    0x2A25: "serial_number",
    0x2A26: "firmware",
    0x2A27: "hardware",
    0x2A28: "software",
    0x2A29: "manufacturer",
}


class SystemId(msgspec.Struct, frozen=True, gc=False):
    """System ID: the maker (24 bits, IEEE) and the device (40 bits)."""

    manufacturer_id: int
    oui: int

    @property
    def text(self) -> str:
        """The sixteen hex digits of an EUI-64."""
        return f"{self.oui:06x}{self.manufacturer_id:010x}"


class PnpId(msgspec.Struct, frozen=True, gc=False):
    """PnP ID. `vendor_source` 1 = Bluetooth SIG, 2 = USB; `version` as the maker counts."""

    vendor_source: int
    vendor_id: int
    product_id: int
    version: int


def decode_text(data: bytes) -> str:
    """Without what devices fill strings up with: it ends at the first NUL, blanks at the end do not count. Octets that
    are no UTF-8 become U+FFFD."""
    return data.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()


def decode_system_id(data: bytes) -> SystemId:
    cursor = ValueCursor(data)
    return SystemId(cursor.uint(5), cursor.uint(3))


def decode_pnp_id(data: bytes) -> PnpId:
    cursor = ValueCursor(data)
    return PnpId(cursor.u8(), cursor.u16(), cursor.u16(), cursor.u16())
