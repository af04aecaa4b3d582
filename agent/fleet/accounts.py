"""Accounts of what the fleet's broker acknowledged, published for each start of the agent: on connecting and every 5
minutes; so that the fleet sees what was acknowledged and did not arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import NotConnected, StoreError, UplinkError
from gatepost.agent.store import Store
from gatepost.agent.store.delivery.account import EpochAccount
from gatepost.agent.store.delivery.positions import TRACKS
from gatepost.agent.store.pending_writes import ACCOUNT

log = logging.getLogger("gatepost.agent.fleet")

TELL_EVERY = 300.0  # seconds
AGAIN = 30.0  # seconds until an account that the broker did not acknowledge is sent again
SCHEMA = 1
ACCOUNTS_OF = "accounts-of"  # of the store's small state: the gateway id that they were counted under


class AccountMessage(msgspec.Struct, frozen=True):
    """Account of one start: of the readings from number `from_seq` to `upto_seq`, `sent` were acknowledged by the
    broker, each counted once; `skipped` were not for it, `gaps` were dropped before it could take them. `owed`:
    readings of all starts that the broker is still to get."""

    schema: int
    gateway_id: str
    epoch: str
    broker: str
    from_seq: int
    upto_seq: int
    sent: int
    skipped: int
    gaps: int
    owed: int
    timestamp: str


class _Told(NamedTuple):
    sent: int
    last: int
    owed: int


class DeliveryAccounts:
    """Accounts of one broker at a time. `publish` sends a message (UplinkError); `run` is the task."""

    def __init__(
        self, store: Store, gateway: str, clock: Clock, publish: Callable[[AccountMessage], Awaitable[None]]
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._publish = publish
        self._broker: str | None = None
        self._told: dict[str, _Told] = {}  # of each epoch, what the broker acknowledged last
        self._wake = asyncio.Event()
        self._all = False  # on a new connection all are told

    async def keep(self, broker: str | None) -> bool:
        """Count what this broker acknowledges from now on, and nobody else; whether that has begun just now."""
        if broker == self._broker:
            return False
        try:
            saved = await self._store.key_value.with_prefix(ACCOUNT)
            counted_as = await self._store.key_value.get(ACCOUNTS_OF)
            # What was acknowledged under another gateway id will not be found under this one.
            others = saved.keys() - ({broker} if counted_as in (None, self._gateway) else ())
            for name in others:
                await self._store.key_value.put(ACCOUNT + name, None)
                saved.pop(name)
            if counted_as != self._gateway:
                with contextlib.suppress(StoreError):  # on a disk that cannot be written the next start does it
                    await self._store.key_value.put(ACCOUNTS_OF, self._gateway)
        except StoreError as error:
            log.warning("accounts of deliveries cannot be read: %s", error.message)
            return False
        if self._broker is not None:
            self._store.backlog.position(self._broker).account = None
        self._broker, self._told = broker, {}
        if broker is None:
            return False
        position, epoch_of = self._store.backlog.position(broker), self._store.epochs.of
        if not position.restore_account(saved.get(broker), epoch_of):
            position.begin_account(epoch_of)
        return True

    def connected(self) -> None:
        self._all = True
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            again = await self._tell()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN if again else TELL_EVERY):
                    await self._wake.wait()

    async def _tell(self) -> bool:
        """Publish what is new, on a new connection all of it; whether some of it must be sent again soon."""
        everything, self._all = self._all, False
        broker, told = self._broker, self._told
        if broker is None:
            return False
        try:
            owed = await self._store.backlog.owed_to(broker)
        except StoreError as error:
            log.debug("an account was not made: %s", error.message)
            self._all = everything
            return True
        if told is not self._told:
            return False  # another broker is counted by now
        account = self._store.backlog.position(broker).account
        for epoch, counts in list(account.epochs.items()) if account is not None else ():
            now = _Told(counts.sent, counts.last, owed)
            if not everything and told.get(epoch) == now:
                continue
            try:
                await self._publish(self._message(broker, epoch, counts, owed))
            except NotConnected:
                return False  # the next connection tells all
            except UplinkError as error:
                log.debug("an account was not sent: %s", error.message)
                return True
            if told is not self._told:
                return False  # another broker is counted by now
            told[epoch] = now
            if account is not None and now == _Told(counts.sent, counts.last, owed) and self._is_over(broker, epoch):
                account.forget(epoch)
                told.pop(epoch)
        return False

    def _message(self, broker: str, epoch: str, counts: EpochAccount, owed: int) -> AccountMessage:
        now = rfc3339(self._clock.now().wall)
        numbers = (counts.first, counts.last, counts.sent, counts.skipped, counts.gaps)
        return AccountMessage(SCHEMA, self._gateway, epoch, broker, *numbers, owed, now)

    def _is_over(self, broker: str, epoch: str) -> bool:
        """Whether nothing more comes of this start."""
        span = self._store.epochs.span(epoch)
        owed = self._store.backlog.position(broker).owed
        return span is not None and not any(owed[track].within(*span) for track in TRACKS)
