from __future__ import annotations

import logging
import socket

from gatepost.agent.process.journal import MAX_MESSAGE, JournalSocket, entry


def record(name, text, *args):
    return logging.LogRecord(name, logging.WARNING, "file.py", 1, text, args, None)


def fields(octets: bytes) -> dict[str, str]:
    """Decoded as journald does it."""
    found = {}
    while octets:
        line, _, octets = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(octets[:8], "little")
            value, octets = octets[8 : 8 + size], octets[8 + size + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_an_entry_says_who_it_is_about():
    device = fields(
        entry(record("gatepost.agent.devices.health", "%s is %s", "cuff-3", "online"), "cuff-3 is online", 6)
    )
    assert device["DEVICE"] == "cuff-3"
    assert device["MESSAGE"] == "cuff-3 is online"
    assert device["PRIORITY"] == "6"
    assert device["SYSLOG_IDENTIFIER"] == "gatepost"
    broker = fields(entry(record("gatepost.agent.uplink.broker_link", "%s: connected", "hospital"), "x", 6))
    assert broker["BROKER"] == "hospital"
    other = fields(entry(record("gatepost.agent.store", "%s: odd", "a"), "x", 4))
    assert other.keys().isdisjoint({"DEVICE", "BROKER"})
    none = fields(entry(record("gatepost.agent.uplink", "%d messages wait", 3), "x", 4))
    assert "BROKER" not in none


def test_one_sentence_has_one_id_whoever_it_is_about():
    ids = [
        fields(entry(record(logger, text, *args), "x", 4))["MESSAGE_ID"]
        for logger, text, args in (
            ("gatepost.agent.uplink", "%s: connected", ("a",)),
            ("gatepost.agent.uplink", "%s: connected", ("b",)),
            ("gatepost.agent.uplink", "%s: closed", ("a",)),
        )
    ]
    assert ids[0] == ids[1] != ids[2]
    assert all(len(each) == 32 and int(each, 16) for each in ids)


def test_lines_and_field_names_in_a_message_make_no_fields():
    text = "first\nPRIORITY=0\nDEVICE=evil"
    assert fields(entry(record("gatepost", "x"), text, 3)) | {"MESSAGE_ID": ""} == {
        "MESSAGE": text,
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "gatepost",
        "LOGGER": "gatepost",
        "MESSAGE_ID": "",
    }
    named = fields(entry(record("gatepost.agent.devices", "%s is on", "a\nPRIORITY=0"), "x", 5))
    assert named["DEVICE"] == "a\nPRIORITY=0"
    assert named["PRIORITY"] == "5"


def test_a_long_message_is_cut_and_a_missing_journal_is_told(tmp_path):
    journal = JournalSocket(tmp_path / "socket")
    assert not journal.send(record("gatepost", "x"), "x", 6)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "socket"))
        there.settimeout(5)
        assert journal.send(record("gatepost", "x"), "y" * 1_000_000, 6)
        assert fields(there.recv(1 << 20))["MESSAGE"] == "y" * MAX_MESSAGE
    journal.close()
