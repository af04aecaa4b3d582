"""One bounded connection attempt through bleak, repeated by bleak-retry-connector where it failed for a moment.

bleak-retry-connector is loaded with the first such failure: it is more than a MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from bleak import BleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError

from gatepost.drivers.ble.stack.link_errors import dropped, explain, timed_out
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import Reason

# Trying again at once, without a new advertisement, mends none of these.
NOT_REPEATED = frozenset(
    {
        Reason.GONE,
        Reason.IN_PROGRESS,
        Reason.NO_SERVICE,
        Reason.ADAPTER_OFF,
        Reason.PERMISSION,
        Reason.PAIRING,
    }
)
PASSING_ERRORS = (AttributeError, EOFError, BrokenPipeError, KeyError)  # what bleak raises beside its own
MOST_HANGUPS = 3  # times that a bonded device hung up within one attempt: bleak itself would go on until its time limit
MOST_ATTEMPTS = 3  # within the time limit, for what passes by itself: interference


class _Client(BleakClient):
    """Ends the row of attempts on what another one cannot mend."""

    final: frozenset[Reason] = NOT_REPEATED

    async def connect(self, **kwargs: Any) -> None:
        try:
            await super().connect(**kwargs)
        except BleakError as error:
            failure = explain(self.address, error)
            if failure.reason in self.final:
                raise failure from error
            raise


class _BondedClient(_Client):
    """A bonded device that hangs up at once may have lost its bond: that is for the caller to judge."""

    final = NOT_REPEATED | {Reason.DROPPED}


class ConnectAttempts:
    """Connect attempts of a process. Those that were given up and have not ended yet undo what they did."""

    def __init__(self, timing: BleTiming) -> None:
        self._timing = timing
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def connect(
        self,
        label: str,
        device: BLEDevice,
        bonded: bool,
        on_lost: Callable[[BleakClient], None],
        hurry: Callable[[], Awaitable[bool]],
    ) -> BleakClient:
        """A client whose services are known; LinkFailed. Ends within the limits, whatever bluetoothd does. `hurry` is
        asked after a while: whether it is to end now, since nothing came of it yet and others wait."""
        storm = asyncio.Event()
        ends = 0

        def ended(client: BleakClient) -> None:
            nonlocal ends
            ends += 1
            if bonded and ends >= MOST_HANGUPS:
                storm.set()
            on_lost(client)

        work = self._repeatedly(label, device, _BondedClient if bonded else _Client, ended)
        task = asyncio.get_running_loop().create_task(work, name=f"connect {label}")
        watch = asyncio.get_running_loop().create_task(storm.wait())
        try:
            left, patience = self._timing.connect, min(self._timing.reach, self._timing.connect)
            while left > 0:
                done, _ = await asyncio.wait((task, watch), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                left -= patience
                if done or await hurry():
                    break
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=self._timing.undo)
        except asyncio.CancelledError:
            task.cancel()
            self._abandon(task)
            raise
        finally:
            watch.cancel()
        if not task.done() or task.cancelled():
            self._abandon(task)
            raise dropped(label) if storm.is_set() else timed_out(label, "connecting")
        error = task.exception()
        if error is not None:
            raise explain(label, error) from error
        return task.result()

    async def _repeatedly(
        self, label: str, device: BLEDevice, kind: type[_Client], ended: Callable[[BleakClient], None]
    ) -> BleakClient:
        client = kind(device, disconnected_callback=ended, timeout=self._timing.connect)
        try:
            await client.connect()
        except (*PASSING_ERRORS, BleakError):
            from bleak_retry_connector import establish_connection
        else:
            return client
        return await establish_connection(
            kind,
            device,
            label,
            disconnected_callback=ended,
            max_attempts=MOST_ATTEMPTS - 1,
            use_services_cache=False,  # bleak's own may be older than the daemon's
        )

    def _abandon(self, task: asyncio.Task[BleakClient]) -> None:
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned_ended)

    def _abandoned_ended(self, task: asyncio.Task[BleakClient]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and task.exception() is None:
            self.let_go(task.result())  # it succeeded at the last moment

    def let_go(self, client: BleakClient) -> asyncio.Task[None]:
        """Disconnect, always and in the background: after a lost link too, or BlueZ would serve the dead client."""
        task = asyncio.get_running_loop().create_task(self._disconnect(client), name="disconnect")
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        return task

    async def _disconnect(self, client: BleakClient) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timing.disconnect):
                await client.disconnect()

    async def close(self, timeout: float) -> None:
        """Wait for running attempts, then cancel the rest."""
        if self._abandoned:
            await asyncio.wait(tuple(self._abandoned), timeout=timeout)
        left = tuple(self._abandoned)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=timeout)
