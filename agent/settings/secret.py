"""Secrets: references that are read when they are used, and never shown."""

from __future__ import annotations

import base64
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gatepost.agent.core.errors import CertificateUnusable, SettingsWrong
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.model import Secret, SecretRef, Settings
from gatepost.agent.settings.problem import DEFAULT, Origin, Problem, ProblemReport
from gatepost.agent.settings.problem import Path as Key
from gatepost.agent.settings.yaml.nodes import HALF

MISSING = "secret-missing"
MAX_BYTES = 65536
HIDDEN = "***"
PUBLIC_KEY_HINT = "the 32 octets of an Ed25519 public key in base64"


def public_key(text: str) -> bytes | None:
    """The 32 octets of an Ed25519 public key; None where it is none."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        return None
    return key if len(key) == 32 else None


def resolve_secret(secret: Secret | None, environ: Mapping[str, str]) -> str | None:
    """The secret itself, without one closing newline; None when there is none.

    Raises SettingsWrong (key `secret-missing`), which names the reference and never the value.
    """
    if secret is None or isinstance(secret, str):
        return secret
    if secret.env is not None:
        value = environ.get(secret.env)
        if value is None:
            raise _missing(f"the environment variable {secret.env} is not set", "set it for the agent")
        if HALF.search(value):
            raise _missing(f"the environment variable {secret.env} is not UTF-8", "it holds just the secret, as text")
        return _cleaned(value, f"the environment variable {secret.env}")
    path = secret_path(secret, environ)
    try:
        data = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise _missing(f"{path} cannot be read: {error.strerror or 'failed'}", "check that it is there") from None
    if len(data) > MAX_BYTES:
        raise _missing(f"{path} is larger than {MAX_BYTES} octets", "it holds just the secret")
    try:
        return _cleaned(data.decode("utf-8"), str(path))
    except UnicodeDecodeError:
        raise _missing(f"{path} is not UTF-8", "it holds just the secret, as text") from None


def secret_path(secret: SecretRef, environ: Mapping[str, str]) -> Path:
    """The file that holds it; raises SettingsWrong when there can be none."""
    if secret.file is not None:
        return Path(secret.file)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        message = f"the credential {secret.credential!r} is not there: the agent was given no credentials"
        raise _missing(message, "add LoadCredential= to the unit, or use {file: PATH}")
    return Path(directory) / str(secret.credential)


def secrets_of(settings: Settings) -> Iterator[tuple[Key, Secret]]:
    """Every secret with its key."""
    for name, broker in settings.brokers.items():
        if broker.password is not None:
            yield ("brokers", name, "password"), broker.password
    for name, device in settings.devices.items():
        if device.token is not None:
            yield ("devices", name, "token"), device.token
        for option, value in device.options.items():
            if is_reference(value):
                yield ("devices", name, "options", option), SecretRef(**value)
    if settings.commands.signing.key is not None:
        yield ("commands", "signing", "key"), settings.commands.signing.key
    if settings.api.jwt is not None and settings.api.jwt.key is not None:
        yield ("api", "jwt", "key"), settings.api.jwt.key


def is_reference(value: object) -> bool:
    """Whether an option of a driver is written as a reference to a secret."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((place, text),) = value.items()
    return place in SecretRef.__struct_fields__ and isinstance(text, str)


def check_secrets(
    settings: Settings, environ: Mapping[str, str], origins: Mapping[Key, Origin] | None = None
) -> list[Problem]:
    """Secrets that cannot be read now (errors), files that others can read (warnings), certificates that cannot be used
    (errors) or have ended (warnings)."""
    report = ProblemReport()
    places = origins or {}
    for key, secret in secrets_of(settings):
        origin = places.get(key, DEFAULT)
        try:
            if isinstance(secret, SecretRef) and secret.credential and "CREDENTIALS_DIRECTORY" not in environ:
                message = f"only the service can tell whether the credential {secret.credential!r} is there"
                hint = "run it as root while the service runs, or see `gatepost doctor`"
                report.warn(origin, key, "secret-unknown", message, hint)
                continue
            resolve_secret(secret, environ)
        except SettingsWrong as error:
            report.error(origin, key, error.kind, error.message, error.hint)
            continue
        if isinstance(secret, SecretRef) and secret.file is not None and _open_to_all(Path(secret.file)):
            hint = f"chmod 0600 {secret.file}"
            report.warn(origin, key, "secret-readable", f"{secret.file} can be read by everybody", hint)
    unreadable = {path for key, path in _certificates(settings) if not _check_readable(path, key, places, report)}
    for section, cert, private in _chains(settings):
        if not unreadable & {Path(cert), Path(private or cert)}:
            _check_chain(section, cert, private, places, report)
    return report.problems


def references(settings: Settings) -> int:
    """How many secrets and certificates lie outside of the settings."""
    secrets = sum(isinstance(secret, SecretRef) for _, secret in secrets_of(settings))
    return secrets + sum(1 for _ in _certificates(settings))


def files_named(settings: Settings) -> Iterator[Path]:
    """Files of secrets and certificates that the settings name."""
    for _, secret in secrets_of(settings):
        if isinstance(secret, SecretRef) and secret.file is not None:
            yield Path(secret.file)
    for _, path in _certificates(settings):
        yield path


def files_of_port(port: str | None) -> list[str]:
    """Certificate, private key and CA that a `listen://` names."""
    if port is None or not port.startswith("listen://"):
        return []
    from gatepost.drivers.network.listen_address import parse_listen_address  # loaded where a device has such a port

    with suppress(ValueError):  # told already
        address = parse_listen_address(port)
        return [file for file in (address.cert, address.key, address.ca) if file]
    return []


def _certificates(settings: Settings) -> Iterator[tuple[Key, Path]]:
    sections: list[tuple[Key, object, tuple[str, ...]]] = [
        *((("brokers", name, "tls"), one.tls, ("ca", "cert", "key")) for name, one in settings.brokers.items()),
        (("api", "tls"), settings.api.tls, ("cert", "key")),
        (("listener", "tls"), settings.listener.tls, ("cert", "key", "client_ca")),
        (("api", "jwt"), settings.api.jwt, ("jwks_file",)),
    ]
    for key, section, fields in sections:
        for field in fields:
            if (file := getattr(section, field, None)) is not None:
                yield (*key, field), Path(file)
    for name, device in settings.devices.items():
        for file in files_of_port(device.port):
            yield ("devices", name, "port"), Path(file)


def _chains(settings: Settings) -> Iterator[tuple[Key, str, str | None]]:
    """Certificates with their private keys, by the key of the section."""
    for name, broker in settings.brokers.items():
        if broker.tls.cert is not None:
            yield ("brokers", name, "tls"), broker.tls.cert, broker.tls.key
    for section, served in (("api", settings.api.tls), ("listener", settings.listener.tls)):
        if served is not None:
            yield (section, "tls"), served.cert, served.key


def _check_chain(
    section: Key, cert: str, private: str | None, origins: Mapping[Key, Origin], report: ProblemReport
) -> None:
    import ssl

    from gatepost.agent.core.certificates import load_chain, valid_until

    try:
        load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, private)
    except CertificateUnusable as error:
        key = (*section, error.part)
        report.error(origins.get(key, DEFAULT), key, error.kind, error.message, error.hint)
        return
    ends = valid_until(cert)
    if ends is not None and ends < time.time():
        key, day = (*section, "cert"), datetime.fromtimestamp(ends, UTC).isoformat().replace("+00:00", "Z")
        hint = "put a renewed one in its place; where it is new, the clock of this machine may be wrong"
        report.warn(origins.get(key, DEFAULT), key, "certificate-expired", f"{cert} was valid until {day}", hint)


def _check_readable(path: Path, key: Key, origins: Mapping[Key, Origin], report: ProblemReport) -> bool:
    origin = origins.get(key, DEFAULT)
    try:
        read_regular(path, 1)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or 'failed'}"
        report.error(origin, key, "file-missing", message, "check that it is there, and its permissions")
        return False
    if key[-1] == "key" and _open_to_all(path):
        report.warn(origin, key, "secret-readable", f"{path} can be read by everybody", f"chmod 0600 {path}")
    return True


def _open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _cleaned(value: str, where: str) -> str:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise _missing(f"{where} is empty", "put the secret into it")
    return value


def _missing(message: str, hint: str) -> SettingsWrong:
    return SettingsWrong(message, hint, MISSING)
