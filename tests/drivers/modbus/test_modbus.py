import asyncio
import math
import struct
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.checksums import FrameError, crc16_modbus
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.reading import BAD, GOOD, Reading
from gatepost.drivers.serial.modbus import driver as modbus
from gatepost.drivers.serial.modbus.decoder import ModbusDecoder
from gatepost.drivers.serial.modbus.driver import EXAMPLE, ModbusRtu
from gatepost.drivers.serial.modbus.frames import ModbusResponse, answer_size, decode_answer, find_answer, request
from gatepost.drivers.serial.modbus.options import LAST, ModbusOptions, ModbusRegister, blocks
from gatepost.drivers.serial.modbus.twin import ModbusTwin
from gatepost.drivers.serial.modbus.values import octets, raw_number, scaled
from gatepost.drivers.testing.pty import PtyTwin
from gatepost.drivers.testing.virtual_session import VirtualExchange, VirtualSession, in_virtual_time
from tests.devices.fakes import execute
from tests.drivers.rig import Rig, until
from tests.drivers.twin_exchange import TwinExchange


def options(*registers, **others):
    return msgspec.convert({"registers": list(registers), "timeout": 0.05, "retries": 1, **others}, ModbusOptions)


def at(name, address, **others):
    return {"name": name, "address": address, **others}


def sealed(*body):
    data = bytes(body)
    return data + crc16_modbus(data).to_bytes(2, "little")


# -- frames


def test_a_request_is_as_the_document_has_it():
    assert request(17, 3, 107, 3) == bytes.fromhex("1103006b00037687")
    assert request(1, 2, 0, 16) == sealed(1, 2, 0, 0, 0, 16)


def test_answers():
    assert decode_answer(bytes.fromhex("01040400f0022bbac8")) == ModbusResponse(1, 4, [240, 555], [])
    assert decode_answer(bytes.fromhex("018302c0f1")) == ModbusResponse(1, 3, [], [], 2)
    bits = decode_answer(sealed(1, 1, 2, 0xCD, 0x01)).bits
    assert bits[:10] == [True, False, True, True, False, False, True, True, True, False]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [(b"", "truncated"), (b"\1\4\4\0", "truncated"), (sealed(1, 4, 4, 0, 240, 2, 43)[:-1], "truncated"),
     (sealed(1, 4, 4, 0, 240, 2, 43) + b"\0", "bad_length"), (bytes.fromhex("01040400f0022bc8ba"), "bad_crc"),
     (sealed(1, 4, 3, 0, 240, 2), "bad_frame"), (sealed(1, 0x55, 0, 0), "unsupported")],
)  # fmt: skip
def test_what_is_no_answer_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        decode_answer(frame)


@given(st.binary(max_size=40), st.binary(max_size=10))
def test_an_answer_is_found_behind_anything(before, after):
    good = sealed(1, 4, 4, 0, 240, 2, 43)
    answer, done = find_answer(before + good + after, 1, 4, 2)
    assert answer is not None or before[-1:] == b"\1" or b"\1\4" in before or b"\1\x84" in before
    if answer is not None and answer.exception is None and done == len(before + good):
        assert answer.registers == [240, 555]


@given(st.binary(max_size=300), st.integers(1, 4), st.integers(1, 60))
def test_any_octets(data, function, count):
    answer, done = find_answer(data, 1, function, count)
    assert 0 <= done <= len(data)
    if answer is None:
        assert len(data) - done < answer_size(function, count)


# -- values


@pytest.mark.parametrize(
    ("kind", "registers", "number"),
    [("u16", [0xFFFF], 65535), ("s16", [0xFFFF], -1), ("u32", [1, 2], 65538), ("s32", [0xFFFF, 0xFFFE], -2),
     ("f32", [0x41C1, 0x999A], 24.2), ("f32", [0x0000, 0x0001], 1e-45)],
)  # fmt: skip
def test_numbers(kind, registers, number):
    assert raw_number(kind, registers, "ABCD") == pytest.approx(number, rel=1e-6)
    if kind == "f32":
        assert raw_number(kind, registers, "ABCD") == number


@pytest.mark.parametrize(
    ("words", "registers"),
    [("ABCD", [0x0102, 0x0304]), ("CDAB", [0x0304, 0x0102]), ("BADC", [0x0201, 0x0403]), ("DCBA", [0x0403, 0x0201])],
)
def test_orders_of_octets(words, registers):
    assert octets(registers, words) == b"\1\2\3\4"
    assert raw_number("u32", registers, words) == 0x01020304


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_is_told_by_the_shortest_decimal_that_it_is(number):
    data = struct.pack(">f", number)
    told = raw_number("f32", [int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big")], "ABCD")
    assert struct.pack(">f", told) == data
    assert float(f"{told:.8g}") == told or float(f"{number:.8g}") != number


def test_scaling_is_decimal():
    assert scaled(241, 0.1, 0) == 24.1
    assert scaled(189, 0.1, -40) == -21.1
    assert (scaled(5, 2, 1), type(scaled(5, 2, 1))) == (11, int)
    assert scaled(7, 1, 0) == 7
    assert math.isinf(scaled(1e300, 1e300, 0.0))
    assert isinstance(scaled(10, 1e300, 0), float)


# -- options


def test_neighbours_are_read_together():
    made = blocks(options(at("a", 0), at("b", 1, type="s32"), at("c", 4), at("d", 3, function=4), at("e", 3)))
    assert [(each.function, each.start, each.count) for each in made] == [(3, 0, 5), (4, 3, 1)]
    apart = options(at("a", 0), at("b", 2))
    assert len(blocks(apart)) == 2
    assert len(blocks(msgspec.structs.replace(apart, gap=1))) == 1
    many = options(*(at(f"r{i}", i) for i in range(300)))
    assert [each.count for each in blocks(many)] == [125, 125, 50]
    assert [each.count for each in blocks(msgspec.structs.replace(many, most=100))] == [100, 100, 100]
    same = blocks(options(at("a", 0), at("low", 0, type="bit"), at("b", 0, type="u32")))
    assert [(each.start, each.count, len(each.registers)) for each in same] == [(0, 2, 3)]
    bits = blocks(options(*(at(f"b{i}", i, function=2, type="bit") for i in range(400))))
    assert [each.count for each in bits] == [400]


def test_the_base_is_what_the_manual_counts_from():
    assert ModbusRegister("a", 1, base=1).start == 0
    assert ModbusRegister("a", 1).start == 1


@pytest.mark.parametrize(
    ("registers", "what"),
    [([at("a", 0), at("a", 1)], "two registers"), ([at("a", 0, base=1)], "no address"),
     ([at("a", LAST, type="u32")], "no address"), ([at("a", 0, function=1)], "give bits"),
     ([at("a", 0, scale=math.inf)], "finite"), ([], "length")],
)  # fmt: skip
def test_what_cannot_be_is_said(registers, what):
    with pytest.raises(msgspec.ValidationError, match=what):
        options(*registers)


def test_without_the_package_the_settings_say_how_to_get_it():
    code = (
        "import sys, msgspec, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name.startswith('pymodbus') else real(name, *a)\n"
        "sys.modules['pymodbus'] = None\n"
        "from gatepost.drivers.serial.modbus.driver import EXAMPLE, ModbusRtu\n"
        "from gatepost.drivers.serial.modbus.options import ModbusOptions\n"
        "for make in (ModbusRtu, lambda: msgspec.convert(EXAMPLE, ModbusOptions)):\n"
        "    try: make()\n"
        "    except ValueError as error: assert \"pip install '.[modbus]'\" in str(error), error\n"
        "    else: raise SystemExit('made')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_package_is_loaded_when_a_device_is_asked_and_its_client_never():
    code = (
        "import sys; from gatepost.drivers.driver import Registry; kind = Registry.installed().get('modbus-rtu')\n"
        "driver = kind(); driver.decoder(); assert 'pymodbus' not in sys.modules\n"
        "kind.twin(); assert 'pymodbus' in sys.modules and 'pymodbus.client' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# -- decoder


def ask(decoder, made, index=0, last=True):
    block = blocks(made)[index]
    words = request(made.unit, block.function, block.start, block.count)
    decoder.ask(block, words, last)
    return words


def one(made, *chunks):
    decoder = ModbusDecoder(made)
    ask(decoder, made)
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return [item for item in items if isinstance(item, Reading)], decoder.faults.counts


PAIR = options(at("t", 0, function=4, type="s16", scale=0.1, unit="Cel"), at("rh", 1, function=4, scale=0.1, unit="%"))
ANSWER = sealed(1, 4, 4, 0, 240, 2, 43)


def test_a_reading():
    (reading,), faults = one(PAIR, ANSWER)
    assert (reading.metric, reading.values) == ("reading", {"t": 24.0, "rh": 55.5})
    assert (reading.units, reading.flags, reading.quality) == ({"t": "Cel", "rh": "%"}, (), GOOD)
    assert faults == {}


def test_an_echo_noise_and_a_wrong_crc_before_the_answer():
    assert (
        one(PAIR, request(1, 4, 0, 2)[:3], request(1, 4, 0, 2)[3:] + ANSWER[:2], ANSWER[2:])[0][0].values["t"] == 24.0
    )
    (reading,), faults = one(PAIR, b"\0\xff" + ANSWER)
    assert (reading.values["t"], faults) == (24.0, {"noise": 2})
    (reading,), faults = one(PAIR, ANSWER[:-1] + b"\0", ANSWER)
    assert (reading.values["t"], faults) == (24.0, {"noise": 9})


def test_an_answer_to_something_else_is_not_taken():
    assert one(PAIR, sealed(2, 4, 4, 0, 240, 2, 43))[0] == []
    assert one(PAIR, sealed(1, 3, 4, 0, 240, 2, 43))[0] == []
    assert one(PAIR, sealed(1, 4, 2, 0, 240))[0] == []
    decoder = ModbusDecoder(PAIR)
    assert decoder.feed(ANSWER) == []
    assert decoder.faults.counts == {"unasked": 9}


def test_values_that_mean_nothing():
    made = options(
        at("a", 0, type="s16", invalid=[0x8000]),
        at("b", 1, type="s16", invalid=[-1]),
        at("c", 2, type="u16", invalid=[0xFFFF]),
        at("d", 3, type="f32"),
        at("e", 5, type="s16", invalid=[1]),
    )
    data = struct.pack(">HHHfh", 0x8000, 0xFFFF, 0xFFFF, math.nan, 2)
    (reading,), _ = one(made, sealed(1, 3, len(data), *data))
    assert reading.values == {"e": 2}
    assert reading.flags == ("a:invalid", "b:invalid", "c:invalid", "d:nan")
    assert reading.quality == GOOD


def test_bits():
    made = options(at("door", 10, function=2, type="bit"), at("fan", 12, function=2, type="bit"), gap=4)
    (reading,), _ = one(made, sealed(1, 2, 1, 0b100))
    assert reading.values == {"door": False, "fan": True}
    made = options(at("x", 0, type="bit", bit=15), at("y", 0, type="bit"))
    (reading,), _ = one(made, sealed(1, 3, 2, 0x80, 0x00))
    assert reading.values == {"x": True, "y": False}


def test_what_was_missed_is_flagged_and_the_rest_is_told():
    made = options(at("a", 0), at("b", 9))
    decoder = ModbusDecoder(made)
    ask(decoder, made, 0, last=False)
    decoder.feed(sealed(1, 3, 2, 0, 7))
    ask(decoder, made, 1)
    decoder.missed("no-answer")
    (reading,) = decoder.feed(b"")
    assert (reading.values, reading.flags) == ({"a": 7}, ("b:no-answer",))
    ask(decoder, made, 0, last=False)
    decoder.missed("no-answer")
    ask(decoder, made, 1)
    decoder.missed("no-answer")
    assert decoder.feed(b"") == []  # nobody is there: no reading
    assert decoder.faults.counts == {"no-answer": 3}


WORDS = [ANSWER, request(1, 4, 0, 2), b"\1", b"\1\4\4", b"\xff", sealed(1, 0x84, 2)]


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.integers(1, 9), min_size=1))
def test_pieces_do_not_matter(parts, sizes):
    data = b"".join(parts)
    whole, cut = ModbusDecoder(PAIR), ModbusDecoder(PAIR)
    ask(whole, PAIR), ask(cut, PAIR)
    found, place, turn = [], 0, 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        found += cut.feed(data[place : place + size])
        place, turn = place + size, turn + 1
    values = [item.values for item in whole.feed(data) if isinstance(item, Reading)]
    assert len(cut._heard) <= 512
    if values:  # an answer that is whole in one piece is found in many
        assert [item.values for item in found if isinstance(item, Reading)] == values


# -- conversation


class Over(Exception):
    pass


async def rounds(driver, io, count=1):
    """Converse until `count` rounds are over."""
    waits = 0

    class Event:
        def clear(self):
            return

        async def wait(self):
            nonlocal waits
            waits += 1
            if waits == count:
                raise Over
            raise TimeoutError

    driver._now = Event()
    with pytest.raises(Over):
        await driver.run_session(io)
    return io.readings


def both(*registers, **others):
    made = options(*registers, **others)
    return ModbusRtu(made), ModbusTwin(made, seed=1)


async def test_a_round_is_one_reading():
    driver, twin = both(at("a", 0, scale=0.1), at("b", 7, type="f32", words="CDAB"), at("c", 0, function=1, type="bit"))
    io = TwinExchange(driver, twin, ticks=False)
    found = await rounds(driver, io, 3)
    assert len(found) == 3
    assert len(io.sent) == 9
    assert found[0].values.keys() == {"a", "b", "c"}
    assert 18 <= found[0].values["a"] <= 26
    assert 18 <= found[0].values["b"] <= 26


async def test_an_address_that_is_not_there_is_said_and_not_asked_again():
    driver, twin = both(at("a", 0), at("b", 7))
    del twin.cells[3, 7]
    io = TwinExchange(driver, twin, ticks=False)
    (reading,) = await rounds(driver, io)
    assert reading.flags == ("b:illegal-address",)
    assert len(io.sent) == 2
    assert io.decoder.faults.counts == {"illegal-address": 1}


async def test_a_busy_device_is_asked_again(monkeypatch):
    monkeypatch.setattr(modbus, "BUSY_PAUSE", 0)
    driver, twin = both(at("a", 0))
    io = TwinExchange(driver, twin, ticks=False)
    said, hear = [sealed(1, 0x83, 6)], twin.hear
    twin.hear = lambda data: said.pop() if said else hear(data)
    (reading,) = await rounds(driver, io)
    assert (reading.values.keys(), reading.flags) == ({"a"}, ())
    twin.hear = lambda data: sealed(1, 0x83, 6)
    assert (await rounds(driver, io))[-1].flags == ("a:busy",)
    assert (await rounds(driver, io))[-1].quality == BAD


async def test_a_lost_answer_is_asked_for_again():
    driver, twin = both(at("a", 0))
    io = TwinExchange(driver, twin, ticks=False)
    lost, hear = [1], twin.hear
    twin.hear = lambda data: b"" if lost and lost.pop() else hear(data)
    (reading,) = await rounds(driver, io)
    assert reading.flags == ()
    assert len(io.sent) == 2


async def test_part_of_a_device_may_be_dumb():
    driver, twin = both(at("a", 0), at("b", 7))
    io = TwinExchange(driver, twin, ticks=False)
    hear = twin.hear
    twin.hear = lambda data: b"" if data[3] == 7 else hear(data)
    (reading,) = await rounds(driver, io)
    assert (reading.values.keys(), reading.flags) == ({"a"}, ("b:no-answer",))


@pytest.mark.parametrize("latency", [1.2, 1.9, 2.5])
def test_answers_of_a_slow_device_are_not_taken_for_those_to_the_next_request(latency):
    """It works off what it was asked one after the other: a request that was repeated is answered twice."""

    async def run():
        driver, twin = both(at("a", 0), at("b", 7), timeout=1.0, retries=2)
        twin.cells |= {(3, 0): 11, (3, 7): 77}
        twin.tick = lambda: b""
        done = VirtualSession()
        exchange = VirtualExchange(driver, twin, done)
        loop, hear, free = asyncio.get_running_loop(), twin.hear, 0.0

        def slowly(data):
            nonlocal free
            free = max(free, loop.time()) + latency
            loop.call_at(free, exchange.hear, hear(data))
            return b""

        twin.hear = slowly
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(120):
                await driver.run_session(exchange)
        return done.readings

    found = in_virtual_time(run())
    assert len(found) > 4
    assert {tuple(reading.values.items()) for reading in found} == {(("a", 11), ("b", 77))}


async def test_a_device_that_is_off():
    driver, twin = both(at("a", 0), at("b", 7))
    twin.silent = True
    io = TwinExchange(driver, twin, ticks=False)
    with pytest.raises(LinkFailed, match="device 1"):
        await driver.run_session(io)
    assert io.readings == []
    assert len(io.sent) == 4


async def test_an_adapter_that_hears_itself():
    driver, twin = both(at("a", 0), at("b", 7))
    twin.echo = True
    io = TwinExchange(driver, twin, ticks=False)
    (reading,) = await rounds(driver, io)
    assert reading.flags == ()
    assert io.decoder.faults.counts == {}


def test_it_never_writes():
    driver = ModbusRtu()
    for function in range(256):
        allowed = driver.violation(sealed(1, function, 0, 0, 0, 1)) is None
        assert allowed == (function in (1, 2, 3, 4)), function
    assert driver.violation(b"\n\x06\0\0\0\1") == "write"


def test_names_and_example():
    driver = ModbusRtu()
    assert driver.value_names(driver.options) == ("temperature", "humidity")
    assert driver.value_names() == ()
    assert msgspec.convert(EXAMPLE, ModbusOptions) == driver.options


async def test_on_a_port_with_read_now_and_a_device_that_goes(tmp_path):
    made = options(*EXAMPLE["registers"])
    twin = ModbusTwin(made, seed=2)
    twin.interval = 0.01
    async with PtyTwin(twin, tmp_path / "bus"), Rig() as rig:
        await rig.run("modbus-rtu", tmp_path / "bus", **{**EXAMPLE, "interval": 600, "timeout": 0.1, "retries": 0})
        await until(lambda: len(rig.readings) == 1)
        assert rig.readings[0]["units"] == {"temperature": "Cel", "humidity": "%"}
        result = await execute(rig.devices, "d", "read_now", {})
        assert result["units"] == {"temperature": "Cel", "humidity": "%"}
        assert rig.view["status"] == "online"
        twin.silent = True
        asked = asyncio.create_task(execute(rig.devices, "d", "read_now", {}))
        await until(lambda: rig.view["status"] == "offline")
        with pytest.raises(Exception):  # noqa: B017, PT011
            await asked
        assert rig.view["reason"] == "silent"
        twin.silent = False
        before = len(rig.readings)
        await until(lambda: rig.view["status"] == "online" and len(rig.readings) > before)
