"""tools/fuzz finds what is wrong, makes it small, writes it down and plays it again."""

import json
import random

from tests.support.failing import failing
from tools.harness import fuzz
from tools.harness.fuzz_octets import burst, cut, damaged, minimal
from tools.harness.fuzz_subjects import Codec, Octets, Subject, Talk, pieces, subjects


class Fragile(Subject):
    """Fails when BAD comes after an A, however far apart; holds what it hears."""

    name = "fragile (test)"

    def __init__(self):
        self.corpus = [b"xxAxx", b"BAD"]
        self.start()

    def start(self):
        self.heard = b""

    def feed(self, piece):
        self.heard += piece
        at = self.heard.find(b"A")
        return "found it" if at >= 0 and b"BAD" in self.heard[at + 1 :] else ""

    def judge(self):
        return ""


def test_a_failure_is_small_and_can_be_played_again(tmp_path, monkeypatch, capsys):
    found = fuzz.run(Fragile(), 1_000_000, 7, tmp_path)
    assert found.wrong == "found it"
    assert found.octets < 1_000_000
    written = json.loads(found.file.read_text())
    assert (written["subject"], written["seed"], written["wrong"]) == ("fragile (test)", 7, "found it")
    assert b"".join(bytes.fromhex(piece) for piece in written["pieces"]) in (b"ABAD", b"BADBAD"[2:] + b"BAD")
    monkeypatch.setattr(fuzz, "subjects", lambda: {"fragile (test)": lambda: [Fragile()]})
    assert fuzz.main(["--replay", str(found.file)]) == 1
    assert "still wrong" in capsys.readouterr().out
    written["pieces"] = [b"BA".hex()]
    found.file.write_text(json.dumps(written))
    assert fuzz.main(["--replay", str(found.file)]) == 0
    written["subject"] = "gone"
    found.file.write_text(json.dumps(written))
    assert fuzz.main(["--replay", str(found.file)]) == 2


def test_a_failure_is_told_and_is_the_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "subjects", lambda: {"fragile (test)": lambda: [Fragile()]})
    assert fuzz.main(["--megabytes", "1", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "WRONG: found it" in told.out
    assert "1 decoders, 1 wrong, seed 0" in told.out
    assert "tools/fuzz --replay" in told.err


def test_drivers_and_codecs_pass_a_little(tmp_path, capsys):
    names = ["and-scale", "openbci-cyton", "gatt 2a37", "serial-line and-standard", "ble-heart-rate"]
    assert fuzz.main([*names, "--megabytes", "0.02", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in [*names, "openbci-cyton (talking)"])
    assert "6 decoders, 0 wrong" in told
    assert list(tmp_path.iterdir()) == []
    assert fuzz.main(["and-scale", "cas-scale", "--megabytes", "0.01", "--jobs", "2"]) == 0


def test_an_unknown_name_is_refused(capsys):
    with failing(SystemExit, code=2):
        fuzz.main(["no-such-driver"])


def test_everything_is_there():
    from gatepost.drivers.driver import Registry

    known = subjects()
    assert set(Registry.installed().names) <= set(known)
    assert {"gatt 2a37", "advert bthome-v2", "serial-frame openbci-cyton"} <= set(known)
    assert [type(subject) for subject in known["openbci-cyton"]()] == [Octets, Talk]
    assert [type(subject) for subject in known["modbus-rtu"]()] == [Talk]


def test_codecs_that_raise_something_else_or_change_their_mind(monkeypatch):
    from tools.harness import fuzz_subjects

    state = {"calls": 0}

    def decode(data):
        if data == b"\0":
            raise KeyError("x")
        state["calls"] += 1
        return {"calls": state["calls"] // 2}

    monkeypatch.setattr(fuzz_subjects, "adapters", lambda: {"serial-frame": {"odd": decode}})
    codec = Codec("serial-frame", "odd", [{"input_hex": "01"}])
    assert "raised KeyError" in codec.feed(b"\0")
    codec.feed(b"\1")
    assert "something else" in codec.judge()


def test_octets_repeat_with_the_seed_and_are_cut_whole():
    corpus = [b"ST,+0001.234 kg\r\n", b"US,+0002.000 kg\r\n"]
    one, other = (burst(corpus, random.Random(3), 5000) for _ in range(2))
    assert one == other
    assert len(one) >= 5000
    assert b"".join(cut(one, random.Random(4))) == one
    assert max(map(len, cut(one, random.Random(4), 10))) <= 10
    assert damaged(b"", random.Random(1)) == b""
    subject = Fragile()
    assert sum(map(len, pieces(subject, random.Random(5), 3000))) >= 3000


def test_the_smallest_that_still_fails():
    small = minimal(
        [b"abc", b"defXgh", b"i", b"jYk"], lambda parts: b"X" in b"".join(parts) and b"Y" in b"".join(parts)
    )
    assert b"".join(small) == b"XY"
