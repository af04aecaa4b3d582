"""The watch over ports on a loop of the test's own, so that time stands still unless it is moved."""

import os

import pytest

from gatepost.drivers.serial.port.port_watch import BUSY, CALM, FULL, SPARSE, WIDEST, PortWatch


class Call:
    def __init__(self, at, work):
        self.at, self.work, self.cancelled = at, work, False

    def cancel(self):
        self.cancelled = True


class StillLoop:
    """What the watch uses of a loop; `readers` as the loop would look at them."""

    def __init__(self):
        self.now, self.calls, self.readers = 100.0005, [], {}

    def time(self):
        return self.now

    def call_at(self, when, work):
        self.calls.append(Call(when, work))
        return self.calls[-1]

    def call_soon(self, work):
        return self.call_at(self.now, work)

    def add_reader(self, descriptor, work):
        self.readers[descriptor.fileno()] = work

    def remove_reader(self, descriptor):
        del self.readers[descriptor.fileno()]

    @property
    def due(self):
        """When the loop would call, as a number of steps from the start; None = it sleeps until a port speaks."""
        pending = [call.at for call in self.calls if not call.cancelled]
        assert len(pending) <= 1, "one timer for all"
        return round((pending[0] - 100.0) / 0.02, 3) if pending else None

    def turn(self):
        """The next thing that happens: a port speaks, or the time has come."""
        pending = [call for call in self.calls if not call.cancelled]
        assert bool(pending) != bool(self.readers)
        if pending:
            self.now = max(self.now, pending[0].at)
            self.calls.clear()
            pending[0].work()
        else:
            next(iter(self.readers.values()))()


class Pipe:
    """A port, with what was read of it."""

    def __init__(self, watch, loop, on_read=lambda: None):
        self.watch, self.loop, self.on_read = watch, loop, on_read
        self.end, self.far = os.pipe()
        self.heard = b""
        self.open = False
        self.start()

    def start(self):
        self.open = True
        self.watch.add(self.loop, self.end, self.read)

    def stop(self):
        if self.open:
            self.open = False
            self.watch.remove(self.end)

    def say(self, data):
        os.write(self.far, data)

    def read(self):
        if not self.open:
            return 0
        data = os.read(self.end, 65536)
        self.heard += data
        self.on_read()
        return len(data)


@pytest.fixture
def loop():
    return StillLoop()


@pytest.fixture
def width():
    """Of the steps while little comes; 0 = as wide as ever."""
    return 0.0


@pytest.fixture
def pipe(loop, width):
    watch, made = PortWatch(0.02, lambda: width), []

    def make(**more):
        made.append(Pipe(watch, loop, **more))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        os.close(each.end)
        os.close(each.far)
    assert not loop.readers
    assert loop.due is None


def test_the_first_octets_after_a_silence_are_read_at_once(loop, pipe):
    port = pipe()
    assert loop.due is None
    port.say(b"a line\n")
    loop.turn()
    assert port.heard == b"a line\n"


def test_ports_that_speak_are_read_together_at_points_of_a_grid(loop, pipe):
    ports = [pipe() for _ in range(5)]
    ports[0].say(b"0")
    loop.turn()
    assert (loop.due, loop.readers) == (1.0, {})  # nobody wakes the loop before that
    for port in ports[1:]:
        port.say(b"x")
    loop.turn()
    assert [port.heard for port in ports] == [b"0", b"x", b"x", b"x", b"x"]
    assert loop.due == 2.0


def test_after_a_silent_step_only_the_ports_wake_the_loop(loop, pipe):
    port = pipe()
    port.say(b"1")
    loop.turn()
    loop.turn()
    assert loop.due is None
    port.say(b"2")
    loop.turn()
    assert port.heard == b"12"
    assert loop.due == 2.0


def test_an_answer_that_is_expected_is_read_as_soon_as_it_comes(loop, pipe):
    port = pipe()
    port.say(b"1")
    loop.turn()
    port.watch.expect()
    assert loop.due is None
    port.say(b"answer")
    loop.turn()
    assert (port.heard, loop.now) == (b"1answer", 100.0005)
    assert loop.due == 0.25  # the rest of it comes soon
    loop.now += 0.2
    port.say(b"2")
    loop.turn()
    assert loop.due == 11.0


def test_a_full_buffer_is_followed_by_another_look_at_once(loop, pipe):
    port = pipe()
    port.say(b"x" * FULL)
    loop.turn()
    assert loop.due == pytest.approx(0.025)


def test_a_port_that_pours_is_looked_at_more_often(loop, pipe):
    port = pipe()
    while len(port.heard) < BUSY:
        port.say(b"x" * FULL)
        loop.turn()
    port.say(b"rest")
    loop.turn()
    assert loop.due == 0.25


def test_a_port_may_go_while_others_are_read(loop, pipe):
    others = []
    ports = [pipe(on_read=lambda: [other.stop() for other in others if other is not ports[0]]) for _ in range(2)]
    others += ports
    for port in ports:
        port.say(b"x")
    loop.turn()
    assert sorted(port.heard for port in ports) in ([b"", b"x"], [b"x", b"x"])
    ports[0].say(b"y")
    loop.turn()
    assert ports[0].heard == b"xy"


def test_the_last_port_may_go_while_it_is_read_and_come_back(loop, pipe):
    port = pipe(on_read=lambda: port.stop())
    port.say(b"x")
    loop.turn()
    assert (loop.due, loop.readers) == (None, {})
    port.start()
    port.say(b"y")
    loop.turn()
    assert port.heard == b"xy"


@pytest.mark.parametrize("width", [0.1])
def test_while_little_comes_the_steps_are_as_wide_as_they_may(loop, pipe):
    ports = [pipe() for _ in range(3)]
    for _ in range(4):
        for port in ports:
            port.say(b"a line\n")
        loop.turn()
    assert loop.due == pytest.approx(4 * 5, abs=0.1)
    assert {port.heard for port in ports} == {b"a line\n" * 4}


@pytest.mark.parametrize("width", [7.0])
def test_no_step_is_wider_than_a_reading_may_be_late(loop, pipe):
    port = pipe()
    port.say(b"1")
    loop.turn()
    assert loop.due == pytest.approx(WIDEST / 0.02, abs=0.1)


@pytest.mark.parametrize("width", [0.1])
def test_a_port_that_would_fill_its_buffer_meanwhile_is_looked_at_sooner(loop, pipe):
    port = pipe()
    port.say(b"x" * round(SPARSE * 0.02))
    loop.turn()
    assert loop.due == 1.0
    port.say(b"x" * round(SPARSE * 0.02 - 1))
    loop.turn()
    assert loop.due == pytest.approx(6.0, abs=0.1)
    port.say(b"x" * round(SPARSE * 0.1))
    loop.turn()
    assert loop.due == 7.0


@pytest.mark.parametrize("width", [0.1])
def test_steps_are_not_wide_while_an_answer_may_come(loop, pipe):
    port = pipe()
    port.watch.expect()
    port.say(b"late answer")
    loop.now += 0.5
    loop.turn()
    assert loop.due - (loop.now - 100.0) / 0.02 <= 1.0
    loop.now += CALM
    port.say(b"and then as ever")
    loop.turn()
    assert loop.due - (loop.now - 100.0) / 0.02 == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("width", [0.1])
def test_what_waits_at_the_ports_goes_with_what_is_stored_now(loop, pipe):
    port = pipe()
    port.say(b"1")
    loop.turn()
    port.say(b"2")
    port.watch.gather()  # it looked just now
    assert port.heard == b"1"
    loop.now += 0.05
    port.watch.gather()
    assert port.heard == b"12"
    assert loop.due == pytest.approx(2.5 + 5.0, abs=0.1)  # a new row of steps


def test_in_narrow_steps_nothing_is_gathered(loop, pipe):
    port = pipe()
    port.watch.gather()
    port.say(b"1")
    loop.turn()
    port.say(b"2")
    loop.now += 0.015
    port.watch.gather()
    assert (port.heard, loop.due) == (b"1", 1.0)
    loop.turn()
    assert port.heard == b"12"
