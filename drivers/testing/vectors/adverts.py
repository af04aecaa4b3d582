"""Formats of advertisements under the names of the vectors."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts import atc, bthome, eddystone, govee, ibeacon, mi_scale, mibeacon, ruuvi, victron
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import mac_of, mac_text
from gatepost.drivers.ble.adverts.table.catalogue import TableIndex, built_in
from gatepost.drivers.ble.adverts.table.engine import TableFormat
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def _data(vector: Fields) -> bytes:
    return bytes.fromhex(vector["input_hex"])


def _secrets(vector: Fields) -> tuple[AdvertCipher | None, bytes | None]:
    key = vector.get("key_hex")
    return AdvertCipher(bytes.fromhex(key)) if key else None, mac_of(vector.get("mac") or "")


def _fields(found: msgspec.Struct) -> Fields:
    return {name: _plain(value) for name, value in msgspec.structs.asdict(found).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def bthome_v2(vector: Fields) -> Fields:
    packet = bthome.decode(_data(vector), *_secrets(vector))
    fields = {name: value for name, value in _fields(packet).items() if value is not None}
    fields["objects"] = [_object(found) for found in packet.objects]
    return fields


def _object(found: bthome.BtHomeObject) -> Fields:
    return {**msgspec.structs.asdict(found), **(bthome.event(found) if found.id in (0x3A, 0x3C) else {})}


def env_181a(vector: Fields) -> Fields:
    found = atc.decode(_data(vector), *_secrets(vector))
    return {name: value for name, value in _fields(found).items() if value is not None}


def _govee(vector: Fields, company: int) -> Fields:
    """A vector without a name is of a model that packs temperature and humidity."""
    name = vector.get("local_name") or "GVH5101"
    return _sound(govee.decode(_data(vector), vector.get("manufacturer_id", company), name))


def govee_plain(vector: Fields) -> Fields:
    """H5074 and H5051, whatever follows the battery."""
    return _sound(govee.decode_plain(_data(vector)[1:]))


def _sound(found: govee.GoveeMeasurement) -> Fields:
    if found.error:
        raise FrameError("sensor_error")
    return _fields(found)


def table_format(vector: Fields, form: TableFormat) -> Fields:
    """A vector without an address is of the device that stands in it."""
    data, place = _data(vector), form.spec.match.address
    whole = vector["manufacturer_id"].to_bytes(2, "little") + data if form.spec.data == "with-id" else data
    mac = mac_of(vector.get("mac") or "")
    if mac is None and place is not None:
        mac = whole[place.at : place.at + 6][:: -1 if place.order == "reversed" else 1]
    service = vector.get("service_data_uuid")
    services = (*vector.get("service_uuids", ()), *((service,) if service else ()))
    advert = ReceivedAdvert(
        mac_text(mac) if mac else "",
        vector.get("local_name") or "",
        service_data={_full(service): data} if service else {},
        manufacturer_data={} if service else {vector["manufacturer_id"]: data},
        services=tuple(map(_full, services)),
    )
    payload = next((payload for found, payload in TableIndex([form]).find(advert)), None)
    if payload is None:
        raise FrameError("unsupported")
    form.check(payload)
    return form.decode(payload)


def _full(service: str) -> str:
    return uuid(int(service, 16)) if len(service) == 4 else service.lower()


def mibeacon_frame(vector: Fields) -> Fields:
    found = mibeacon.decode(_data(vector), *_secrets(vector))
    fields = {name: value for name, value in _fields(found).items() if name not in ("values", "address")}
    fields["counter"] = found.counter
    return fields | found.values


def victron_record(vector: Fields) -> Fields:
    found = victron.decode(_data(vector), _secrets(vector)[0])
    return {"model": found.model, "record": found.record, "counter": found.counter, **found.values}


TABLE: Table = {
    "advert": {
        "bthome-v2": bthome_v2,
        "env-181a": env_181a,
        "ruuvi-df5": lambda vector: _fields(ruuvi.decode5(_data(vector))),
        "ruuvi-df3": lambda vector: _fields(ruuvi.decode3(_data(vector))),
        "govee-3b": partial(_govee, company=govee.COMPANY),
        "govee-h5074": govee_plain,
        "govee-h5179": partial(_govee, company=govee.H5179),
        "mi-scale-181d": lambda vector: _fields(mi_scale.decode(_data(vector))),
        "mi-scale-181b": lambda vector: _fields(mi_scale.decode_body(_data(vector))),
        **{form.name: partial(table_format, form=form) for form in built_in()},
        "mibeacon": mibeacon_frame,
        "victron": victron_record,
        "eddystone": lambda vector: _fields(eddystone.decode(_data(vector))),
        "ibeacon": lambda vector: _fields(ibeacon.decode(_data(vector))),
    }
}
