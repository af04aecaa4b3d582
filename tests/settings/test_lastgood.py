from __future__ import annotations

import stat

import pytest

from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.model import SecretRef

MAIN = """\
brokers:
  a: {url: 'mqtt://x', password: {credential: c}, backlog: {rate: 5/m}}
devices:
  p: {driver: printer, port: /dev/p, every: 5s, thresholds: {t: {min: 1}}, options: {pause: 2s, columns: [a]}}
"""


def test_what_was_applied_comes_back(read, tmp_path):
    loaded = read(MAIN)
    good = LastGood(tmp_path / "state")
    assert good.read() is None
    assert good.save(loaded.settings, loaded.origins)
    assert LastGood(tmp_path / "state").read() == loaded.settings
    assert stat.S_IMODE(good.path.stat().st_mode) == 0o600


def test_the_same_again_is_not_written(read, tmp_path):
    loaded = read(MAIN)
    good = LastGood(tmp_path)
    good.save(loaded.settings, loaded.origins)
    before = good.path.stat()
    assert not good.save(loaded.settings, loaded.origins)
    assert good.path.stat().st_ino == before.st_ino


def test_a_secret_of_the_environment_is_kept_as_a_reference(read, tmp_path):
    loaded = read(MAIN, env={"GATEPOST_DEVICES__P__TOKEN": "geheim"})
    good = LastGood(tmp_path)
    good.save(loaded.settings, loaded.origins)
    assert b"geheim" not in good.path.read_bytes()
    assert good.read().devices["p"].token == SecretRef(env="GATEPOST_DEVICES__P__TOKEN")
    assert good.read().brokers == loaded.settings.brokers


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"schema": 1, "settings": {"store": 5}}', b'{"schema": 9, "settings": {}}']
)
def test_a_damaged_or_foreign_snapshot_is_none(tmp_path, data):
    good = LastGood(tmp_path)
    good.path.write_bytes(data)
    assert good.read() is None
