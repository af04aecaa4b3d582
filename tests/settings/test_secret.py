from __future__ import annotations

import pytest

from gatepost.agent.core.errors import SettingsWrong
from gatepost.agent.settings import check_secrets, resolve_secret
from gatepost.agent.settings.model import (
    ApiSettings,
    ApiTls,
    BrokerSettings,
    DeviceSettings,
    ListenerSettings,
    ListenerTls,
    SecretRef,
    Settings,
    TlsSettings,
)
from tests.support.failing import failing
from tests.uplink.broker import Authority


def test_the_three_places(tmp_path):
    (tmp_path / "c").write_text("from-credential\n")
    (tmp_path / "f").write_bytes(b"from-file\r\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "S": "from-environment"}
    assert resolve_secret(SecretRef(credential="c"), environ) == "from-credential"
    assert resolve_secret(SecretRef(file=str(tmp_path / "f")), environ) == "from-file"
    assert resolve_secret(SecretRef(env="S"), environ) == "from-environment"
    assert resolve_secret("plain", environ) == "plain"
    assert resolve_secret(None, environ) is None


@pytest.mark.parametrize(("written", "read"), [(b"a\n\n", "a\n"), (b" a ", " a "), (b"a", "a")])
def test_one_closing_newline_is_not_part_of_it(tmp_path, written, read):
    (tmp_path / "f").write_bytes(written)
    assert resolve_secret(SecretRef(file=str(tmp_path / "f")), {}) == read


@pytest.mark.parametrize(
    ("secret", "content", "part"),
    [
        (SecretRef(credential="c"), None, "was given no credentials"),
        (SecretRef(env="NOPE"), None, "NOPE is not set"),
        (SecretRef(env="EMPTY"), None, "is empty"),
        (SecretRef(file="f"), None, "cannot be read"),
        (SecretRef(file="f"), b"\n", "is empty"),
        (SecretRef(file="f"), b"geheim\xff", "not UTF-8"),
        (SecretRef(file="f"), b"geheim" * 20000, "larger than"),
    ],
)
def test_what_cannot_be_had_is_told_without_the_value(tmp_path, monkeypatch, secret, content, part):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    with failing(SettingsWrong, kind="secret-missing") as caught:
        resolve_secret(secret, {"EMPTY": ""})
    assert part in caught.value.message
    assert "geheim" not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None


def test_loading_reads_no_secret_and_checking_names_those_that_fail(read, tmp_path):
    (tmp_path / "open").write_text("geheim")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "closed").write_text("geheim")
    (tmp_path / "closed").chmod(0o600)
    it = tmp_path / "open"
    loaded = read(f"""\
brokers:
  a: {{url: 'mqtts://x', password: {{env: NOPE}}, tls: {{ca: {tmp_path}/no, cert: {it}, key: {it}}}}}
devices:
  p: {{driver: clip, port: /dev/p, token: {{file: {tmp_path}/open}}}}
commands: {{signing: {{key: {{file: {tmp_path}/closed}}}}}}
""")
    assert loaded.problems == []
    found = [(problem.severity, problem.code, problem.key, problem.line) for problem in loaded.check_secrets({})]
    assert found == [
        ("error", "secret-missing", "brokers.a.password", 2),
        ("warning", "secret-readable", "devices.p.token", 4),
        ("error", "file-missing", "brokers.a.tls.ca", 2),
        ("warning", "secret-readable", "brokers.a.tls.key", 2),
        ("error", "tls-wrong", "brokers.a.tls.cert", 2),
    ]
    assert len(check_secrets(loaded.settings, {"NOPE": "x"})) == 4


def test_certificates_that_cannot_be_used_or_have_ended_are_told(tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway")
    old, old_key = authority.issue("old", days=-1)
    settings = Settings(
        brokers={"a": BrokerSettings(url="mqtts://x", tls=TlsSettings(cert=str(cert), key=str(old_key)))},
        api=ApiSettings(tls=ApiTls(cert=str(old), key=str(old_key))),
        listener=ListenerSettings(tls=ListenerTls(cert=str(cert), key=str(key))),
    )
    for file in (key, old_key):
        file.chmod(0o600)
    found = {problem.key: (problem.severity, problem.code) for problem in check_secrets(settings, {})}
    assert found == {
        "brokers.a.tls.key": ("error", "tls-wrong"),
        "api.tls.cert": ("warning", "certificate-expired"),
    }


def test_the_files_of_a_port_that_listens_are_looked_at(tmp_path):
    port = f"listen://0.0.0.0:2575?allow=10.0.0.0/8&cert={tmp_path}/no.pem&key={tmp_path}/no.key"
    settings = Settings(devices={"ward": DeviceSettings(driver="hl7-monitor", port=port)})
    assert [problem.key for problem in check_secrets(settings, {})] == ["devices.ward.port"] * 2
    assert check_secrets(Settings(devices={"ward": DeviceSettings(driver="lines", port="listen://x")}), {}) == []


def test_a_shell_without_credentials_is_no_proof_that_the_service_has_none(tmp_path):
    settings = Settings(brokers={"a": BrokerSettings(url="mqtt://x", password=SecretRef(credential="a"))})
    (problem,) = check_secrets(settings, {})
    assert (problem.severity, problem.code) == ("warning", "secret-unknown")
    (problem,) = check_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (problem.severity, problem.code) == ("error", "secret-missing")
    (tmp_path / "a").write_text("words")
    assert check_secrets(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == []


def test_a_variable_that_is_not_utf_8_is_no_secret():
    """Else whoever encodes it fails, in the middle of a connection or a command."""
    with pytest.raises(SettingsWrong, match="TOKEN is not UTF-8"):
        resolve_secret(SecretRef(env="TOKEN"), {"TOKEN": "a\udcff"})
