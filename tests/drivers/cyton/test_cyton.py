"""openbci-cyton: packets found again after anything, losses counted, scales by gain, and the conversation."""

import random

import msgspec
import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, WrongDevice
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import GOOD, UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.cyton.driver import CytonDecoder, CytonOptions, OpenBciCyton
from gatepost.drivers.serial.cyton.packets import (
    CytonPacket,
    CytonPacketReader,
    CytonText,
    decode_packet,
    encode_packet,
    int24,
)
from gatepost.drivers.serial.cyton.twin import CytonTwin
from tests.drivers.twin_exchange import TwinExchange

EIGHT = (1, -2, 3, -4, 5, -6, 7, -8)


def packets(count, first=0):
    return [encode_packet(first + i, tuple(i * 8 + c for c in range(8))) for i in range(count)]


def samples(items):
    return [item.sample if isinstance(item, CytonPacket) else item for item in items]


def options(**given):
    return msgspec.convert(given, CytonOptions)


def timed(sample, stop, aux):
    return encode_packet(sample, EIGHT)[:26] + aux + bytes((stop,))


# -- packets


def test_a_packet_and_back():
    packet = decode_packet(encode_packet(300, EIGHT, (1, -2, 3)))
    assert (packet.sample, packet.counts, packet.accel_counts) == (44, EIGHT, (1, -2, 3))
    assert packet.board_time_ms is None


@pytest.mark.parametrize(
    ("stop", "aux", "part", "time"),
    [
        (0xC1, b"\1\2\3\4\5\6", None, None),
        (0xC2, b"\1\2\3\4\5\6", None, None),
        (0xC3, b"X\xff\0\1\2\3", ("X", 255), 66051),
        (0xC4, b"z\x07\xff\xff\xff\xff", ("z", 7), 2**32 - 1),
        (0xC4, b"q\x07\0\0\0\1", None, 1),
        (0xC5, b"X\x07\0\0\0\1", None, 1),
        (0xC6, b"\0\0\0\0\0\0", None, 0),
        (0xCF, b"\0\0\0\0\0\0", None, None),
    ],
)
def test_what_the_auxiliary_octets_are_the_stop_octet_says(stop, aux, part, time):
    packet = decode_packet(timed(1, stop, aux))
    assert packet.accel_counts is None
    assert (packet.accel_part, packet.board_time_ms, packet.aux) == (part, time, aux)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "truncated"),
        (packets(1)[0][:-1], "truncated"),
        (packets(1)[0] + b"\0", "bad_length"),
        (b"\xa1" + packets(1)[0][1:], "bad_sync"),
        (packets(1)[0][:-1] + b"\xb0", "bad_frame"),
    ],
)
def test_what_is_no_packet_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        decode_packet(frame)


@pytest.mark.parametrize(("octets", "value"), [("7fffff", 8388607), ("800000", -8388608), ("000000", 0)])
def test_int24(octets, value):
    assert int24(bytes.fromhex(octets)) == value


@pytest.mark.parametrize("octets", [b"", b"\0\0", b"\0\0\0\0"])
def test_int24_takes_three_octets(octets):
    with pytest.raises(FrameError):
        int24(octets)


def test_marks_within_the_data_do_not_mislead():
    """Every channel looks like the beginning of a packet, and every would-be stop octet is right too."""
    full = int24(b"\xa0\xc0\xa0")
    stream = b"".join(encode_packet(i, (full,) * 8, (-16192, -16192, -16192)) for i in range(6))
    for cut in range(33):
        reader = CytonPacketReader(Faults())
        found = samples(reader.feed(stream[cut:]))
        assert found == list(range(1 if cut else 0, 6)), cut


def test_octets_lost_in_the_middle_cost_one_packet_and_one_count():
    stream = b"".join(packets(9))
    faults = Faults()
    reader = CytonPacketReader(faults)
    assert samples(reader.feed(stream[:110] + stream[120:])) == [0, 1, 2, None, 4, 5, 6, 7, 8]
    assert faults.counts == {"resync": 1}


def test_one_packet_alone_is_not_believed_unless_asked_for():
    alone = packets(1)[0] + b"\0" * 99
    assert samples(CytonPacketReader(Faults()).feed(alone)) == []
    assert samples(CytonPacketReader(Faults(), lone=True).feed(alone))[0] == 0
    reader = CytonPacketReader(Faults())
    assert reader.feed(packets(1)[0]) == []
    assert samples(reader.finish()) == [0]


def test_words_up_to_their_end():
    reader = CytonPacketReader(Faults())
    stream = b"\xffOpenBCI V3\r\nFirmware: v3.1.2\r\n$$$" + b"".join(packets(3)) + b"Stopped$$$"
    found = [item for octet in stream for item in reader.feed(bytes((octet,)))]
    assert isinstance(found[0], CytonText)
    assert found[0].text.endswith("Firmware: v3.1.2")
    assert [*samples(found[1:4]), found[4]] == [0, 1, 2, None]
    assert found[5].text == "Stopped"


# -- readings


def decode(data, **given):
    decoder = CytonDecoder(options(**given))
    return decoder, [item for item in decoder.feed(data) if isinstance(item, Reading)]


def ecg(readings):
    return [reading for reading in readings if reading.metric == "ecg"]


def test_a_second_of_every_input_in_microvolt():
    _, found = decode(b"".join(packets(250)))
    assert [r.values["channel"] for r in ecg(found)] == [f"ch{i}" for i in range(1, 9)]
    wave = found[2].waveform
    assert wave.samples == [i * 8 + 2 for i in range(250)]
    assert (wave.rate_hz, wave.unit) == (250.0, "uV")
    assert wave.scale == pytest.approx(0.02235174, rel=1e-6)  # as the documentation rounds it


def test_names_and_gains_of_inputs():
    _, found = decode(b"".join(packets(250)), channels=["I", "", "V1"], gain=[24, 24, 6])
    assert [r.values["channel"] for r in ecg(found)] == ["I", "V1"]
    assert found[1].waveform.samples[:2] == [2, 10]
    assert found[1].waveform.scale == pytest.approx(4 * found[0].waveform.scale)
    _, found = decode(b"".join(packets(250)), gain=1)
    assert found[0].waveform.scale == pytest.approx(4.5e6 / (2**23 - 1))


def test_lost_packets_are_counted_and_marked():
    sent = packets(300)
    decoder, found = decode(b"".join(sent[:100] + sent[107:]), channels=["I"])
    assert [len(r.waveform.samples) for r in ecg(found)] == [100]
    more = decoder.feed(b"".join(packets(250, 44)))
    first = ecg(more)[0]
    assert (first.flags, first.values["lost_samples"], first.quality) == (("gap",), 7, GOOD)
    assert first.waveform.samples[0] == 107 * 8
    assert decoder.faults.counts == {"lost-packets": 7}


def test_octets_lost_on_the_line_are_lost_packets_too():
    stream = b"".join(packets(300))
    decoder, found = decode(stream[:1000] + stream[1010:], channels=["I"])
    assert [len(r.waveform.samples) for r in ecg(found)] == [30, 250]
    assert [r.values.get("lost_samples") for r in ecg(found)] == [None, 1]
    assert decoder.faults.counts == {"resync": 1, "lost-packets": 1}


def test_rails_are_flagged_and_kept():
    row = (0x7FFFFF, -0x800000, 5, 5, 5, 5, 5, 5)
    _, found = decode(b"".join(encode_packet(i, row if i == 9 else EIGHT) for i in range(250)))
    assert [(r.flags, r.quality) for r in ecg(found)][:3] == [
        (("ch1:over-range",), UNCERTAIN),
        (("ch2:under-range",), UNCERTAIN),
        ((), GOOD),
    ]
    assert found[0].waveform.samples[9] == 0x7FFFFF


def test_acceleration_where_it_is_new():
    sent = [encode_packet(i, EIGHT, (i, -i, 8000) if i % 10 == 0 else (0, 0, 0)) for i in range(250)]
    _, found = decode(b"".join(sent))
    x, y, z = (r for r in found if r.metric == "acceleration")
    assert x.values == {"channel": "x"}
    assert x.waveform.samples == list(range(0, 250, 10))
    assert y.waveform.samples[1] == -10
    assert (z.waveform.rate_hz, z.waveform.unit) == (25.0, "[g]")
    assert z.waveform.samples[0] * z.waveform.scale == pytest.approx(1.0)
    _, found = decode(b"".join(sent), acceleration=False)
    assert {r.metric for r in found} == {"ecg"}


def test_acceleration_and_time_of_stamped_packets():
    letters = "XxYyZz"
    sent = []
    for i in range(250):
        octets = (1000).to_bytes(2, "big") + (-2).to_bytes(2, "big", signed=True) + (7).to_bytes(2, "big")
        letter, octet = (letters[i % 10], octets[i % 10]) if i % 10 < 6 else ("q", 0)
        sent.append(timed(i, 0xC4, bytes((ord(letter), octet)) + (5000 + 4 * i).to_bytes(4, "big")))
    _, found = decode(b"".join(sent))
    assert ecg(found)[0].values == {"channel": "ch1", "board_time": 5000}
    assert ecg(found)[0].units == {"board_time": "ms"}
    axes = [r.waveform.samples for r in found if r.metric == "acceleration"]
    assert axes == [[1000] * 25, [-2] * 25, [7] * 25]


def test_a_daisy_module_takes_every_second_packet():
    decoder, found = decode(b"".join(packets(250)), daisy=True)
    names = [r.values["channel"] for r in ecg(found)]
    assert names == [f"ch{i}" for i in (*range(9, 17), *range(1, 9))] or names == [f"ch{i}" for i in range(1, 17)]
    by_name = {r.values["channel"]: r.waveform for r in ecg(found)}
    assert by_name["ch1"].samples == [i * 8 for i in range(1, 250, 2)]
    assert by_name["ch9"].samples == [i * 8 for i in range(0, 250, 2)]
    assert by_name["ch1"].rate_hz == 125.0
    found = ecg(decoder.feed(b"".join(packets(260, 253))))  # 250, 251 and 252 are lost
    lost = {r.values["channel"]: r.values.get("lost_samples") for r in reversed(found)}
    assert (lost["ch1"], lost["ch9"]) == (1, 2)


def test_the_number_of_a_loss_wraps():
    _, found = decode(b"".join(packets(5) + packets(250, 4)), channels=["I"])
    assert found[1].values["lost_samples"] == 255


@pytest.mark.parametrize(
    "given",
    [
        {"channels": ["a", "a"]},
        {"channels": ["", ""]},
        {"channels": ["x"] * 9},
        {"gain": 5},
        {"gain": [24] * 9},
        {"gain": [3]},
        {"channels": ["x" * 99]},
    ],
)
def test_options_that_cannot_work(given):
    with pytest.raises(msgspec.ValidationError):
        options(**given)


def test_every_mistake_at_once():
    with pytest.raises(WrongOptions) as wrong:
        CytonOptions(channels=["a"] * 9, gain=[1] * 9)
    assert len(wrong.value.problems) == 3


# -- the conversation


async def test_it_is_reset_and_started():
    driver = OpenBciCyton()
    io = TwinExchange(driver, CytonTwin(1))
    await driver.run_session(io)
    assert io.sent == [b"s", b"v", b"b"]
    assert io.known == {"firmware": "3.1.2"}
    assert driver.on_close_bytes() == (b"s",)


async def test_a_board_that_streams_already_is_reset_all_the_same():
    driver = OpenBciCyton()
    twin = CytonTwin(1)
    twin.hear(b"b")
    io = TwinExchange(driver, twin)
    io.decoder.feed(twin.tick())
    await driver.run_session(io)
    assert twin.streaming


async def test_what_another_program_set_is_kept_when_asked():
    driver = OpenBciCyton(options(reset=False, gain=6))
    io = TwinExchange(driver, CytonTwin(1))
    await driver.run_session(io)
    assert io.sent == [b"b"]


async def test_a_board_that_is_off_is_told():
    twin = CytonTwin(1)
    twin.board = False
    driver = OpenBciCyton()
    with pytest.raises(CommandFailed, match="switched on") as failed:
        await driver.run_session(TwinExchange(driver, twin))
    assert failed.value.key == "no-board"


@pytest.mark.parametrize(("attached", "said"), [(True, False), (False, True)])
async def test_a_daisy_module_that_the_options_do_not_know_is_told(attached, said):
    driver = OpenBciCyton(options(daisy=said))
    with pytest.raises(WrongDevice, match=f"set daisy: {str(attached).lower()}"):
        await driver.run_session(TwinExchange(driver, CytonTwin(1, daisy=attached)))


async def test_a_silent_port_is_a_timeout_and_another_device_a_wrong_one():
    class Mute(CytonTwin):
        def hear(self, data):
            return b""

    class Other(CytonTwin):
        def hear(self, data):
            return b"ready$$$"

    driver = OpenBciCyton()
    with pytest.raises(TimeoutError):
        await driver.run_session(TwinExchange(driver, Mute(1)))
    with pytest.raises(WrongDevice):
        await driver.run_session(TwinExchange(driver, Other(1)))


@pytest.mark.parametrize("words", [b"d", b"x1060110X", b"[", b"0", b"1", b"A", b"b1", b"~4", b"C"])
def test_nothing_that_sets_the_board_can_be_said(words):
    driver = OpenBciCyton()
    assert driver.violation(words) == "board-settings"
    assert all(driver.violation(fine) is None for fine in (b"b", b"s", b"v", b"?"))
    assert driver.commands == ()


def test_the_twin_sends_what_a_heart_does():
    twin = CytonTwin(3)
    assert twin.tick() == b""
    twin.hear(b"b")
    decoder = OpenBciCyton(options(channels=["I"], acceleration=False)).decoder()
    blocks = [item for _ in range(101) for item in decoder.feed(twin.tick())]
    assert [len(block.waveform.samples) for block in blocks] == [250] * 4
    assert decoder.faults.total == 0
    assert 800 < max(s * blocks[0].waveform.scale for s in blocks[0].waveform.samples) < 1100
    twin.drop = 12
    found = [item for _ in range(30) for item in decoder.feed(twin.tick()) if isinstance(item, Reading)]
    assert [r.values.get("lost_samples") for r in found if "gap" in r.flags] == [12]


def test_a_reply_for_words():
    decoder = OpenBciCyton().decoder()
    assert decoder.feed(b"hello$$$" + b"\0" * 70) == [Reply("words", {"text": "hello"})]
    (said,) = decoder.feed(CytonTwin().hear(b"v") + b"\0" * 70)
    assert said.kind == "board"


def test_a_board_that_was_reset_counts_anew():
    stream = b"".join(packets(100)) + CytonTwin().hear(b"v") + b"".join(packets(251))
    decoder, found = decode(stream, channels=["I"])
    assert [len(r.waveform.samples) for r in ecg(found)] == [100, 250]
    assert (ecg(found)[1].flags, ecg(found)[1].values) == (("gap",), {"channel": "I"})
    assert decoder.faults.counts == {"resync": 1}


def test_a_scan_may_ask_who_it_is():
    (question,) = OpenBciCyton.scan_hints.probes
    twin = CytonTwin()
    found = OpenBciCyton().decoder().feed(twin.hear(question.request))
    assert [item.kind for item in found] == list(OpenBciCyton.scan_hints.identifying_replies)
    assert not twin.streaming


def test_random_streams_do_not_raise():
    rng = random.Random(5)
    decoder = OpenBciCyton().decoder()
    stream = b"".join(packets(40))
    for _ in range(200):
        at = rng.randrange(len(stream))
        decoder.feed(stream[at : at + rng.randrange(200)] + rng.randbytes(rng.randrange(20)))
