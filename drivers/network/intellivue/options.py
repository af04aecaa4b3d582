"""Options of `philips-intellivue`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gatepost.drivers.network.intellivue.codes import WAVE_LABELS
from gatepost.drivers.options import DriverOptions, OptionProblem, ValueName

MAX_WAVES = 8


class IntellivueOptions(DriverOptions, frozen=True):
    """What is asked of the monitor."""

    poll: Annotated[float, Meta(ge=1, le=5, description="seconds between two looks at the numbers")] = 1.0
    waveforms: Annotated[
        list[str],
        Meta(description="waveforms to export, such as [ii, pleth, abp, resp], or codes of labels; none by default"),
    ] = msgspec.field(default_factory=list)
    alarms: Annotated[bool, Meta(description="report what the monitor shows as alarms")] = True
    names: Annotated[
        dict[str, ValueName], Meta(description='names for codes that have none here, as {"192741": "pulse_nbp"}')
    ] = msgspec.field(default_factory=dict)

    def problems(self) -> list[OptionProblem]:
        hint = f"one of {', '.join(WAVE_LABELS)}, or the code of a label"
        found = [
            OptionProblem(f"there is no waveform {name[:32]!r}", ("waveforms",), hint=hint)
            for name in self.waveforms
            if label_of(name) is None
        ]
        if len(self.waveforms) > MAX_WAVES:
            found.append(OptionProblem(f"at most {MAX_WAVES} waveforms", ("waveforms",)))
        return found

    @property
    def labels(self) -> tuple[int, ...]:
        return tuple(label for name in self.waveforms if (label := label_of(name)) is not None)


def label_of(name: str) -> int | None:
    if name.casefold() in WAVE_LABELS:
        return WAVE_LABELS[name.casefold()]
    return int(name) if name.isascii() and name.isdigit() and 0 < int(name[:11]) < 1 << 32 else None
