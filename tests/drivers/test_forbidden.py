"""What must never be said to a device: one table for every driver that hears octets.

A driver joins by its name: words that change a device are refused, words that it says itself pass. One that is in
neither table must have no way to speak.
"""

import asyncio
import random

import msgspec
import pytest

from gatepost.drivers.driver import Driver, Registry
from gatepost.drivers.network.intellivue import requests
from gatepost.drivers.network.intellivue.frames import encode_payload
from gatepost.drivers.network.poct1a import answers
from gatepost.drivers.serial.contec.v7_packets import FORBIDDEN as V7_FORBIDDEN
from gatepost.drivers.serial.ge_dri.frames import encode_frame as dri_frame
from gatepost.drivers.serial.ge_dri.records import values_request, waveform_request
from gatepost.drivers.serial.medibus.frames import encode_frame
from gatepost.drivers.serial.medibus.realtime import ENABLE
from gatepost.drivers.serial.scales.mt_sics_driver import MtSics, MtSicsOptions
from tests.drivers.twin_exchange import TwinExchange

REGISTRY = Registry.installed()
SERIAL = [name for name in REGISTRY.names if REGISTRY.get(name).transport == "serial"]
ENDLESS = {
    "astm-analyser",
    "draeger-medibus",
    "ge-dri",
    "hl7-monitor",
    "pb840",
    "philips-intellivue",
    "poct1-a",
}  # their sessions do not end; driver_kit plays them
HARMLESS = {"and-ua767pc"}  # it only opens and closes its remote mode; no word that changes it is known


def lines(*words):
    return [word.encode("ascii") + ending for word in words for ending in (b"\r\n", b"\r", b"")]


NOW = "2026-11-20T10:30:00"
SYSTEM = "00210000000000000000"  # the monitor itself, of an IntelliVue
INTELLIVUE = [
    bytes.fromhex(text)
    for text in (
        "e1000002000100180001000500120021000000000000000000010004ffff0000",  # a set of something else
        f"e10000020001002200010005001c{SYSTEM}0001000e0000f2370008000100040000 0000",  # of another attribute
        f"e10000020001001c000100070016{SYSTEM}0c1600080001000100 2a0000",  # demographics
        f"e10000020001001c000100070016{SYSTEM}0c1700080001000100060000",  # another action
        f"e10000020001001c000100010016{SYSTEM}0c1600080001000100060000",  # an event
        f"e1000002000100160001000300 10{SYSTEM}00010002f237",  # a get of something else
        "0e0100",
    )
]
REFUSED = {
    "philips-intellivue": {"request": [*INTELLIVUE, *map(encode_payload, INTELLIVUE), b"\xc0\x11\x01", b"\xc0"]},
    "and-scale": {
        "zero": [*lines("Z", "R", "z"), b"\x1bT\r\n"],
        "tare": lines("T", "CT", "PT:0001.0 g", "t"),
        "erase": lines("MCL", "MD:001"),
        "adjust": lines("CAL", "EXC"),
        "command": lines("P", "ON", "OFF", "U", "SMP", "PRT", "HI:1 g", "anything"),
    },
    "mt-sics": {
        "zero": lines("Z", "ZI", "ZC"),
        "tare": lines("T", "TA 1.0 g", "TAC", "TI", "TST2"),
        "reset": lines("@", "RST"),
        "adjust": lines("C0 1 0", "C1", "C2", "C3"),
        "command": lines("D hello", "DW", "PWR 0", "M21 0 1", "K 1", "SR", "SX", "anything"),
    },
    "contec-cms50-v7": {
        "erase": [b"\x7d\x81\xae" + b"\x80" * 6, b"\x7d\xff\xae\xff\xff" + b"\x80" * 4, b"\x00\x7d\x81\xae"],
        "command": [b"\x04\x80" + b"\xb1" * 7, b"\x7d\x81\xf5" + b"\x80" * 6, b"\x7d\x81\xa1", b"\xa1"],
    },
    "contec-cms50d-plus": {"command": [b"\xf7", b"\xf5\xf5\x00", b"erase", b"\x7d\x81\xae"]},
    "nonin": {
        "erase": [b"MCL!\r\n", b"mcl!"],
        "command": [b"\x02\x70\x02\x02\x05\x03", b"\x02\x72\x06\x1a\x0b\x14\x08\x1e\x00\x03", b"\x06", b"CFG=1\r\n"],
    },
    "cas-scale": {"speak": [b"Z", b"T", b"\x31", b"MZ\r\n"]},
    "oximeter-ascii": {"speak": [b"0", b"\x03", b"SPO2?"]},
    "onetouch-ultra2": {"erase": [b"\x11\rDMZ\r", b"dmz"]},
    "astm-analyser": {"command": [b"\x021O|1|S1||^^^GLU|R\r\x0343\r\n", b"Q|1|^S1\r", b"\x02", b"\x06\x05", b"x"]},
    "draeger-medibus": {
        "set": [encode_frame(False, code, b"01  40") for code in (0x49, 0x59, 0x6A)],
        "command": [
            *(encode_frame(False, code) for code in (0x23, 0x2F, 0x31, 0x4B, 0x50, 0x56, 0x57, 0x6C)),
            b"\x1b\x24", b"\x24\r", ENABLE[:3], ENABLE + b"\xc0", b"\xd0\xc1\xcf\xc0\xc0", b"\x1b\x24\x01\r",
        ],
    },
    "ge-dri": {
        "record": [
            dri_frame(values_request(10)[:14] + main + values_request(10)[16:]) for main in (b"\x02\x00", b"\x04\x00")
        ] + [dri_frame(values_request(10, 0x1E)), dri_frame(values_request(10) + b"\x00"), b"\x7e\x7e", b"x"],
    },
    "poct1-a": {
        "message": [
            answers.continuous_request(3, NOW).replace(b"START_CONTINUOUS", word)
            for word in (b"FORCE_NORMAL", b"LOCK", b"SET_TIME")
        ] + [
            answers.observations_request(1, NOW).replace(b"REQ", b"OPL"),
            answers.observations_request(1, NOW).replace(b"ROBS", b"RDEV"), b"<", b"<PTL.R01></PTL.R01>",
        ],
    },
    "pb840": {"command": [b"RSET\r", b"SNDX\r", b"RSET", b"anything\r"]},
    "hl7-monitor": {
        "message": [
            b"\x0bMSH|^~\\&|GATEPOST|||||ADT^A01|1|P|2.6\r\x1c\r",
            b"\x0bMSH|^~\\&|GATEPOST|||||ORU^R42|1|P|2.6\rMSA|AA|1\r\x1c\r",
            b"\x0bMSH|^~\\&|GATEPOST|||||ACK^R01|1|P|2.6\rMSA|AA|1\rORC|NW\r\x1c\r",
        ]
    },
}  # fmt: skip

SAID = {
    "ge-dri": [
        dri_frame(record)
        for record in (values_request(10), values_request(0, 0), waveform_request((1, 8)), waveform_request((), True))
    ],
    "poct1-a": [
        answers.acknowledgement(1, NOW, "10014"),
        answers.observations_request(2, NOW),
        answers.continuous_request(3, NOW),
    ],
    "draeger-medibus": [
        *(encode_frame(False, code) for code in (*range(0x24, 0x2F), 0x30, 0x51, 0x52, 0x53, 0x55)),
        encode_frame(False, 0x54, b"00010101"),
        encode_frame(False, 0x4A, b"$EB"),
        encode_frame(True, 0x52, b"0161'GATEPOST'01.00:03.00"),
        encode_frame(True, 0x56),
        ENABLE,
        b"\x11",
        b"\x13",
        b"\x18",
    ],
    "philips-intellivue": [
        framed(request)
        for request in (
            requests.association_request(),
            requests.release_request(),
            requests.abort(),
            requests.event_result(1, 0x0D06),
            *(requests.poll_request(0xC0C1, 7, kind) for kind in (5, 6, 9, 33, 54)),
            requests.poll_request(3, 7, 9, 0, 60_000),
            requests.get_priorities(1),
            requests.set_priorities(2, (131330, 150452)),
        )
        for framed in (bytes, encode_payload)
    ],
    "astm-analyser": [b"\x06", b"\x15", b"\x04"],
    "pb840": [b"SNDF\r", b"SNDA\r"],
    "hl7-monitor": [b"\x0bMSH|^~\\&|GATEPOST|||20260101||ACK^R01|1|P|2.6\rMSA|AE|1\r\x1c\r"],
    "and-scale": lines("Q", "S", "SI", "SIR", "C"),
    "mt-sics": lines("S", "SI", "SIR", "I4"),
    "contec-cms50-v7": [bytes((0x7D, 0x81, 0xA0 | n)) + b"\x80" * 6 for n in (1, 2, 3, 4, 5, 6, 7, 10, 15)],
    "contec-cms50d-plus": [b"\xf5\xf5", b"\xf6\xf6\xf6"],
    "nonin": [bytes((2, 0x70, 2, 2, n, 3)) for n in (1, 2, 7, 8, 13)],
    "onetouch-ultra2": [b"\x11\rDMP\r"],
}

CASES = [(name, rule, word) for name, rules in REFUSED.items() for rule, words in rules.items() for word in words]


@pytest.mark.parametrize(("name", "rule", "word"), CASES)
def test_it_may_not_be_said(name, rule, word):
    assert REGISTRY.get(name)().violation(word) == rule


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, words in SAID.items() for word in words])
def test_it_may_be_said(name, word):
    assert REGISTRY.get(name)().violation(word) is None


@pytest.mark.parametrize(("name", "rule", "word"), CASES)
def test_it_may_not_be_said_among_other_words(name, rule, word):
    driver = REGISTRY.get(name)()
    for before in SAID.get(name, [b""])[:3]:
        if not before.endswith((b"\r", b"\n")) and name in ("and-scale", "mt-sics"):
            continue  # one line, and another word
        assert driver.violation(before + word) is not None


@pytest.mark.parametrize("name", SERIAL)
def test_what_a_driver_says_by_itself_is_allowed(name):
    driver = REGISTRY.get(name)()
    spoken = [
        *driver.on_open_bytes(),
        *driver.on_close_bytes(),
        *([driver.keep_alive.data] if driver.keep_alive else []),
    ]
    assert [driver.violation(words) for words in spoken] == [None] * len(spoken)


@pytest.mark.parametrize("name", SERIAL)
def test_a_driver_that_can_speak_has_rules(name):
    kind = REGISTRY.get(name)
    driver = kind()
    silent = kind.run_session is Driver.run_session and not (
        kind.commands or driver.on_open_bytes() or driver.keep_alive
    )
    assert silent or kind.forbidden or name in HARMLESS, (
        f"{name} can speak: say in `forbidden` what it must not, and join the table"
    )


def test_only_what_the_settings_name_is_permitted():
    assert MtSics().violation(b"@\r\n") == "reset"
    permitted = MtSics(MtSicsOptions(permit=("reset",)))
    assert permitted.violation(b"@\r\n") is None
    assert permitted.violation(b"Z\r\n") == "zero"
    assert permitted.violation(b"@\r\nT\r\n") == "tare"


def test_the_word_that_erases_cannot_even_be_made():
    assert set(V7_FORBIDDEN) == {0xAE}


@pytest.mark.parametrize("name", sorted(SAID.keys() - ENDLESS))
async def test_nothing_forbidden_is_said_in_a_whole_session(name):
    """Conversation and every command against the twin: all that is sent passes the rules."""
    kind = REGISTRY.get(name)
    options = {"contec-cms50-v7": {"records": True}, "contec-cms50d-plus": {"records": True}}.get(name, {})
    driver = kind(kind.options_type(**options))
    twin = kind.twin(driver.options, seed=random.Random(1).randrange(9))
    exchange = TwinExchange(driver, twin)
    for words in driver.on_open_bytes():
        twin.hear(words)
    if name not in ("nonin", "onetouch-ultra2"):
        await asyncio.wait_for(driver.run_session(exchange), 30)
        for command in driver.commands:
            await driver.execute(command.name, msgspec.convert(command.example, command.parameters), exchange)
    assert [driver.violation(words) for words in exchange.sent] == [None] * len(exchange.sent)
