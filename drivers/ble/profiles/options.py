"""Options of BLE drivers; each driver has those that mean something for its devices."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from gatepost.drivers.ble.profiles.forbidden_writes import Word
from gatepost.drivers.options import DriverOptions, OptionProblem

Passkey = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{6})?$",
        description="six digits that the device shows or bears; never shown",
        extra={"secret": True},
    ),
]
Records = Annotated[bool, Meta(description="fetch what the device has stored")]
UserIndex = Annotated[
    Annotated[int, Meta(ge=0, le=255)] | None, Meta(description="scales with users: the number of the user")
]
Consent = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,4})?$",
        description="scales with users: the consent code of that user; never shown",
        extra={"secret": True},
    ),
]
Poll = Annotated[
    float, Meta(ge=1, le=86400, description="seconds between two looks at what the device does not tell by itself")
]
Stream = Literal["ecg", "acceleration"]
Streams = Annotated[list[Stream], Meta(description="waveforms that are asked for: ecg, acceleration")]
AccelerationRate = Annotated[Literal[25, 50, 100, 200], Meta(description="samples of the acceleration per second")]
AccelerationRange = Annotated[Literal[2, 4, 8], Meta(description="range of the acceleration, in g")]


class BleOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """Options of every BLE device."""

    pair: Annotated[
        Literal["auto", "always", "never"],
        Meta(description="bond with the device: auto: when it asks for it; always: before anything else"),
    ] = "auto"
    passkey: Passkey = ""
    set_clock: Annotated[
        bool | None,
        Meta(description="set the device's clock; default: cuffs, scales and thermometers whose clock is wrong"),
    ] = None
    permit: Annotated[
        list[Word], Meta(description="words that may be said to it although they erase or change something")
    ] = field(default_factory=list)

    def problems(self) -> list[OptionProblem]:
        if self.pair == "never" and self.passkey != "":
            return [OptionProblem("no use without pairing", ("passkey",), ("pair", "passkey"), warning=True)]
        return []


class RecordOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """A device that keeps records."""

    records: Records = True


class WeightScaleOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """A scale that may know its users."""

    user_index: UserIndex = None
    consent: Consent = ""

    def problems(self) -> list[OptionProblem]:
        return super().problems() + user_problems(self.user_index, self.consent)


class EnvironmentOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """Sensors that are asked where they do not speak."""

    poll: Poll = 60.0


class StreamOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """A device with waveforms."""

    streams: Streams = field(default_factory=lambda: ["ecg"])
    acceleration_rate: AccelerationRate = 50
    acceleration_range: AccelerationRange = 8


class AllOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """Of all profiles."""

    records: Records = True
    user_index: UserIndex = None
    consent: Consent = ""
    poll: Poll = 60.0
    streams: Streams = field(default_factory=lambda: ["ecg"])
    acceleration_rate: AccelerationRate = 50
    acceleration_range: AccelerationRange = 8

    def problems(self) -> list[OptionProblem]:
        return super().problems() + user_problems(self.user_index, self.consent)


def user_problems(index: int | None, consent: str) -> list[OptionProblem]:
    if (index is None) == (consent == ""):
        return []
    lacking = "consent" if consent == "" else "user_index"
    return [OptionProblem(f"`{lacking}` is missing: a scale gives nothing without both", (), ("user_index", "consent"))]
