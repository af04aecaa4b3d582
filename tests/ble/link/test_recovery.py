"""The daemon and its adapters come, go and change in any order: what is known of them is true again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Coroutine
from typing import Any

import pytest
from dbus_fast import Variant
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatepost.drivers.ble.stack.dbus_client import ADAPTER, BluezClient
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from gatepost.drivers.link import LinkFailed
from tests.ble.link.rig import QUICK, Rig, Strap, read
from tests.support.waiting import until

LOG = logging.getLogger("tests.ble.recovery")
ADDRESS = "C0:FF:EE:00:00:01"


@pytest.fixture
async def client(bluez: TwinDaemon):
    made = BluezClient(QUICK, LOG)
    await made.ready()
    yield made
    await made.close()


async def test_signals_that_come_while_the_objects_are_listed_are_not_overwritten(
    bluez: TwinDaemon, client: BluezClient
) -> None:
    await bluez.adapter.power(False)
    await until(lambda: not client.adapters["hci0"].powered)
    bluez.objects.listing_takes = 0.1
    looking = asyncio.create_task(client.ready(again=True))
    await asyncio.sleep(0.05)  # it was looked at, and not told yet
    await bluez.adapter.power(True)
    await looking
    assert client.pick(None) == "hci0"


async def test_one_property_of_an_unknown_adapter_says_nothing_of_its_power(
    bluez: TwinDaemon, client: BluezClient
) -> None:
    client.adapters.clear()
    bluez.objects.change(bluez.adapter.path, ADAPTER, {"Discovering": Variant("b", True)})
    await until(lambda: client.adapters)
    assert client.pick(None) == "hci0"


async def test_a_daemon_that_did_not_answer_in_time_is_asked_again(bluez: TwinDaemon, client: BluezClient) -> None:
    client._timing = QUICK._replace(call=0.1)
    bluez.objects.listing_takes = 0.3
    await bluez.restart(killed=True)
    with pytest.raises(LinkFailed):
        await client.ready()
    bluez.objects.listing_takes = 0.0
    client._timing = QUICK
    await client.ready()
    assert client.pick(None) == "hci0"


class DaemonMachine(RuleBasedStateMachine):
    """Anything that happens to a daemon, in any order, at any moment of our looking at it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.out: list[Any] = []
        self.looking: list[asyncio.Task[None]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        self.bus = PrivateBus()
        await self.bus.start()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address)
        self.daemon = TwinDaemon(self.bus.address, ("hci0", "hci1"))
        await self.daemon.start()
        self.client = BluezClient(QUICK._replace(call=10.0), LOG)  # one that runs out is not asked again by itself
        await self.client.ready()

    @property
    def up(self) -> bool:
        return self.daemon.objects.connected

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        if self.up:
            self.run(self.daemon.restart(killed))
        else:
            self.run(self.daemon.start())

    @precondition(lambda self: self.up)
    @rule(killed=st.booleans())
    def go(self, killed: bool) -> None:
        self.run(self.daemon.kill() if killed else self.daemon.stop())

    @precondition(lambda self: self.up and self.daemon.adapters)
    @rule(on=st.booleans(), first=st.booleans())
    def power(self, on: bool, first: bool) -> None:
        adapter = list(self.daemon.adapters.values())[0 if first else -1]
        self.run(adapter.power(on))

    @precondition(lambda self: self.up and self.daemon.adapters)
    @rule()
    def unplug(self) -> None:
        async def work() -> None:
            self.out.append(self.daemon.unplug(next(iter(self.daemon.adapters))))

        self.run(work())

    @precondition(lambda self: self.up and self.out)
    @rule()
    def plug(self) -> None:
        async def work() -> None:
            self.daemon.plug(self.out.pop())

        self.run(work())

    @precondition(lambda self: self.up and self.daemon.adapters)
    @rule()
    def chatter(self) -> None:
        async def work() -> None:
            for adapter in self.daemon.adapters.values():
                self.daemon.objects.change(adapter.path, ADAPTER, {"Discovering": Variant("b", False)})

        self.run(work())

    @rule(seconds=st.sampled_from((0.0, 0.005, 0.02)))
    def listing_takes(self, seconds: float) -> None:
        self.daemon.objects.listing_takes = seconds

    @rule()
    def look(self) -> None:
        """Somebody begins to look, and the next things happen meanwhile."""

        async def work() -> None:
            self.looking.append(asyncio.create_task(self._look()))
            await asyncio.sleep(0.003)

        self.run(work())

    async def _look(self) -> None:
        with contextlib.suppress(LinkFailed):
            await self.client.ready(again=True)

    @rule(seconds=st.sampled_from((0.0, 0.001, 0.01)))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @invariant()
    def nothing_is_broken(self) -> None:
        assert len(self.client._tasks) < 50

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        """Whatever happened: soon, without anybody's doing, what is known is true, and a device can be read."""
        try:
            if not self.up:
                await self.daemon.start()
            while self.out:
                self.daemon.plug(self.out.pop())
            self.daemon.objects.listing_takes = 0.0
            await asyncio.gather(*self.looking)
            await until(lambda: not [task for task in self.client._tasks if "read_state" in repr(task)])
            await until(self._true)
            for adapter in self.daemon.adapters.values():
                await adapter.power(True)
            await until(self._true)
            assert self.client.pick(None)
        finally:
            await self.client.close()
            await self.daemon.close()
            await self.bus.stop()
            self.patch.undo()

    def _true(self) -> bool:
        truth = {name: adapter.powered for name, adapter in self.daemon.adapters.items()}
        return {name: state.powered for name, state in self.client.adapters.items()} == truth


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")
class TestDaemonMachine(DaemonMachine.TestCase):
    settings = settings(
        max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )


async def test_a_link_recovers_from_restarts_in_the_middle_of_a_look(bluez: TwinDaemon, rig: Rig) -> None:
    for number in range(7):
        bluez.objects.listing_takes = 0.01 * number
        link, _ = rig.link(ADDRESS)
        opening = asyncio.create_task(link.open(1.0))
        await asyncio.sleep(0.005)
        await bluez.restart(killed=bool(number % 2))
        if ADDRESS not in bluez.hosted:
            bluez.place(Strap())
        async with asyncio.timeout(5.0):
            while True:
                try:
                    await opening
                    break
                except LinkFailed:
                    opening = asyncio.create_task(link.open(1.0))
        assert await read(link)
        await link.close(1.0)
