"""The key of a sensor in the settings: hidden, or better a reference to where it is kept."""

from __future__ import annotations

import pytest

from gatepost.agent.core.errors import SettingsWrong
from gatepost.agent.devices.manager import options_of
from gatepost.agent.settings import load
from gatepost.agent.settings.secret import resolve_secret
from gatepost.drivers.ble.adverts.driver import AdvertOptions
from gatepost.drivers.driver import Registry

KEY = "231d39c1d7cc1ab1aee224cd096db932"
REGISTRY = Registry.installed()


@pytest.fixture
def loaded(tmp_path):
    def read(options: str, environ=None):
        path = tmp_path / "gatepost.yaml"
        path.write_text(
            f"gateway: {{id: g, state_dir: {tmp_path}}}\n"
            f'devices: {{a: {{driver: ble-advertisement, address: "A4:C1:38:D5:D4:98", options: {options}}}}}\n'
        )
        return load(path, environ or {}, REGISTRY)

    return read


def told(found):
    return " ".join(f"{problem.key} {problem.message} {problem.hint}" for problem in found.problems)


def test_a_plain_key_works_is_warned_about_and_never_shown(loaded):
    found = loaded(f'{{key: "{KEY}"}}')
    assert found.settings is not None
    assert "a secret in plain text" in told(found)
    shown = {key: value for key, value, _ in found.effective()}
    assert shown["devices.a.options.key"] == "***"


@pytest.mark.parametrize("key", [f'"{KEY}0"', '"my dog"', "12345678901234567890123456789012345", "[1]"])
def test_a_wrong_key_is_not_quoted(loaded, key):
    found = loaded(f"{{key: {key}}}")
    assert found.settings is None
    assert "devices.a.options.key" in told(found)
    assert key.strip('"[]') not in told(found).replace("devices.a", "")


def test_a_reference_is_checked_shown_and_read_when_the_device_is_built(loaded, tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "key").chmod(0o600)
    found = loaded(f"{{key: {{file: {tmp_path}/key}}}}")
    assert found.problems == []
    assert {key: value for key, value, _ in found.effective()}["devices.a.options.key.file"] == f"{tmp_path}/key"
    written = found.settings.devices["a"].options
    made = options_of(written, AdvertOptions, lambda secret: resolve_secret(secret, {}))
    assert made.key == KEY
    assert found.check_secrets({}) == []
    (tmp_path / "key").unlink()
    assert [problem.key for problem in found.check_secrets({})] == ["devices.a.options.key"]
    with pytest.raises(SettingsWrong):
        options_of(written, AdvertOptions, lambda secret: resolve_secret(secret, {}))


def test_a_reference_to_a_variable(loaded):
    found = loaded("{format: bthome, key: {env: FRIDGE_KEY}}")
    assert found.problems == []
    made = options_of(
        found.settings.devices["a"].options, AdvertOptions, lambda secret: resolve_secret(secret, {"FRIDGE_KEY": KEY})
    )
    assert (made.format, made.key) == ("bthome", KEY)


@pytest.mark.parametrize("reference", ["{file: /a, env: B}", "{}", "{vault: x}", "{credential: a/b}"])
def test_a_wrong_reference_is_told(loaded, reference):
    found = loaded(f"{{key: {reference}}}")
    assert any(problem.key.startswith("devices.a.options.key") for problem in found.problems)
    assert found.settings is None


def test_what_the_reference_leads_to_must_be_a_key(tmp_path):
    import msgspec

    with pytest.raises(msgspec.ValidationError) as wrong:
        options_of({"key": {"env": "K"}}, AdvertOptions, lambda secret: "my dog")
    assert "my dog" not in str(wrong.value)
