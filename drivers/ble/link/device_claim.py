"""Claim of an entry of the settings to one device: the addresses under which that device was met, kept over restarts.

A name is no identity: two devices of one name must not swap, or their patients would. An address is none either where
the device changes it: a bonded one shows its identity address (Core Specification, Vol 6, Part B, 1.3) as soon as the
system knows it, and the daemon calls it by that after its next start.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakSet

import msgspec

from gatepost.drivers.ble.stack.device_filter import DeviceFilter, addresses_of, changes_address
from gatepost.drivers.link import LinkFailed, LinkMemory, Reason

MOST_ADDRESSES = 8  # of one device


class ClaimedDevice(msgspec.Struct, frozen=True):
    """Claimed device. `wanted`: what the settings said then; `addresses`: the newest first; `sure`: it gave data, so
    that it is the device that is meant."""

    wanted: str
    addresses: tuple[str, ...]
    sure: bool = False


class DeviceClaim:
    """Claim of one link. `load` before it listens; `may_be` whether a device may be taken; `met` when one is;
    `confirm` when it gave data; `keep` writes what changed."""

    def __init__(
        self, wanted: DeviceFilter, memory: LinkMemory | None, all_claims: WeakSet[DeviceClaim], log: logging.Logger
    ) -> None:
        self._wanted = wanted
        self._memory = memory
        self._all = all_claims
        self._log = log
        self._others: list[ClaimedDevice] = []  # of entries that are not loaded yet
        self._unwritten = False
        self.device: ClaimedDevice | None = None
        all_claims.add(self)

    @property
    def filter(self) -> DeviceFilter:
        """The settings' filter, which lets the other addresses of the device through too."""
        return self._wanted if self.device is None else self._wanted._replace(also=self.device.addresses)

    @property
    def status(self) -> dict[str, Any]:
        """The address that is meant, where the settings do not say it, as a member of the status."""
        told = self.device is not None and self.device.addresses[0] != self._wanted.address
        return {"address": self.addresses[0]} if told else {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of its own device; empty where none is known."""
        return () if self.device is None else self.device.addresses

    async def load(self) -> None:
        """LinkFailed where a name was claimed, perhaps, and nobody can say for what."""
        if self._memory is None:
            return
        try:
            own, others = await self._memory.load()
        except Exception as error:
            if self._wanted.address:
                return
            hint = "see the state of the store in `gatepost status`"
            raise LinkFailed(Reason.STORE, f"which device {self._wanted} is cannot be read: {error}", hint) from error
        stored = _claimed(own)
        if self.device is None and stored is not None and stored.wanted == str(self._wanted):
            self.device = stored
        self._others = [claim for claim in map(_claimed, others) if claim is not None]

    def may_be(self, addresses: Iterable[str]) -> bool:
        """True if a device of these addresses may be taken for the one that is meant."""
        theirs = set(addresses)
        if self._wanted.address or self._wanted.any_device:
            return True
        if self.device is not None and self.device.sure:
            return not theirs.isdisjoint(self.device.addresses)
        if any(each is not self and each.owns(theirs) for each in self._all):
            return False
        return not any(claim.sure and not theirs.isdisjoint(claim.addresses) for claim in self._others)

    def owns(self, addresses: set[str]) -> bool:
        if self._wanted.address in addresses:
            return True
        return self.device is not None and self.device.sure and not addresses.isdisjoint(self.device.addresses)

    def met(self, path: str, properties: Mapping[str, Any]) -> None:
        """It is connected, or heard. One that changes its address is known for this moment only."""
        if changes_address(properties) or self._wanted.any_device:
            return
        addresses, sure, before = addresses_of(path, properties), False, self.device
        if before is not None and before.addresses[: len(addresses)] == addresses:
            return
        if before is not None and not set(addresses).isdisjoint((*before.addresses, self._wanted.address)):
            addresses = tuple(dict.fromkeys((*addresses, *before.addresses)))[:MOST_ADDRESSES]
            sure = before.sure
        self._become(ClaimedDevice(str(self._wanted), addresses, sure))

    def confirm(self) -> None:
        if self.device is not None and not self.device.sure:
            self._become(msgspec.structs.replace(self.device, sure=True))
            if not self._wanted.address:
                self._log.info("%s is %s from now on", self._wanted, self.device.addresses[0])

    def _become(self, device: ClaimedDevice) -> None:
        self._unwritten |= device != self.device
        self.device = device

    async def keep(self) -> None:
        """Durable when it returns, or said that it is not."""
        if not self._unwritten or self._memory is None or self.device is None:
            return
        self._unwritten = False
        try:
            await self._memory.keep(msgspec.to_builtins(self.device))
        except Exception as error:
            self._unwritten = True
            self._log.warning("%s: its address could not be stored: %s", self._wanted, error)


def _claimed(state: Any) -> ClaimedDevice | None:
    """Of stored JSON; None for what is not of this form."""
    try:
        claim = msgspec.convert(state, ClaimedDevice)
    except msgspec.ValidationError:
        return None
    return claim if claim.addresses else None
