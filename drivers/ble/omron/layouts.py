"""Layouts of the memory of Omron devices, as data: data/layouts.json, read when the first device asks for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from gatepost.drivers.ble.omron.records import RECORDS

Evidence = Literal["captured", "documents", "not seen"]


class ClockPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Place of the clock: octets behind the settings, and its form."""

    at: int
    form: Literal["offset8", "mixed", "linear"]


class LayoutKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kind of a layout: the ring of each user as address (hex) and number of records, and the models that have it."""

    users: list[tuple[str, int]]
    evidence: Evidence
    models: list[str]


class LayoutSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layout. `unlock`: what a session begins with, `key` of this gateway or `token`. `settings`: address (hex) of
    the index of the rings, None = it is not known."""

    title: str
    channels: Literal[1, 4]
    unlock: Literal["key", "token", "none"]
    record: str
    settings: str | None
    clock: ClockPlace | None
    kinds: list[LayoutKind]


class LayoutBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`names`: what some devices call themselves instead of their model -> the model."""

    layouts: list[LayoutSpec]
    names: dict[str, str]


class RecordRing(NamedTuple):
    """Ring of records of one user."""

    user: int  # from 1
    address: int
    slots: int


class OmronLayout(NamedTuple):
    """Layout of one model."""

    model: str
    spec: LayoutSpec
    rings: tuple[RecordRing, ...]

    @property
    def size(self) -> int:
        """Octets of a record."""
        return RECORDS[self.spec.record][0]

    @property
    def settings(self) -> int | None:
        return None if self.spec.settings is None else int(self.spec.settings, 16)

    @property
    def most(self) -> int:
        """Records of one user."""
        return max(ring.slots for ring in self.rings)

    def ring_at(self, address: int) -> RecordRing | None:
        """The ring that this octet is part of."""
        for ring in self.rings:
            if ring.address <= address < ring.address + ring.slots * self.size:
                return ring
        return None


@cache
def book() -> LayoutBook:
    file = Path(__file__).parent / "data" / "layouts.json"
    return msgspec.json.decode(file.read_bytes(), type=LayoutBook)


@cache
def _by_name() -> dict[str, str]:
    return {name.upper(): model for name, model in book().names.items()}


def find_layout(model: str, channels: int | None = None) -> OmronLayout | None:
    """The layout of a model, or of a name for it, among devices with so many channels; None = not known. A model is
    known by how it begins: what follows is the country or the colour."""
    wanted = model.strip().upper()
    wanted = _by_name().get(wanted, wanted)
    best: OmronLayout | None = None
    for spec in book().layouts:
        if channels not in (None, spec.channels):
            continue
        for kind in spec.kinds:
            for name in kind.models:
                if wanted.startswith(name) and (best is None or len(name) > len(best.model)):
                    rings = enumerate(kind.users, 1)
                    best = OmronLayout(
                        name, spec, tuple(RecordRing(user, int(at, 16), count) for user, (at, count) in rings)
                    )
    return best
