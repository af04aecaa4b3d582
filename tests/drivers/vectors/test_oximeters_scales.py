"""Vectors of our own for oximeters and scales: every name, refusals, streams with garbage and cuts."""

import pytest

from gatepost.drivers.serial.contec.v5_frames import encode_stored
from gatepost.drivers.serial.nonin.twin import NoninTwin, frame2, frame7
from gatepost.drivers.testing.vectors import adapters, judge

PACKET = NoninTwin(seed=4).tick()
NUMBERS = adapters()["serial-frame"]["nonin-df2"](PACKET)
RATE, SPO2 = NUMBERS["pulse_rate"], NUMBERS["spo2"]
SPOT = "0002000d000e1418060f081e2d000200004800613f03"
CAS = "53542c47532c31c42c3030303031332e35206b670d0a"
MASIMO = (
    "03/26/24 08:15:01 SN=0000093112 SPO2=---% BPM=--- PI=--.--% SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- PVI=--- "
    "ALARM=0001 EXC=000020\r\n"
)


def line(protocol, text, **expected):
    return {"kind": "serial-line", "protocol": protocol, "text": text, **expected}


def frame(protocol, octets, **expected):
    return {"kind": "serial-frame", "protocol": protocol, "input_hex": octets, **expected}


def stream(protocol, chunks, *readings):
    return {"kind": "serial-stream", "protocol": protocol, "chunks": chunks, "expect": {"readings": list(readings)}}


VECTORS = [
    frame("nonin-df1", "804861", expect={"pulse_rate": 72, "spo2": 97, "out_of_track": False}),
    frame("nonin-df1", "e37f7f", expect={"pulse_rate": None, "spo2": None, "sensor_disconnected": True}),
    frame("nonin-df1", "8048", expect_error="truncated"),
    frame("nonin-df8", "83ff6120", expect_error="bad_sync"),
    frame("nonin-df8", "837f7f0b", expect={
        "pulse_rate": None, "spo2": None, "sensor_fault": True, "low_battery": True}),
    frame("nonin-df2-frame", "0186015ae2", expect={"perfusion": "yellow", "sync": False, "float_byte": 90}),
    frame("nonin-df2-frame", "0186015ae3", expect_error="bad_checksum"),
    frame("nonin-df2", PACKET[5:].hex(), expect_error="truncated"),
    frame("nonin-df2", (PACKET[5:] + PACKET[:5]).hex(), expect_error="bad_sync"),
    frame("nonin-df7", frame7(0xF9, 0x1234, 7).hex(), expect={
        "sensor_disconnected": True, "artifact": True, "out_of_track": True, "sensor_fault": True, "perfusion": "none",
        "sync": True, "pleth": 0x1234, "float_byte": 7}),
    frame("nonin-df7", "0180120093", expect_error="bad_sync"),
    frame("nonin-df13", SPOT, expect={"timestamp": [2024, 6, 15, 8, 30, 45], "from_memory": False}),
    frame("nonin-df13", SPOT[:-6] + "624003", expect={"spo2": 98}),
    frame("nonin-df13", SPOT[:-6] + "624103", expect_error="bad_checksum"),
    frame("nonin-df13", SPOT[:-2], expect_error="truncated"),
    line("nonin-ascii", "SPO2=--- HR=---\r\n", expect={"spo2": None, "pulse_rate": None}),
    line("nonin-ascii", "SPO2=097 HR=", expect_error="truncated"),
    line("masimo-ascii1", MASIMO, expect={
        "timestamp": [2024, 3, 26, 8, 15, 1], "serial": "0000093112", "spo2": None, "pulse_rate": None,
        "pi_pct": None}),
    line("masimo-ascii1", MASIMO[9:], expect_error="bad_format"),
    line("nellcor-n595", "26-Mar-24 08:15:03   84*   72     55   SL  MO\r\n", expect={
        "spo2": 84, "alarm": True, "status": ["SL", "MO"]}),
    line("nellcor-n595", "26-Mar-24 08:15:03  ---   ---    ---   SO\r\n", expect={
        "spo2": None, "pulse_rate": None, "pulse_amplitude": None, "status": ["SO"], "alarm": False}),
    line("nellcor-n595", "TIME  %SPO2  BPM   PA    Status", expect_error="bad_format"),
    line("mt-sics", "S D     129.07 g\r\n", expect={"state": "dynamic", "value": 129.07, "unit": "g"}),
    line("mt-sics", "S +\r\n", expect={"state": "overload", "value": None}),
    line("mt-sics", "S -\r\n", expect={"state": "underload", "value": None}),
    line("mt-sics", "EL\r\n", expect={"state": "error", "code": "EL"}),
    line("mt-sics", "hello", expect_error="bad_header"),
    frame("mt-sics", b"S I\r\n".hex(), expect={"state": "not_executable"}),
    frame("cas-22", CAS.replace("5354", "4f4c"), expect={"state": "overload", "value": None}),
    frame("cas-22", CAS.replace("31c4", "31b3"), expect={
        "lamp_stable": False, "hold": True, "tare": True, "zero": True, "value": 13.5}),
    frame("cas-22", CAS.replace("31c4", "3144"), expect_error="bad_format"),
    frame("cas-22", CAS[:-10], expect_error="truncated"),
    frame("cas-10", b"000013.5\r\n".hex(), expect={"value": 13.5}),
    frame("cas-10", b"0013.5\r\n".hex(), expect_error="truncated"),
    frame("and-18", b"US,NT,-0004.876kg\r\n".hex(), expect={
        "state": "unstable", "mode": "net", "value": -4.876, "unit": "kg"}),
    line("and-18", "ST,GS,+  4.876kg\r\n", expect={"state": "stable", "mode": "gross", "value": 4.876}),
    frame("and-standard", b"US,+0001.234 kg\r\n".hex(), expect={"state": "unstable", "value": 1.234}),
    frame("contec-v7", "0f80e1c8e1c9e0ca", expect={"records": [
        {"spo2": 97, "pulse_rate": 72}, {"spo2": 97, "pulse_rate": 73}, {"spo2": 96, "pulse_rate": 74}]}),
    frame("contec-v7", "0980e1c8c082", expect={"records": [{"spo2": 97, "pulse_rate": 72, "pi_pct": 5.76}]}),
    frame("contec-v7", "078080809498868f", expect={
        "user": 0, "segment": 0, "year": 2024, "month": 6, "day": 15}),
    frame("contec-v7", "1280808088" + "9ead80", expect={"hour": 8, "minute": 30, "second": 45}),
    frame("contec-v7", "0a808083", expect={"user": 0, "segments": 3}),
    frame("contec-5byte-stored", encode_stored([(0, 0), (255, 100)]).hex(), expect={"records": [
        {"pulse_rate": None, "spo2": None}, {"pulse_rate": 255, "spo2": 100}]}),
    stream("nonin-df2", [PACKET[:31].hex(), PACKET[31:].hex()], {"pulse_rate": RATE, "spo2": SPO2}),
    stream("nonin-df2", ["0102030405ff", PACKET.hex(), "ffff", PACKET.hex()], {"spo2": SPO2}, {"spo2": SPO2}),
    stream("nonin-df2", [PACKET.hex(), PACKET[:60].hex(), PACKET.hex()], {"spo2": SPO2}, {"spo2": SPO2}),
    stream("nonin-df2", [PACKET[:50].hex() + "00" + PACKET[50:].hex(), PACKET.hex()], {"spo2": SPO2}),
    stream("nonin-df2-frame", [(frame2(0x80, 1, 2) * 2)[:7].hex(), frame2(0x80, 1, 2)[2:].hex()],
           {"pleth": 1}, {"float_byte": 2}),
    stream("nonin-df7", ["818012", "0013", frame7(0x80, 5, 6).hex()], {"pleth": 32786}, {"pleth": 5}),
    stream("nonin-df8", ["4861", "80486120", "8048", "6120", "05", "80496120"],
           {"pulse_rate": 72}, {"pulse_rate": 72}, {"pulse_rate": 73}),
    stream("nonin-df1", ["8048", "61804a61"], {"pulse_rate": 72}, {"pulse_rate": 74}),
    stream("nonin-df13", ["ff00" + SPOT[:9 * 2], SPOT[9 * 2:], SPOT[:20], SPOT], {"spo2": 97}, {"spo2": 97}),
    stream("nonin-ascii", [b"97 HR=072\r\nSPO2=0".hex(), b"97 HR=072\r\nSPO2=0 HR=1\r\n".hex()], {"spo2": 97}),
    stream("nellcor-n595", [b"TIME  %SPO2  BPM   PA    Status\r\n26-Mar-24 08:15:03   98 ".hex(),
                            b"   72     55\r\n".hex()], {"spo2": 98}),
    stream("cas-22", [CAS[:20], CAS[20:] + "00ff0d0a" + CAS], {"value": 13.5}, {"value": 13.5}),
    stream("mt-sics", [b"0.00 g\r\nS S     100".hex(), b".00 g\r\nES\r\n".hex()], {"value": 100}, {"code": "ES"}),
    stream("and-standard", [b"ST,+0001.2".hex(), b"34 kg\r\ngarbage\r\nUS,+0001.235 kg\r\n".hex()],
           {"value": 1.234}, {"state": "unstable"}),
    {"kind": "encode", "protocol": "nonin", "request": {"format": 8}, "expect": {"output_hex": "027002020803"}},
    {"kind": "encode", "protocol": "nonin", "request": {"format": 3}, "expect_error": "unsupported"},
]  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']}-{v['protocol']}")
def test_vector(vector):
    assert judge(vector) == ""
