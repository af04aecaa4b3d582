"""Format `fhir`: one transaction Bundle a reading (R4, R5), taken twice without a second Observation.

Source: HL7 Personal Health Device implementation guide; resources are plain objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import orjson

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.uplink.formats.fhir_codes import (
    CONTINUA,
    EUI48,
    LOINC,
    MDC,
    PRESSURE_PANEL,
    UCUM,
    absent,
    category,
    coded,
    coding,
    codings,
    specialisation,
)
from gatepost.agent.uplink.formats.interface import (
    COMMAND_TOPICS,
    STATUS_TOPICS,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    OutgoingMessage,
    PayloadFormat,
    contract_channels,
)
from gatepost.agent.uplink.formats.scalar import metric_name
from gatepost.agent.uplink.formats.stored_reading import COUNTS, StoredReading
from gatepost.drivers.catalogue import LIST
from gatepost.drivers.ucum import is_code

Described = msgspec.Meta
Uri = Annotated[str, Described(pattern=r"^[^\s|]+$")]
Resource = dict[str, Any]
GATEWAY_EXTENSION = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"
KPA_TO_MMHG = 7.500615613
PRESSURES = ("systolic", "diastolic", "mean")
# What would end the value in a query (URL), or make several values of it (FHIR search).
IN_A_QUERY = str.maketrans({each: f"%{ord(each):02X}" for each in "%&+#"} | {each: f"\\{each}" for each in "\\,$|"})


class FhirSystems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Identifier systems (URIs) of patients, devices and readings."""

    patient: Annotated[Uri, Described(description="of patient references")] = "urn:gatepost:patient"
    device: Annotated[Uri, Described(description="of devices")] = "urn:gatepost:device"
    reading: Annotated[Uri, Described(description="of readings")] = "urn:gatepost:reading"


class FhirOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `fhir`."""

    version: Annotated[Literal["R4", "R5"], Described(description="of FHIR")] = "R4"
    device_zone: Annotated[
        str | None, Described(description="time zone of the devices' clocks, for example Europe/Berlin")
    ] = None
    systems: Annotated[FhirSystems, Described(description="identifier systems")] = FhirSystems()

    def __post_init__(self) -> None:
        if self.device_zone is not None:
            try:
                ZoneInfo(self.device_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"{self.device_zone} is not a time zone that this system knows") from None


class FhirFormat(PayloadFormat):
    """A Bundle of the gateway's Device, the device's Device and one Observation a value, each created conditionally."""

    name: ClassVar[str] = "fhir"
    summary: ClassVar[str] = "FHIR R4 or R5 transaction bundles, coded in MDC, LOINC and UCUM: hospitals"
    options_type: ClassVar[type[msgspec.Struct]] = FhirOptions
    topic_keys: ClassVar[frozenset[str]] = STATUS_TOPICS | COMMAND_TOPICS | {"data"}
    default_topics: ClassVar[Mapping[str, str]] = {"data": "fhir/{gateway}/{device}"}

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        options = context.options
        self._r5 = options.version == "R5"
        self._systems = options.systems
        self._zone = ZoneInfo(options.device_zone) if options.device_zone else None
        self._content_type = f"application/fhir+json; fhirVersion={'5.0' if self._r5 else '4.0'}"
        self._gateway_url = _urn(f"gatepost:gateway:{context.gateway}")
        self._gateway_entry = self._entry("Device", "device", context.gateway, self._gateway(), self._gateway_url)

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        device_url = _urn(f"gatepost:device:{reading.gateway}/{reading.device}")
        observations = list(self._observations(reading, device_url))
        if not observations:
            return ()
        place = f"{reading.gateway}/{reading.device}"
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "timestamp": reading.timestamp,
            "entry": [
                self._gateway_entry,
                self._entry("Device", "device", place, self._device(reading.device, place), device_url),
                *observations,
            ],
        }
        return [self.message(reading, orjson.dumps(bundle), self._content_type)]

    def _entry(self, kind: str, system: str, identity: str, resource: Resource, url: str) -> Resource:
        both = (getattr(self._systems, system), identity)
        condition = f"identifier={'|'.join(each.translate(IN_A_QUERY) for each in both)}"
        return {
            "fullUrl": url,
            "resource": resource,
            "request": {"method": "POST", "url": kind, "ifNoneExist": condition},
        }

    # --- devices

    def _gateway(self) -> Resource:
        gateway = self.context.gateway
        profile = DeviceProfile("", info={"manufacturer": "Gatepost", "firmware": self.context.version})
        return self._device_resource(gateway, f"Gatepost {gateway}", "531981", profile, None)

    def _device(self, device: str, place: str) -> Resource:
        profile = self.context.devices.get(device) or DeviceProfile("")
        return self._device_resource(place, profile.label or device, "65573", profile, specialisation(profile.driver))

    def _device_resource(
        self, place: str, name: str, kind: str, profile: DeviceProfile, special: str | None
    ) -> Resource:
        identifiers: list[Resource] = [{"system": self._systems.device, "value": place}]
        if profile.address and re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", profile.address):
            mac = profile.address.upper().replace(":", "-")
            identifiers.append({"type": coding(CONTINUA, "BTMAC"), "system": EUI48, "value": mac})
        info, type_ = profile.info, coding(MDC, kind)
        resource: Resource = {"resourceType": "Device", "identifier": identifiers, "status": "active"}
        for member, known in (("manufacturer", "manufacturer"), ("modelNumber", "model"), ("serialNumber", "serial")):
            if info.get(known):
                resource[member] = info[known]
        if self._r5:
            resource |= {"name": [{"value": name, "type": "user-friendly-name"}], "type": [type_]}
        else:
            resource |= {"deviceName": [{"name": name, "type": "user-friendly-name"}], "type": type_}
        if special is not None and self._r5:
            resource["conformsTo"] = [{"specification": coding(MDC, special)}]
        elif special is not None:
            resource["specialization"] = [{"systemType": coding(MDC, special)}]
        if info.get("firmware"):
            resource["version"] = [{"type": coding(MDC, "531976"), "value": info["firmware"]}]
        return resource

    # --- observations

    def _observations(self, reading: StoredReading, device_url: str) -> Iterator[Resource]:
        done: set[str] = set()
        if reading.metric == "blood_pressure":
            values = reading.values
            if all(_is_number(values.get(name, 0)) for name in PRESSURES):
                done = set(PRESSURES)
            if done and any(name in values or name in reading.reasons for name in PRESSURES):
                yield self._observation(reading, device_url, "blood_pressure", self._panel(reading))
        for name, value in reading.values.items():
            blank = isinstance(value, str) and not value.strip()  # no string of FHIR
            if name not in done and name not in COUNTS and not isinstance(value, list) and not blank:
                done.add(name)
                yield self._observation(reading, device_url, name, self._single(reading, name, value))
        if reading.samples:
            done.add(reading.channel)
        for name, reasons in reading.reasons.items():
            value = coded(reading.metric, name)
            if name not in done and name not in reading.values and value is not None and value.kind != LIST:
                yield self._observation(reading, device_url, name, {"dataAbsentReason": absent(reasons[0])})
        if reading.samples:
            yield self._observation(reading, device_url, reading.channel, self._sampled(reading, reading.samples))

    def _observation(self, reading: StoredReading, device_url: str, name: str, own: Resource) -> Resource:
        """`own`: the members that say what was measured; `note` and `effective...` of it go before the common ones."""
        identity = f"{reading.id}.{name}"
        sampled = "valueSampledData" in own
        text = f"{reading.metric}.{name}" if sampled else metric_name(reading.metric, name)
        unit = reading.units.get(name)
        panel = name == reading.metric == "blood_pressure"
        if panel:
            codes = [{"system": MDC, "code": PRESSURE_PANEL[0]}, {"system": LOINC, "code": PRESSURE_PANEL[1]}]
        else:
            codes = codings(reading.metric, name, unit, reading.flags)
        note = "; ".join([*self._notes(reading), *own.pop("_notes", ())])
        resource: Resource = {
            "resourceType": "Observation",
            "identifier": [{"system": self._systems.reading, "value": identity}],
            "extension": [{"url": GATEWAY_EXTENSION, "valueReference": {"reference": self._gateway_url}}],
            "status": "final",
            "category": category(reading.metric, "systolic" if panel else name, unit),
            "code": {"coding": codes, "text": text},
            "subject": self._subject(reading, device_url),
            "device": {"reference": device_url},
            **self._effective(reading),
            **({"note": [{"text": note}]} if note else {}),
            **own,
        }
        if sampled:
            resource.pop("effectiveDateTime", None)
        return self._entry("Observation", "reading", identity, resource, _urn(f"gatepost:reading:{identity}"))

    def _subject(self, reading: StoredReading, device_url: str) -> Resource:
        if reading.patient is None:
            return {"reference": device_url}
        return {"identifier": {"system": self._systems.patient, "value": reading.patient}}

    def _effective(self, reading: StoredReading) -> Resource:
        measured = self._device_time(reading)
        if measured is None:
            return {"effectiveDateTime": reading.timestamp}
        return {"effectiveDateTime": measured, "issued": reading.timestamp}

    def _device_time(self, reading: StoredReading) -> str | None:
        """When it was measured by the device's clock, with the offset of its zone."""
        if self._zone is None or reading.device_time is None:
            return None
        try:
            moment = datetime.fromisoformat(reading.device_time)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        offset = moment.utcoffset()
        if offset is None or offset % timedelta(minutes=1):
            return None  # of the days before time zones, where a clock that was never set is: no offset of FHIR
        return moment.isoformat()

    def _notes(self, reading: StoredReading) -> Iterable[str]:
        if reading.clock != "synchronised":
            yield f"clock: {reading.clock}"
        if reading.quality != "good":
            yield f"quality: {reading.quality}"
        flags = [flag for flag in reading.general_flags if not flag.startswith("site-")]
        if flags:
            yield f"flags: {', '.join(flags)}"
        if reading.device_time is not None and self._device_time(reading) is None:
            yield f"device time: {reading.device_time}"

    def _panel(self, reading: StoredReading) -> Resource:
        components, reported = [], []
        for name in PRESSURES:
            value, unit = reading.values.get(name), reading.units.get(name)
            if value is None and name == "mean":
                continue
            text = {"coding": codings("blood_pressure", name, unit, []), "text": name}
            if value is None:
                reasons = reading.reasons.get(name)
                components.append({"code": text, "dataAbsentReason": absent(reasons[0] if reasons else None)})
                continue
            if unit == "kPa":
                reported.append(f"{name} {value} kPa")
                value, unit = round(value * KPA_TO_MMHG, 1), "mm[Hg]"
            components.append({"code": text, "valueQuantity": _quantity(value, unit)})
        notes = [f"as reported: {', '.join(reported)}"] if reported else []
        return {"component": components, "_notes": notes}

    def _single(self, reading: StoredReading, name: str, value: Any) -> Resource:
        if isinstance(value, bool):
            return {"valueBoolean": value}
        if isinstance(value, str):
            return {"valueString": value}
        return {"valueQuantity": _quantity(value, reading.units.get(name))}

    def _sampled(self, reading: StoredReading, samples: list[int]) -> Resource:
        members = reading.members
        rate = members["rate_hz"]
        start = rfc3339(reading.time - round((len(samples) - 1) / rate * 1e6))
        origin = _quantity(members.get("offset", 0.0), members.get("unit"))
        data: Resource = {"origin": origin, "factor": members.get("scale", 1.0), "dimensions": 1}
        data |= {"interval": 1000 / rate, "intervalUnit": "ms"} if self._r5 else {"period": 1000 / rate}
        data["data"] = " ".join(map(str, samples))
        return {"effectivePeriod": {"start": start, "end": reading.timestamp}, "valueSampledData": data}

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        kind = f"application/fhir+json; fhirVersion={'5.0' if options.version == 'R5' else '4.0'}"
        schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"const": "Bundle"}}}
        yield FormatChannel("data", topics["data"], "send", "A transaction Bundle", qos, False, kind, schema)
        yield from contract_channels(topics)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quantity(value: float, unit: str | None) -> Resource:
    if unit and not is_code(unit):
        return {"value": value, "unit": unit}  # what a user calls it: UCUM does not
    return {"value": value, "unit": unit or "1", "system": UCUM, "code": unit or "1"}


def _urn(text: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, text)}"
