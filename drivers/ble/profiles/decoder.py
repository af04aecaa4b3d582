"""Values of characteristics -> the profiles that know them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.uuids import short
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults

TICK = GattValue("", b"")  # fed by the conversation: what is held has waited long enough

Kind = type[GattProfile]


class BleDecoder:
    """Decoder of connected devices. `find`: the kind of profile for a value, until `use` names those of a device;
    None = nobody knows it. Never raises on what a device sends; counts what is wrong in `faults`."""

    def __init__(self, memory: Callable[[Faults], ProfileMemory], find: Callable[[GattValue], Kind | None]) -> None:
        self.faults = Faults()
        self.memory = memory(self.faults)
        self._find = find
        self._profiles: dict[str, GattProfile] = {}
        self._routes: dict[tuple[str, str], GattProfile | None] = {}

    def profile(self, kind: Kind) -> GattProfile:
        """The one of this kind."""
        if kind.service not in self._profiles:
            self._profiles[kind.service] = kind(self.memory)
            self._routes.clear()
        return self._profiles[kind.service]

    def use(self, kinds: Iterable[Kind], addresses: tuple[str, ...]) -> list[GattProfile]:
        """Use the profiles of a connected device, and no others."""
        self.memory = self.memory._replace(addresses=addresses)
        self._profiles.clear()
        self._routes.clear()
        self._find = lambda value: None
        return [self.profile(kind) for kind in kinds]

    def feed(self, value: Any) -> Items:
        if not isinstance(value, GattValue):
            self.faults.add("not-a-value", "something else than the value of a characteristic")
            return []
        if not value.uuid:
            return [item for profile in self._profiles.values() for item in profile.flush()]
        profile = self._route(value)
        if profile is None:
            self.faults.add("unknown-characteristic", f"{short(value.uuid)} belongs to none of its profiles")
            return []
        try:
            return profile.decode(value)
        except FrameError as wrong:
            self.faults.add(wrong.kind, f"{short(value.uuid)} is not as a {profile.title} sends it")
        except ValueError:
            self.faults.add("malformed", f"{short(value.uuid)} is not as a {profile.title} sends it")
        return []

    def _route(self, value: GattValue) -> GattProfile | None:
        key = (value.service, value.uuid)
        if key not in self._routes:
            if len(self._routes) > 256:  # a device that makes up characteristics
                self._routes.clear()
            self._routes[key] = self._found(value)
        return self._routes[key]

    def _found(self, value: GattValue) -> GattProfile | None:
        own = self._profiles.get(value.service)
        if own is not None and value.uuid in own.streams:
            return own
        if not value.service:
            for profile in self._profiles.values():
                if value.uuid in profile.streams:
                    return profile
        kind = self._find(value)
        return None if kind is None else self.profile(kind)
