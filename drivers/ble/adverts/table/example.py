"""Example of a format as an advertisement: for tests, for the check of a user's format, and for simulated devices."""

from __future__ import annotations

from gatepost.drivers.ble.adverts.decoded_advert import mac_text
from gatepost.drivers.ble.adverts.table.engine import TableFormat
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

ANYBODY = "AA:BB:CC:DD:EE:FF"


def example_of(form: TableFormat) -> ReceivedAdvert | None:
    """From the address that stands in it, where the format says so."""
    example, match = form.spec.example, form.spec.match
    if example is None:
        return None
    data, number, place = bytes.fromhex(example.data), int(example.id, 16), match.address
    address = ANYBODY
    if place is not None:
        whole = number.to_bytes(2, "little") + data if form.spec.data == "with-id" else data
        address = mac_text(whole[place.at : place.at + 6][:: -1 if place.order == "reversed" else 1])
    service = uuid(number) if match.carrier == "service" else ""
    beside = match.service_uuid[:1]
    services = [uuid(int(text, 16)) if len(text) == 4 else text.lower() for text in beside]
    return ReceivedAdvert(
        address,
        example.local_name,
        -60,
        {service: data} if service else {},
        {} if service else {number: data},
        (*services, service) if service else tuple(services),
    )
