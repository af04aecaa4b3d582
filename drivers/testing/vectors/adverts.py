"""Formats of advertisements under the names of the vectors."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts import atc, bthome, eddystone, govee, ibeacon, mi_scale, ruuvi
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import mac_of
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


def ruuvi5(vector: Fields) -> Fields:
    return _fields(ruuvi.decode5(_data(vector)))


def ruuvi3(vector: Fields) -> Fields:
    return _fields(ruuvi.decode3(_data(vector)))


def _govee(vector: Fields, company: int) -> Fields:
    """A vector without a name is of a model that packs temperature and humidity."""
    name = vector.get("local_name") or "GVH5101"
    return _sound(govee.decode(_data(vector), vector.get("manufacturer_id", company), name))


def govee_with_dust(vector: Fields) -> Fields:
    found = govee.decode(_data(vector), govee.NEWER, vector["local_name"])
    return {"temperature": found.temperature_c, "humidity": found.humidity_pct, "pm25": found.pm25_ug_m3}


def govee_plain(vector: Fields) -> Fields:
    """H5074 and H5051, whatever follows the battery."""
    return _sound(govee.decode_plain(_data(vector)[1:]))


def _sound(found: govee.GoveeMeasurement) -> Fields:
    if found.error:
        raise FrameError("sensor_error")
    return _fields(found)


def scale(vector: Fields) -> Fields:
    return _fields(mi_scale.decode(_data(vector)))


def body_scale(vector: Fields) -> Fields:
    return _fields(mi_scale.decode_body(_data(vector)))


def eddystone_frame(vector: Fields) -> Fields:
    return _fields(eddystone.decode(_data(vector)))


def ibeacon_frame(vector: Fields) -> Fields:
    return _fields(ibeacon.decode(_data(vector)))


TABLE: Table = {
    "advert": {
        "bthome-v2": bthome_v2,
        "env-181a": env_181a,
        "ruuvi-df5": ruuvi5,
        "ruuvi-df3": ruuvi3,
        "govee-3b": partial(_govee, company=govee.COMPANY),
        "govee-h5074": govee_plain,
        "govee-h5106": govee_with_dust,
        "govee-h5179": partial(_govee, company=govee.H5179),
        "mi-scale-181d": scale,
        "mi-scale-181b": body_scale,
        "eddystone": eddystone_frame,
        "ibeacon": ibeacon_frame,
    }
}
