"""Files that a command line names: what is no regular file is refused by every verb, and none waits for it."""

from __future__ import annotations

import io
import os
import sys
import threading

import pytest

from gatepost.agent.core import named_files

SETTINGS = "gateway: {{id: ward-7, state_dir: {place}/state}}\napi: {{socket: {place}/api.sock}}\n"
VERBS = {
    "apply": ("apply", "{fifo}"),
    "publish": ("publish", "hospital", "ward/7", "--file", "{fifo}"),
    "replay": ("replay", "{fifo}"),
    "restore": ("restore", "{fifo}", "--config", "{place}/gatepost.yaml"),
    "import": ("import", "{place}/stick", "--key", "{fifo}"),
    "export": ("export", "--stick", "{place}/stick", "--for", "{fifo}"),
    "check": ("check", "{fifo}"),
    "simulate": ("simulate", "mqtt", "--url", "mqtts://localhost:1", "--device", "probe", "--ca", "{fifo}"),
}


@pytest.mark.parametrize("name", ["fifo", "/dev/zero"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_regular_file_is_refused(gatepost, place, verb, name):
    os.mkfifo(place / "fifo")
    (place / "stick").mkdir()
    (place / "stick" / "something").touch()
    (place / "gatepost.yaml").write_text(SETTINGS.format(place=place))
    words = [word.format(place=place, fifo=place / name) for word in VERBS[verb]]
    shown = gatepost(*words)
    assert shown.code in (1, 78), shown.err
    assert str(place / name) in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_a_file_of_a_share_that_hangs_is_given_up(monkeypatch, tmp_path):
    release = threading.Event()

    def hang(path):
        release.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(named_files, "TIME", 0.05)
    monkeypatch.setattr(named_files, "open_regular", hang)
    for read in (named_files.read_given, named_files.open_given):
        with pytest.raises(OSError, match="too long"):
            read(tmp_path / "file")
    release.set()


def test_the_standard_input_and_how_much_is_read(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"words")
    assert named_files.read_given(tmp_path / "file", 5) == b"words"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"words")))
    assert named_files.read_given("-", 5) == b"words"
    with pytest.raises(OSError, match="larger than 4 octets"):
        named_files.read_given(tmp_path / "file", 4)
