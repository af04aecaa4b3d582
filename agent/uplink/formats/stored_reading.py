"""A stored reading as payload formats see it: members by name, times as numbers, the contract's JSON on demand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.views import PAYLOAD_MEMBERS, PAYLOAD_SCHEMA

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNTS = frozenset({"user_id", "sequence_number", "lost_samples"})  # values that are counts: no quantity
SCHEMA = ("schema", str(PAYLOAD_SCHEMA))
NOTHING: Mapping[str, str] = {}


class ReadingRoute(Protocol):
    """The rule of a broker's routes that sends a reading; None = as the format or the broker says."""

    @property
    def topic(self) -> str | None: ...

    @property
    def qos(self) -> int | None: ...

    @property
    def retain(self) -> bool | None: ...


class StoredReading:
    """One reading of the log. `members`: what is its own and its series' (contract, section 3), in their order,
    without the gateway's stamp; `time` in microseconds; `seq` grows with the log; `route`: the rule that sends it."""

    def __init__(
        self,
        id: str,  # noqa: A002  # the contract's name
        gateway: str,
        device: str,
        patient: str | None,
        members: Mapping[str, Any],
        time: int,
        clock: str,
        urgent: bool,
        replayed: bool,
        seq: int = 0,
        route: ReadingRoute | None = None,
    ) -> None:
        self.route = route
        self.id = id
        self.gateway = gateway
        self.device = device
        self.patient = patient
        self.members = members
        self.time = time
        self.clock = clock
        self.urgent = urgent
        self.replayed = replayed
        self.seq = seq
        self.metric: str = members.get("metric_type", "")
        self.units: Mapping[str, str] = members.get("units") or NOTHING
        self.quality: str = members.get("quality", "good")
        self.flags: list[str] = members.get("flags") or []
        self.device_time: str | None = members.get("device_timestamp")
        # The measured values by name, in order; without the waveform.
        self.values = {name: value for name, value in members.items() if name not in PAYLOAD_MEMBERS}
        self.user_properties = (SCHEMA, ("id", id))  # of its messages, with MQTT 5

    @classmethod
    def from_json(cls, reading: Mapping[str, Any], seq: int = 0) -> StoredReading:
        """From a reading in format `devices`."""
        stamp = {"id", "schema", "gateway_id", "device_id", "patient_id", "timestamp", "clock", "urgent", "replayed"}
        return cls(
            reading["id"],
            reading["gateway_id"],
            reading["device_id"],
            reading.get("patient_id"),
            {name: value for name, value in reading.items() if name not in stamp},
            cls.time_of(reading["timestamp"]),
            reading["clock"],
            reading["urgent"],
            reading["replayed"],
            seq,
        )

    @staticmethod
    def time_of(moment: str) -> int:
        """RFC 3339 -> microseconds since 1970."""
        return (datetime.fromisoformat(moment) - EPOCH) // timedelta(microseconds=1)

    @property
    def samples(self) -> list[int] | None:
        """The raw samples of a waveform (value = sample * scale + offset), None where there is none."""
        return self.members.get("samples")

    @property
    def channel(self) -> str:
        """Name of its waveform."""
        channel = self.members.get("channel")
        return "waveform" if channel is None or channel == "" else str(channel)

    @cached_property
    def reasons(self) -> dict[str, list[str]]:
        """Why values are missing or doubtful, by value name: flags of the form `<value>:<why>`."""
        reasons: dict[str, list[str]] = {}
        for flag in self.flags:
            name, colon, why = flag.partition(":")
            if colon:
                reasons.setdefault(name, []).append(why)
        return reasons

    @cached_property
    def general_flags(self) -> list[str]:
        """Flags of the whole reading: those without a value's name before a colon."""
        return [flag for flag in self.flags if ":" not in flag]

    @property
    def timestamp(self) -> str:
        """RFC 3339 with microseconds, as in format `devices`."""
        return rfc3339(self.time)

    def as_event(self) -> dict[str, Any]:
        """An event of the gateway as the contract says it: no reading, but kept in the log like one."""
        return {
            "id": self.id,
            "schema": PAYLOAD_SCHEMA,
            "gateway_id": self.gateway,
            **self.members,
            "timestamp": self.timestamp,
        }

    def as_json(self) -> dict[str, Any]:
        """The reading in format `devices` (contract, section 3)."""
        reading: dict[str, Any] = {
            "id": self.id,
            "schema": PAYLOAD_SCHEMA,
            "gateway_id": self.gateway,
            "device_id": self.device,
        }
        if self.patient is not None:
            reading["patient_id"] = self.patient
        reading.update(self.members)
        reading["timestamp"] = self.timestamp
        reading |= {"clock": self.clock, "urgent": self.urgent, "replayed": self.replayed}
        return reading
