"""The kit finds what is wrong: a driver that keeps every promise, and one for each promise that does not."""

import asyncio
import re
from collections import deque

import msgspec
import pytest

from gatepost.drivers.driver import (
    Command,
    CommandFailed,
    Driver,
    ForbiddenWrite,
    KeepAlive,
    ScanHints,
    ScanProbe,
    SessionOver,
)
from gatepost.drivers.reading import BAD, Faults, Reading, Reply, Waveform
from gatepost.drivers.testing import driver_kit

FRAME = 4


def frame(value, kind=0xA5):
    body = bytes((kind, value & 0xFF, value >> 8))
    return body + bytes((sum(body) & 0xFF,))


class Good:
    """0xA5, a count of tenths, a sum; 0x5A is a record from memory."""

    def __init__(self, newest=-1):
        self.faults = Faults()
        self.rest = b""
        self.newest = newest

    def feed(self, data):
        data, out, at = self.rest + data, [], 0
        while len(data) - at >= FRAME:
            cut = data[at : at + FRAME]
            if cut[0] not in (0xA5, 0x5A) or sum(cut[:3]) & 0xFF != cut[3]:
                self.faults.add("frame")
                at += 1
                continue
            out += self.found(cut)
            at += FRAME
        self.rest = data[at:]
        return out

    def found(self, cut):
        value = int.from_bytes(cut[1:3], "little")
        if cut[0] == 0xA5:
            return [Reading("temperature", {"temperature": value / 10}, {"temperature": "Cel"})]
        if value <= self.newest:
            return []
        self.newest = value
        mark = ("thermometer 1", value)
        return [Reading("temperature", {"temperature": 37.0}, {"temperature": "Cel"}, ("from-memory",), bookmark=mark)]


class Says:
    interval = 1.0

    def __init__(self):
        self.count = 0

    def tick(self):
        self.count += 1
        return frame(300 + self.count)

    def hear(self, data):
        if data == b"M":
            return b"".join(frame(value, 0x5A) for value in range(1, 6))
        return b"?" if data == b"Q" else b""


class Thermometer(Driver):
    name = "thermometer"
    title = "a thermometer"
    metrics = ("temperature",)
    keeps_records = True
    forbidden = (ForbiddenWrite("erase", re.compile(rb"^Z")),)
    commands = (Command("memory", "Read the memory"),)

    def decoder(self):
        return Good(self.bookmarks.get("thermometer 1", -1))

    async def run_session(self, io):
        await io.send(b"M")
        await io.wait(lambda item: True if isinstance(item, Reading) else None, 5.0)
        io.update_status(firmware="1")
        io.progress("reading", 5, 5)
        await io.stored()

    async def execute(self, command, parameters, exchange):
        await exchange.send(b"M")
        return {"moment": exchange.now().local.isoformat()}

    @classmethod
    def twin(cls, options=None, seed=0):
        return Says()


def broken(what, says, **members):
    kind = type("Bad", (Thermometer,), members)
    with pytest.raises(driver_kit.BrokenPromise, match=says):
        what(kind)


def with_decoder(decoder):
    return {"decoder": lambda self: decoder()}


def test_a_driver_that_keeps_every_promise():
    driver_kit.assert_driver(Thermometer)
    assert driver_kit.assert_commands(driver_kit.maker(Thermometer)) == {"memory": {"moment": "2026-11-20T10:30:10"}}
    assert [record.bookmark[1] for record in driver_kit.assert_records_once(driver_kit.maker(Thermometer))] == [
        1,
        2,
        3,
        4,
        5,
    ]


def test_what_a_session_tells():
    done = driver_kit.session(Thermometer(), Says(), 20.0)
    assert done.sent == [b"M"]
    assert done.told == {"firmware": "1"}
    assert done.bookmarks == {"thermometer 1": 5}
    assert done.progress == [("reading", 5, 5)]
    assert len(done.readings) == 5 + 19
    assert done.outcome is None


class Raises(Good):
    def feed(self, data):
        return super().feed(data) if b"\x00\x00" not in data else 1 / 0


class DropsPieces(Good):
    def feed(self, data):
        self.rest = b""
        return super().feed(data)


class CountsChunks(Good):
    def feed(self, data):
        self.faults.add("chunk")
        return super().feed(data)


class Hoards(Good):
    def __init__(self):
        super().__init__()
        self.all = deque()

    def feed(self, data):
        self.all.append(data)
        return super().feed(data)


class NeverAgain(Good):
    """Gives up at the first wrong octet."""

    def feed(self, data):
        out = super().feed(data) if not self.faults.total else []
        return out if not self.faults.total else []


class Swallows(Good):
    """A length in the frame that nothing checks."""

    def feed(self, data):
        data = self.rest + data
        out = []
        while data:
            size = FRAME if data[0] in (0xA5, 0x5A) else data[0] * 256
            if len(data) < size or not size:
                break
            if size == FRAME and sum(data[:3]) & 0xFF == data[3]:
                out += self.found(data[:FRAME])
            else:
                self.faults.add("frame")
            data = data[size:]
        self.rest = data
        return out


class Silent(Good):
    def feed(self, data):
        out = super().feed(data)
        self.faults = Faults()
        return out


class Tattles(Good):
    def feed(self, data):
        out = super().feed(data)
        if self.faults.total:
            self.faults.last = f"bad data: {data!r}"
        return out


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        (Raises, "its decoder raised ZeroDivisionError"),
        (DropsPieces, "other readings when the octets come in pieces: 0 instead of"),
        (CountsChunks, "it finds fault with its own twin"),
        (NeverAgain, "after garbage it decoded|other readings when"),
        (Swallows, "after garbage it decoded|holds"),
        (Hoards, "its decoder holds [0-9]+ octets"),
        (Silent, "is not counted in `faults`"),
        (Tattles, "a fault tells what the device said"),
    ],
)
def test_decoders_that_break_a_promise(decoder, says):
    broken(driver_kit.assert_driver, says, **with_decoder(decoder))


def test_faults_that_depend_on_the_pieces():
    broken(
        lambda kind: driver_kit.assert_pieces(kind, [frame(1), frame(2)]),
        "other faults when",
        **with_decoder(CountsChunks),
    )


def gives(item):
    class Gives(Good):
        def found(self, cut):
            return [item]

    return with_decoder(Gives)


WAVE = Waveform([1, 2], 60.0)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"temperature": 3}, "is a dict, and neither"),
        (Reading("room temperature", {"temperature": 1}), "has the metric"),
        (Reading("temperature", {"temprature": 1}), "`value_names` does not know"),
        (Reading("temperature", {}, {"temperature": "Cel"}, ("temperature:nan",), BAD), "units of values that are not"),
        (Reading("temperature", {"temperature": 1}, {"temperature": ""}), "empty unit"),
        (Reading("temperature", {"temperature": None}), "has None for 'temperature'"),
        (Reading("temperature", {"temperature": float("nan")}), "JSON cannot carry"),
        (Reading("temperature", {"temperature": b"1"}), "JSON cannot carry"),
        (Reading("temperature", {}), "no values and no flag"),
        (Reading("temperature", {}, {}, ("temperature:nan",)), "the quality good"),
        (Reading("temperature", {"temperature": 1}, flags=["a"]), "no tuple"),
        (Reading("temperature", {"temperature": 1}, flags=("temperature:Not A Number",)), "has the flag"),
        (Reading("temperature", {"temperature": 1}, quality="fine"), "has the quality"),
        (Reading("temperature", {"temperature": 1}, waveform=WAVE), "without a `channel`"),
        (Reading("temperature", {"channel": "x"}, waveform=Waveform([], 60.0)), "0 samples"),
        (Reading("temperature", {"channel": "x"}, waveform=Waveform([1.5], 60.0)), "no integers"),
        (Reading("temperature", {"channel": "x"}, waveform=Waveform([1], 0.0)), "rate"),
        (Reading("temperature", {"temperature": 1}, device_time="10:30"), "not ISO 8601"),
        (Reading("temperature", {"temperature": 1}, device_time="2026-01-01T10:30:00Z"), "with a zone"),
        (Reading("temperature", {"temperature": 1}, {}, ("from-memory",), bookmark=("", 1)), "bookmark without a name"),
        (Reading("temperature", {"temperature": 1}, {}, ("from-memory",), bookmark="x"), "bookmark that is not"),
        (Reply("", {}), "without a `kind`"),
        (Reply("x", {"data": b""}), "no JSON"),
    ],
)
def test_readings_that_are_malformed(item, says):
    broken(lambda kind: driver_kit.assert_survives(kind, [frame(1), frame(2)] * 9), says, **gives(item))


async def wait_for_nothing(self, io):
    await asyncio.Event().wait()


async def say_forbidden(self, io):
    await io.send(b"Z")


async def fail(self, io):
    raise CommandFailed("no", "the device says no")


async def misbehave(self, io):
    raise KeyError("x")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"run_session": say_forbidden}, "'erase' forbids"),
        ({"run_session": fail}, "its session with its twin ended: CommandFailed"),
        ({"run_session": misbehave}, "its session with its twin ended: KeyError"),
        ({"on_open_bytes": lambda self: (b"Z",)}, "'erase' forbids"),
        ({"on_close_bytes": lambda self: (b"Z1",)}, "'erase' forbids"),
        ({"keep_alive": KeepAlive(b"Z", 1.0)}, "'erase' forbids"),
        ({"scan_hints": ScanHints(probes=(ScanProbe(b"Z"),))}, "a scan would ask b'Z'"),
        ({"keeps_records": False}, "`keeps_records` is false"),
        ({"example_options": {"x": 1}}, "these options are wrong"),
        ({"decoder": lambda self: Good()}, "with the bookmark of record"),
    ],
)
def test_conversations_that_break_a_promise(members, says):
    broken(driver_kit.assert_driver, says, **members)


def test_stored_records_say_that_they_are():
    class Plain(Good):
        def found(self, cut):
            out = super().found(cut)
            for reading in out:
                reading.flags = ()
            return out

    broken(driver_kit.assert_driver, "has not the flag from-memory", **with_decoder(Plain))


def test_a_conversation_may_wait_for_ever_or_end_the_session():
    driver_kit.assert_driver(
        type("Waits", (Thermometer,), {"run_session": wait_for_nothing, "keeps_records": False}), rounds=2
    )

    async def over(self, io):
        raise SessionOver("that is all", 5.0)

    done = driver_kit.session(type("Over", (Thermometer,), {"run_session": over})(), Says(), 3.0)
    assert isinstance(done.outcome, SessionOver)


def with_twin(twin):
    return {"twin": classmethod(lambda cls, options=None, seed=0: twin())}


class Mute(Says):
    def tick(self):
        return b""

    def hear(self, data):
        return b""


class Moody(Says):
    moods = 0

    def tick(self):
        Moody.moods += 1
        return frame(Moody.moods)


class Frozen(Says):
    interval = 0.0


class Text(Says):
    def tick(self):
        return "36.5"


@pytest.mark.parametrize(
    ("twin", "says"),
    [
        (Mute, "session with its twin ended: TimeoutError"),
        (Moody, "different things with the same seed"),
        (Frozen, "`interval` of its twin"),
        (Text, "not bytes"),
    ],
)
def test_twins_that_break_a_promise(twin, says):
    broken(driver_kit.assert_driver, says, **with_twin(twin))


def test_a_driver_that_does_not_recover():
    state = {}

    async def once(self, io):
        if state.setdefault("talks", 0) % 3:
            raise CommandFailed("stuck", "asked twice")
        state["talks"] += 1

    broken(
        driver_kit.assert_recovers,
        "its session with its twin ended: CommandFailed",
        run_session=once,
        keeps_records=False,
    )


def test_commands_that_fail():
    async def refuse(self, command, parameters, exchange):
        raise CommandFailed("no", "not today")

    async def odd(self, command, parameters, exchange):
        return {"data": b"x"}

    broken(driver_kit.assert_commands, "does not carry out 'memory'", execute=refuse)
    broken(driver_kit.assert_commands, "the result of 'memory' is no JSON", execute=odd)


def test_a_session_that_can_never_go_on_is_told():
    class Timeless(Mute):
        interval = float("inf")

    class Deaf(Thermometer):
        async def run_session(self, io):
            async with asyncio.Lock():
                await asyncio.get_running_loop().create_future()

    with pytest.raises(driver_kit.BrokenPromise, match=r"no time limit|session with its twin failed|nothing within"):
        driver_kit.traffic(type("Deaf", (Deaf,), with_twin(Timeless)))


def test_time_is_virtual():
    async def long():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(86400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return loop.time()

    assert driver_kit.in_virtual_time(long()) == pytest.approx(90000)


def test_what_is_held():
    class Box:
        __slots__ = ("inside",)

    box = Box()
    box.inside = {"a": [b"1234", 5, (6.0,)], "b": deque([bytearray(10)])}
    assert driver_kit.held(box) == 2 + 4 + 8 + 8 + 10
    box.inside = [box, box]
    assert driver_kit.held(box) == 0
    assert driver_kit.held(Reading("m", {"v": 1})) == len("m" + "v" + "good") + 8


def test_a_driver_for_ble_is_not_for_the_kit():
    with pytest.raises(driver_kit.BrokenPromise, match="takes octets"):
        driver_kit.assert_driver(type("Radio", (Thermometer,), {"transport": "ble"}))


def test_options_of_a_maker():
    class Options(msgspec.Struct):
        needed: int

    kind = type("Needs", (Thermometer,), {"options_type": Options, "example_options": {"needed": 7}})
    assert driver_kit.maker(kind)().options.needed == 7
    assert driver_kit.maker(kind, {"needed": 8})().options.needed == 8
    with pytest.raises(driver_kit.BrokenPromise, match="options are wrong"):
        driver_kit.maker(kind, {})
