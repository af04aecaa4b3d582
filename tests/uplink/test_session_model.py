"""A session against a model, whatever happens in whatever order: nothing lost, repeated without need, or reordered."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.store.delivery.account import DeliveryAccount
from gatepost.agent.store.model import EVENT
from gatepost.agent.uplink import acknowledgements, delivery, lanes, log_feed

from .fakes import Rig

WINDOW = 5
TINY = pytest.MonkeyPatch()


def epoch_of(seq: int) -> str:
    """Every ten rows a start."""
    return f"e{seq // 10}"


class SessionModel(RuleBasedStateMachine):
    """The broker acknowledges, refuses and hangs up as it likes; pages of the log come when they like."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.done: set[int] = set()  # acknowledged, refused for good, or not wanted when their turn came
        self.delivered: set[int] = set()
        self.refused: list[int] = []  # for now, on this connection, and not sent again yet
        self.lane_of: dict[int, str] = {}  # what was sent on this connection
        self.connected = False
        self.seen = 0
        self.hidden = False  # readings of device "x" are not routed

    def teardown(self) -> None:
        try:
            self.runner.run(self._drain())
        finally:
            self.runner.close()

    def _run(self, do: Any) -> Any:
        async def now() -> Any:
            result = do()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._look()
            return result

        return self.runner.run(now())

    @initialize(rate=st.booleans(), memory=st.sampled_from([8, 100]))
    def begin(self, rate: bool, memory: int) -> None:
        async def make() -> Rig:
            return Rig(memory, window=WINDOW, rate=3.0 if rate else 0.0)

        self.rig = self.runner.run(make())
        self.store = self.rig.store
        self.store.position("b").account = DeliveryAccount(1, epoch_of)

    # -- what happens

    @rule(kinds=st.lists(st.sampled_from(["plain", "plain", "plain", "urgent", "x", "event"]), min_size=1, max_size=25))
    def readings_come(self, kinds: list[str]) -> None:
        def add() -> None:
            for kind in kinds:
                self.store.add(urgent=kind == "urgent", device="x" if kind == "x" else "d", event=kind == "event")
            if self.connected:
                self.rig.session.send_pending()

        self._run(add)

    @precondition(lambda self: self.connected)
    @rule(kind=st.sampled_from(["plain", "urgent"]))
    def readings_outrun_the_disk(self, kind: str) -> None:
        self.pages_come_or_not(False)
        self.readings_come([kind] * 12)
        self.readings_come([kind] * 12)
        self.pages_come_or_not(True)

    @precondition(lambda self: not self.connected)
    @rule(
        share=st.sampled_from([0.0, 0.2, 1.0]),
        hidden=st.booleans(),
        restart=st.sampled_from([False, False, True]),
        most=st.integers(1, 9),
    )
    def connect(self, share: float, hidden: bool, restart: bool, most: int) -> None:
        def make() -> None:
            if restart:
                self.store.restart()
            self.connected, self.lane_of, self.refused, self.seen, self.hidden = True, {}, [], 0, hidden
            self.rig.connect(most, share, self._routes())

        self._run(make)

    @precondition(lambda self: self.connected)
    @rule()
    def hang_up(self) -> None:
        self._run(self.rig.drop)
        self.connected = False

    @precondition(lambda self: self.connected and self.rig.connection.flight)
    @rule(data=st.data())
    def acknowledge(self, data: Any) -> None:
        flight = self.rig.connection.flight
        lane = self.rig.session.feed.lanes.all[data.draw(st.integers(0, 2))]
        order = [tag for tag in lane.in_flight if tag in flight] or flight[: data.draw(st.integers(1, len(flight)))]
        if data.draw(st.booleans()):
            order = data.draw(st.lists(st.sampled_from(flight), unique=True, min_size=1))

        def ack() -> None:
            self.done |= set(order)
            self.delivered |= set(order)
            self.rig.connection.ack(*order)

        self._run(ack)

    @precondition(lambda self: self.connected and self.rig.connection.flight)
    @rule(data=st.data(), code=st.sampled_from([0x97, 0x96, 0x99, 0x80]))
    def refuse(self, data: Any, code: int) -> None:
        tag = data.draw(st.sampled_from(self.rig.connection.flight))

        def answer() -> None:
            before = len(self.store.dead)
            self.refused.append(tag)
            self.rig.connection.answer((tag, code))
            if len(self.store.dead) > before:
                self.refused.remove(tag)
                self.done.add(tag)

        self._run(answer)

    @precondition(lambda self: self.connected)
    @rule(seconds=st.sampled_from([0.1, 1.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        def go() -> None:
            self.rig.now += seconds
            self.rig.session.send_pending()

        self._run(go)

    @rule(opened=st.booleans())
    def pages_come_or_not(self, opened: bool) -> None:
        self._run(self.store.gate.set if opened else self.store.gate.clear)

    @precondition(lambda self: self.connected)
    @rule(hidden=st.booleans())
    def routes_change(self, hidden: bool) -> None:
        def change() -> None:
            self.hidden = hidden
            from gatepost.agent.uplink.routing import BrokerRoutes

            self.rig.session.reroute(BrokerRoutes("b", self._routes(), {}), 0.5, self.rig.options["rate"])

        self._run(change)

    @precondition(lambda self: self.connected)
    @rule()
    def positions_are_written(self) -> None:
        """And read again: the account goes on as it was."""
        position = self.store.position("b")

        def write() -> None:
            position.take_rows()
            saved = orjson.loads(orjson.dumps(position.saved_account()))
            position.account = None
            assert position.restore_account(saved, epoch_of)

        self._run(write)

    @precondition(lambda self: self.connected)
    @rule(lane=st.integers(0, 2))
    def a_lane_is_read_again(self, lane: int) -> None:
        """As when a series was forgotten."""

        self._run(lambda: self.rig.session.feed.read_again(self.rig.session.feed.lanes.all[lane]))

    @precondition(lambda self: not self.connected and self.store.head)
    @rule(data=st.data())
    def some_are_owed_again(self, data: Any) -> None:
        lo = data.draw(st.integers(1, self.store.head))
        self.store.position("b").owe(lo, data.draw(st.integers(lo, self.store.head)) + 1)

    # -- what must hold

    def _routes(self) -> list[RouteRule]:
        return [RouteRule(devices=["d"])] if self.hidden else []

    def _wanted(self, seq: int) -> bool:
        """Neither hidden now nor when its turn came, after which it is not owed any more."""
        record = self.store.rows[seq]
        hidden = self.hidden and self.store.series[record.series].device == "x"
        return not hidden and seq in self.store.backlog.position("b").owed[record.bits & 1]

    def _look(self) -> None:
        """What was sent since the last look: once on this connection, unless refused for now; in order in each lane."""
        if not self.connected:
            return
        sent = self.rig.connection.sent
        for tag in sent[self.seen :]:
            lane = self.rig.session.acknowledgements.in_flight[tag].name
            if tag in self.refused:
                self.refused.remove(tag)
            else:
                assert tag not in self.lane_of, f"{tag} was sent twice"
            overtaken = [o for o in self.refused if o < tag and self.lane_of[o] == lane and self._wanted(o)]
            assert not overtaken, f"{tag} was sent before {overtaken}, which were refused for now"
            self.lane_of[tag] = lane
        self.seen = len(sent)
        everywhere: set[int] = set()
        for lane in self.rig.session.feed.lanes.all:
            flying = list(lane.in_flight)
            assert flying == sorted(flying)
            assert not flying or not lane.buffer or flying[-1] < lane.buffer[0].seq
            held = flying + [record.seq for record in lane.buffer]
            assert held == sorted(set(held))
            assert not everywhere & set(held)
            everywhere |= set(held)

    @invariant()
    def what_is_not_done_is_owed(self) -> None:
        if not hasattr(self, "rig"):
            return
        position = self.store.backlog.position("b")
        for seq, record in self.store.rows.items():
            if seq not in self.done and record.seq not in position.owed[record.bits & 1]:
                assert self.store.series[record.series].device == "x", f"{seq} is not owed any more"

    @invariant()
    def the_window_is_kept(self) -> None:
        if self.connected:
            assert len(self.rig.connection.flight) <= min(WINDOW, self.rig.connection.receive_maximum)

    @invariant()
    def what_lies_before_the_first_unsettled_is_settled(self) -> None:
        if not self.connected:
            return
        self.rig.session.feed.lanes.settle()  # happens every so many rows
        for lane in self.rig.session.feed.lanes.all:
            first = next(iter(lane.in_flight), 0)
            mine = [seq for seq, name in self.lane_of.items() if name == lane.name and seq < first and seq in self.done]
            assert not set(mine) & set(self.rig.owed(lane.track)), f"{lane.name}: done and still owed"

    async def _drain(self) -> None:
        """In the end a broker that takes everything gets everything, and nothing stays owed."""
        if not hasattr(self, "rig"):
            return
        self.store.gate.set()
        if self.connected:
            self.rig.drop()
        self.rig.options["rate"] = 0.0
        connection = self.rig.connect()
        idle = 0
        while idle < 20:
            flight = [*connection.flight]
            idle = 0 if flight else idle + 1
            self.delivered |= set(flight)
            if flight:
                connection.ack(*flight)
            self.rig.now += 100.0
            self.rig.session.send_pending()
            await asyncio.sleep(0)
        self.rig.drop()
        assert not self.rig.lost
        dead = {seq for _, seq, _, _ in self.store.dead}
        skipped = {seq for seq, r in self.store.rows.items() if self.store.series[r.series].device == "x"}
        assert set(self.store.rows) <= self.delivered | dead | skipped
        assert not self.rig.owed(0)
        assert not self.rig.owed(1)
        self._check_account(dead)

    def _check_account(self, dead: set[int]) -> None:
        """Each reading is counted once, whatever was sent how often; a dead letter that came at once is not."""
        account = self.store.position("b").account
        assert account is not None
        readings = {seq for seq, record in self.store.rows.items() if not record.bits & EVENT}
        sent = sum(each.sent for each in account.epochs.values())
        counted = sent + sum(each.skipped for each in account.epochs.values())
        hidden = {seq for seq in readings if self.store.series[self.store.rows[seq].series].device == "x"}
        assert sent <= len(self.delivered & readings)
        assert len(readings - dead) <= counted <= len(readings - (dead - self.delivered - hidden))
        for epoch, each in account.epochs.items():
            assert epoch == epoch_of(each.first) == epoch_of(each.last)
            assert each.sent + each.skipped <= len(readings & set(range(each.first, each.last + 1)))


SessionModel.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking such a history takes minutes; the seed is told
    suppress_health_check=list(HealthCheck),
)


class TestSession(SessionModel.TestCase):  # type: ignore[misc, name-defined]
    @classmethod
    def setUpClass(cls) -> None:
        for module, name, value in (
            (lanes, "REFILL_BELOW", 3),
            (lanes, "PAGE_ROWS", 10),
            (log_feed, "LIVE_LAG", 15),
            (delivery, "SPARE_IDS", 0),
            (acknowledgements, "REFUSAL_LIMIT", 3),
        ):
            TINY.setattr(module, name, value)
        logging.getLogger("gatepost.agent.uplink").setLevel(logging.CRITICAL)

    @classmethod
    def tearDownClass(cls) -> None:
        TINY.undo()
        logging.getLogger("gatepost.agent.uplink").setLevel(logging.NOTSET)
