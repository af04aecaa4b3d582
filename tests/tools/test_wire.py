"""The MQTT reader of the taps against packets built by hand."""

from __future__ import annotations

from tools.harness import wire


def test_packets_are_cut_at_any_chunk_size():
    stream = wire.connect("c") + wire.packet(0x32, wire.text("t") + b"\x00\x07" + b"x" * 300) + b"\xc0\x00"
    for size in (1, 2, 3, 7, len(stream)):
        frames = wire.Frames()
        kinds = [frame.kind for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
        assert kinds == [wire.CONNECT, wire.PUBLISH, wire.PINGREQ]


def frame(raw: bytes) -> wire.Frame:
    (only,) = wire.Frames().feed(raw)
    return only


def test_a_publish_of_either_version():
    plain = frame(wire.packet(0x32, wire.text("a/b") + b"\x01\x02" + b"{}"))
    assert wire.publish(plain, 4) == wire.Publish("a/b", 0x102, 1, b"{}")
    five = frame(wire.packet(0x32, wire.text("a/b") + b"\x01\x02" + b"\x03\x23\x00\x01" + b"{}"))
    assert wire.publish(five, 5) == wire.Publish("a/b", 0x102, 1, b"{}")
    assert wire.publish(frame(wire.packet(0x30, wire.text("a") + b"{}")), 4) == wire.Publish("a", 0, 0, b"{}")


def test_the_reason_of_an_acknowledgement():
    assert wire.ack(frame(b"\x40\x02\x00\x09")) == (9, 0)
    assert wire.ack(frame(b"\x40\x04\x00\x09\x97\x00")) == (9, 0x97)


def test_the_version_of_a_connect():
    assert wire.version_of(frame(wire.connect("client"))) == 4


def test_a_willing_broker_answers_each_version():
    assert wire.answer(frame(wire.connect("c")), 4) == b"\x20\x02\x00\x00"
    assert wire.answer(frame(wire.connect("c")), 5) == b"\x20\x03\x00\x00\x00"
    assert wire.answer(frame(wire.subscribe("a", 5, 1)), 4) == b"\x90\x03\x00\x05\x01"
    five = wire.packet(0x82, b"\x00\x05\x00" + wire.text("a") + b"\x01" + wire.text("b") + b"\x02")
    assert wire.answer(frame(five), 5) == b"\x90\x05\x00\x05\x00\x01\x02"
    assert wire.answer(frame(b"\x62\x02\x00\x05"), 4) == b"\x70\x02\x00\x05"
