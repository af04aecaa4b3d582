from __future__ import annotations

from gatepost.agent.settings.model import Settings

MAIN = """\
brokers:
  a: {url: 'mqtt://x', password: geheim, routes: [{devices: [p]}]}
  b: {url: 'mqtt://y', password: {credential: b}, backlog: {rate: 5/m}}
devices:
  p:
    driver: printer
    port: /dev/p
    every: 1h30m
    thresholds: {spo2: {min: 90}}
    options: {metric: x, pause: 2s}
"""


def test_every_value_with_its_origin(read, tmp_path):
    rows = {key: (value, origin) for key, value, origin in read(MAIN).effective()}
    file = f"{tmp_path}/gatepost.yaml"
    assert rows["store.keep"] == ("7d", "default")
    assert rows["store.max_size"] == ("2GB", "default")
    assert rows["api.rate_limit"] == ("20/s", "default")
    assert rows["brokers.a.url"] == ("mqtt://x", f"{file}:2:12")
    assert rows["brokers.a.password"] == ("***", f"{file}:2:34")
    assert rows["brokers.b.password"][0] == "{credential: b}"
    assert rows["brokers.b.backlog.rate"][0] == "5/m"
    assert rows["brokers.a.routes"][0] == '[{"devices": ["p"]}]'
    assert rows["devices.p.every"] == ("1h30m", f"{file}:8:12")
    assert rows["devices.p.token"] == ("null", "default")
    assert rows["devices.p.thresholds.spo2.min"] == ("90.0", f"{file}:9:30")
    assert rows["devices.p.options.metric"] == ("x", f"{file}:10:23")
    assert "geheim" not in str(rows)


def test_a_password_among_the_options_of_a_driver_is_hidden():
    settings = Settings(devices={})
    from gatepost.agent.settings.effective import effective
    from gatepost.agent.settings.model import DeviceSettings

    settings = Settings(devices={"p": DeviceSettings(driver="x", options={"token": "geheim", "n": {"PIN": 1234}})})
    text = str(effective(settings, {}))
    assert "geheim" not in text
    assert "1234" not in text


def test_nothing_is_effective_with_errors(read):
    assert read("store: 5").effective() == []


def test_what_is_shown_reads_back_the_same(read, tmp_path):
    """Each shown unit, put into the environment of an empty agent, gives the value that it was."""
    first = read(MAIN)
    shown = {key: value for key, value, _ in first.effective() if key.startswith("store.")}
    env = {f"GATEPOST_{key.replace('.', '__').upper()}": value for key, value in shown.items()}
    (tmp_path / "gatepost.yaml").unlink()
    assert read(env=env).settings.store == first.settings.store
