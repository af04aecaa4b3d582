"""Rules between settings: each looks at the plain values and reports; none stops another."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from msgspec import inspect as types

from gatepost.agent.core.command_names import DeviceCommandName, GatewayCommandName
from gatepost.agent.core.topic_filter import is_filter
from gatepost.agent.settings.model import is_loopback, split_address
from gatepost.agent.settings.problem import Origin, Path, ProblemReport, closest, listed, quoted, suggestion
from gatepost.agent.settings.secret import PUBLIC_KEY_HINT, public_key
from gatepost.agent.settings.validator import SettingsValidator
from gatepost.drivers.extras import install_extra

if TYPE_CHECKING:
    from gatepost.drivers.driver import Driver, Registry

LONGEST_SOCKET = 100  # octets: sun_path has 108, and a socket is made under a longer name before it is renamed
SIGNING_KEY = ("commands", "signing", "key")


class RuleContext:
    """What a rule may use: the values that fit their types, where they stand, the drivers, the report."""

    def __init__(self, values: dict[str, Any], checker: SettingsValidator, registry: Registry, whole: bool) -> None:
        self.values = values
        self.checker = checker
        self.registry = registry
        self.report: ProblemReport = checker.report
        self.whole = whole  # False = a file could not be read to its end, so something may only seem to be missing
        self.options: dict[str, types.Type] = {}  # what the options of a driver are, by its name
        self.built: dict[str, Any] = {}  # the options as the driver takes them, where they are right, by device id
        self.drivers: dict[str, type[Driver]] = {}  # of the devices whose driver could be loaded, by device id

    def section(self, *path: str) -> dict[str, Any]:
        """A section as far as it is right; empty when it is not there."""
        found: Any = self.values
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def error(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self.report.error(self.checker.where(path), path, code, message, hint)

    def warn(self, path: Path, code: str, message: str, hint: str = "") -> None:
        self.report.warn(self.checker.where(path), path, code, message, hint)

    def where(self, path: Path) -> Origin:
        return self.checker.where(path)

    def written(self, path: Path) -> bool:
        return path in self.checker.origins

    def names(self, section: str) -> list[str]:
        """Names in `brokers` or `devices`, those with mistakes inside too."""
        return [path[1] for path in self.checker.keys if len(path) == 2 and path[0] == section]

    def check_broker(self, path: Path, name: str) -> None:
        """That a broker of this name is configured."""
        known = self.names("brokers")
        near = closest(name, known)
        if name not in known and (near or self.whole):
            hint = f"did you mean {near}?" if near else f"configured: {listed(known)}"
            self.error(path, "unknown-broker", f"there is no broker {quoted(name)}", hint)

    def check_public_key(self, path: Path, text: str) -> None:
        if public_key(text) is None:
            self.error(path, "bad-key", "not an Ed25519 public key", PUBLIC_KEY_HINT)


def check_secrets_written(rules: RuleContext) -> None:
    """A secret is a reference with exactly one place; plain text works and is warned about."""
    for path in sorted(rules.checker.secrets):
        holder = rules.section(*path[:-1])
        value = holder.get(path[-1])
        if isinstance(value, str) and not (path == SIGNING_KEY and holder.get("algorithm") == "ed25519"):
            hint = f"write {path[-1]}: {{credential: NAME}}, {{file: PATH}} or {{env: NAME}}"
            rules.warn(path, "plain-secret", "a secret in plain text", hint)
        elif isinstance(value, dict):
            if len(value) != 1:
                found = f"found {' and '.join(value)}" if value else "found nothing"
                message = f"expected one of credential, file, env; {found}"
                rules.error(path, "bad-secret", message, "keep one")
            for key, text in value.items():
                if not text or (key == "credential" and ("/" in text or text in (".", ".."))):
                    rules.error((*path, key), "bad-secret", f"{quoted(text)} cannot be used as a name", "a plain name")


def check_paths(rules: RuleContext) -> None:
    """Relative paths depend on where the agent was started."""
    paths: list[tuple[Path, Any]] = [(("gateway", "state_dir"), rules.section("gateway").get("state_dir"))]
    paths += [(("api", "socket"), rules.section("api").get("socket"))]
    paths += [(("api", "tls", key), rules.section("api", "tls").get(key)) for key in ("cert", "key")]
    secret_dirs = enumerate(rules.section("api").get("secret_dirs") or [])
    paths += [(("api", "secret_dirs", str(index)), path) for index, path in secret_dirs]
    paths += [(("api", "jwt", "jwks_file"), rules.section("api", "jwt").get("jwks_file"))]
    for name in rules.section("brokers"):
        tls = rules.section("brokers", name, "tls")
        paths += [(("brokers", name, "tls", key), tls.get(key)) for key in ("ca", "cert", "key")]
    for path in rules.checker.secrets:
        paths.append(((*path, "file"), rules.section(*path).get("file")))
    for path, value in paths:
        if isinstance(value, str) and not value:
            rules.error(path, "bad-path", "an empty path", "write an absolute path")
        elif isinstance(value, str) and not value.startswith("/"):
            hint = "write an absolute path"
            rules.warn(path, "relative-path", f"{quoted(value)} depends on where the agent is started", hint)


def check_listening(rules: RuleContext, section: str, keys: tuple[str, ...], usual: str) -> None:
    """Addresses under `keys` of a section with `tls` and `insecure`: encrypted unless the settings say otherwise."""
    values = rules.section(section)
    addresses = [(key, values[key]) for key in keys if values.get(key) is not None]
    for key in () if addresses else ("tls", "insecure"):
        if values.get(key):
            hint = f"add {section}.{keys[0]}, or remove it"
            rules.warn((section, key), "no-effect", f"has no effect without {section}.{keys[0]}", hint)
    for key, address in addresses:
        path = (section, key)
        try:
            host, _ = split_address(address)
        except ValueError:
            rules.error(path, "bad-address", f"{quoted(address)} is not host:port", f"write {usual}")
            continue
        if is_loopback(host) or "tls" in values or rules.written((section, "tls")):
            continue
        if values.get("insecure"):
            message = "tokens and readings can be read on the network"
            rules.warn(path, "insecure", message, f"add {section}.tls with cert and key")
        else:
            message = f"{quoted(address)} can be reached from other machines without TLS"
            hint = f"add {section}.tls with cert and key, listen at 127.0.0.1, or allow it by {section}.insecure: true"
            rules.error(path, "insecure", message, hint)


def check_socket(rules: RuleContext) -> None:
    path = rules.section("api").get("socket")
    if isinstance(path, str) and len(os.fsencode(path)) > LONGEST_SOCKET:
        message = f"a socket path of {len(os.fsencode(path))} octets; the system takes {LONGEST_SOCKET}"
        rules.error(("api", "socket"), "bad-path", message, "choose a shorter directory, such as /run/gatepost")


def check_commands(rules: RuleContext) -> None:
    """Names in the allow list are judged against what the configured devices understand."""
    known = {name.value for name in (*GatewayCommandName, *DeviceCommandName)}
    for driver in rules.drivers.values():
        known |= {command.name for command in driver.commands}
    devices = rules.names("devices")
    for pattern, names in rules.section("commands", "allow").items():
        path = ("commands", "allow", pattern)
        if pattern != "gateway" and rules.whole and devices and not matches_any(pattern, devices):
            rules.report.warn(
                rules.checker.key_of(path), path, "no-match", f"{quoted(pattern)} matches no device",
                _meant(pattern, [*devices, "gateway"]),
            )  # fmt: skip
        for index, name in enumerate(names):
            if name != "*" and name not in known and not any(_named(rules, device, name) for device in rules.drivers):
                near = _meant(name, known)
                rules.warn((*path, str(index)), "unknown-command", f"no device knows the command {quoted(name)}", near)
    for index, topic in enumerate(rules.section("commands").get("respond_to", [])):
        if not is_filter(topic):
            path = ("commands", "respond_to", str(index))
            rules.error(
                path, "bad-topic", f"{quoted(topic)} is not a topic filter", "such as replies/# or backend/+/replies"
            )
    signing = rules.section("commands", "signing")
    if signing.get("required") and "key" not in signing and not rules.written(("commands", "signing", "key")):
        path = ("commands", "signing", "required")
        rules.error(path, "missing", "signatures are required but there is no key", "add commands.signing.key")
    if signing.get("algorithm") == "ed25519":
        path = ("commands", "signing", "algorithm")
        if find_spec("cryptography") is None:
            rules.error(path, "not-installed", "needs the library cryptography", install_extra("signing"))
        key = signing.get("key")
        if isinstance(key, str):
            rules.check_public_key(SIGNING_KEY, key)


def _named(rules: RuleContext, device: str, command: str) -> bool:
    """Whether the options of the device name the command, or let any through; also where they cannot be judged."""
    if device not in rules.built:
        return True
    try:
        driver = rules.drivers[device](rules.built[device])
        return command in (one.name for one in driver.named_commands()) or driver.any_command(command) is not None
    except Exception:  # the code of a driver of another package; it is only about a warning
        return True


def check_routes(rules: RuleContext) -> None:
    """Patterns that match nothing are probably misspelt."""
    if not rules.whole:
        return
    devices = rules.names("devices")
    metrics = _metrics(rules)
    for broker in rules.section("brokers"):
        for index, route in enumerate(rules.section("brokers", broker).get("routes", [])):
            for key, known in (("devices", devices), ("metrics", metrics)):
                for place, pattern in enumerate(route.get(key, [])):
                    if known and not matches_any(pattern, known):
                        path = ("brokers", broker, "routes", str(index), key, str(place))
                        message = f"{quoted(pattern)} matches no {key.removesuffix('s')}"
                        rules.warn(path, "no-match", message, _meant(pattern, known))


def _metrics(rules: RuleContext) -> list[str]:
    """Every metric_type that the configured devices can give; empty when that cannot be known."""
    found: set[str] = set()
    for name in rules.names("devices"):
        driver = rules.drivers.get(name)
        metric = rules.section("devices", name, "options").get("metric")
        if isinstance(metric, str):
            found.add(metric)
        elif driver is None or not driver.metrics:
            return []
        else:
            found.update(driver.metrics)
    return sorted(found)


def matches_any(pattern: str, names: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _meant(word: str, known: Any) -> str:
    return suggestion(word, known, f"known: {', '.join(sorted(known))}")
