"""Driver `ble-omron`: cuffs and body scales of Omron that keep their records in a memory of their own."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.omron.profile import PROFILES, UNLOCK, WRITE, OmronProfile
from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.profiles.commands import READ_STORED
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.driver import Command, CommandFailed, DeviceIO, ForbiddenWrite, ScanHints
from gatepost.drivers.options import OptionProblem

PUBLIC_KEY = "deadbeaf12341234deadbeaf12341234"  # of tools that everybody has
PAIR = Command("pair", "Bond with it, or give it the key of its options, while it is in pairing mode", timeout=60.0)


class OmronOptions(RecordOptions, frozen=True, forbid_unknown_fields=True):
    """Options of `ble-omron`."""

    model: Annotated[
        str, Meta(max_length=64, description="the model, as HEM-7322T, or its name; empty: as the device tells")
    ] = ""
    key: Annotated[
        str,
        Meta(
            pattern=r"^([0-9A-Fa-f]{32})?$",
            description="classic devices: this gateway's key for this one device, 32 hex digits at random; never shown",
            extra={"secret": True},
        ),
    ] = ""

    def problems(self) -> list[OptionProblem]:
        from gatepost.drivers.ble.omron.layouts import find_layout

        found = super().problems()
        if self.model and find_layout(self.model) is None:
            hint = "docs/supported-devices.md names those that are"
            found.append(OptionProblem(f"the model {self.model} is not known", ("model",), hint=hint))
        if self.key.lower() == PUBLIC_KEY:
            hint = "take one at random, as of `openssl rand -hex 16`"
            found.append(OptionProblem("this key is in every tool for these devices", ("key",), hint=hint))
        return found

    def __repr__(self) -> str:
        return f"OmronOptions(model={self.model!r}, key={'***' if self.key else ''!r})"


def _rule(word: str, octets: bytes, characteristic: str) -> ForbiddenWrite:
    return ForbiddenWrite(word, re.compile(octets, re.DOTALL), characteristic)


class BleOmron(BleDriver):
    """Omron cuffs and body scales: their memory is read, nothing in it is written."""

    name = "ble-omron"
    title = "Omron cuffs (HEM-) and body scales (HBF-) that are read by Omron's own protocol"
    metrics = ("blood_pressure", "body_weight", "body_composition")
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    streams = False
    keeps_records = True
    options_type = OmronOptions
    example_options: ClassVar[dict[str, Any]] = {"model": "HEM-7322T"}
    commands: ClassVar = (READ_STORED, PAIR)
    scan_hints = ScanHints(names=("BLEsmart_", "BLESmart_"))
    forbidden = (
        *FORBIDDEN,
        _rule("write-memory", rb"\A(?!.(?:\x00\x00|\x01\x00|\x0f\x00))", WRITE[0]),
        *(_rule("write-memory", rb"\A", each) for each in WRITE[1:]),
        _rule("program-key", rb"\A(?![\x01\x11])", UNLOCK),
    )
    source = "userx14/omblepy, eigger/hass-omron, openScale; not seen on a device"

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        from gatepost.drivers.ble.twin.devices.omron import MODELS, OmronTwin

        key, wanted = (getattr(options, name, "") for name in ("key", "model"))
        model = next((each for each in MODELS if wanted.upper().startswith(each)), "")
        return OmronTwin(seed, model, key=bytes.fromhex(key) if key else None)

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != PAIR.name:
            return await super().execute(command, parameters, io)
        session = self._session
        if session is None:
            raise CommandFailed("busy", "the device is connected, its identification is not finished yet")
        try:
            for each in self._profiles:
                if isinstance(each, OmronProfile):
                    return await each.pair(session, io)
        except GattError as refused:
            raise CommandFailed("refused", f"the device refused: {refused}") from None
        raise CommandFailed("unsupported", "this device cannot be paired so")
