"""Options of `hl7-monitor`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.options import DriverOptions, OptionProblem, ValueName

MATCH_KEYS = ("bed", "ward", "room", "device", "sender", "facility", "address")
MATCH_HINT = "one of " + ", ".join(MATCH_KEYS)


class Hl7Options(DriverOptions, frozen=True):
    """Which messages of a connection are meant, and how they are answered."""

    via: Annotated[str, Meta(description="another hl7-monitor device on whose connection this bed's messages come")] = (
        ""
    )
    match: Annotated[
        dict[str, str],
        Meta(description="which messages: bed (PV1-3, as ICU^^5 or 5), ward, room, device, sender, facility, address"),
    ] = msgspec.field(default_factory=dict)
    ack: Annotated[
        Literal["AA", "CA"],
        Meta(description="how a message that is stored is acknowledged; AA fits nearly all senders"),
    ] = "AA"
    unframed: Annotated[
        bool, Meta(description="the sender frames nothing: a message ends where the next begins, or with a silence")
    ] = False
    waveforms: Annotated[bool, Meta(description="report waveforms, too")] = False
    names: Annotated[
        dict[str, ValueName], Meta(description='names for codes that have none here, as {"150572": "st_ii"}')
    ] = msgspec.field(default_factory=dict)

    def problems(self) -> list[OptionProblem]:
        found = [
            OptionProblem(f"there is no {name[:32]!r} to match", ("match", name), hint=MATCH_HINT)
            for name in self.match
            if name not in MATCH_KEYS
        ]
        if self.via and not self.match:
            found.append(OptionProblem("`via` needs `match`: which messages are this bed's?", ("via",)))
        if self.via and self.unframed:
            found.append(OptionProblem("`unframed` is of the device whose port it is", ("unframed",)))
        return found
