"""Rules for a fleet: the broker that carries it, the keys that sign, and what they may set."""

from __future__ import annotations

from importlib.util import find_spec

from gatepost.agent.settings.allowed_keys import NAMED, NEVER, is_forbidden, levels_of
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.problem import listed, quoted, suggestion
from gatepost.agent.settings.rules.base import RuleContext
from gatepost.drivers.extras import install_extra


def check_fleet(rules: RuleContext) -> None:
    fleet = rules.section("fleet")
    _check_broker(rules, fleet.get("broker"))
    _check_keys(rules, fleet.get("keys", []))
    for index, pattern in enumerate(fleet.get("allow", [])):
        _check_pattern(rules, index, pattern)


def _check_broker(rules: RuleContext, name: str | None) -> None:
    path = ("fleet", "broker")
    if name is None:
        return
    rules.check_broker(path, name)
    if find_spec("cryptography") is None:
        rules.error(path, "not-installed", "signed documents need the library cryptography", install_extra("fleet"))
    broker = rules.section("brokers").get(name)
    if broker is None:
        return
    if broker.get("format", "devices") != "devices":
        message = f"format {broker['format']} has no topics of a fleet"
        rules.error(path, "bad-format", message, "name a broker of format devices")
    if broker.get("layout", "device") != "gateway":
        message = "the device topics do not contain the gateway's id, so a fleet cannot tell gateways apart"
        rules.warn(path, "fleet-layout", message, f"set brokers.{name}.layout: gateway, where the fleet reads it")


def _check_keys(rules: RuleContext, keys: list[dict[str, str]]) -> None:
    if not keys and rules.section("fleet").get("broker") and not rules.written(("fleet", "keys")):
        message = "no signing key is listed, so every document is refused"
        rules.warn(("fleet", "broker"), "no-keys", message, "add fleet.keys: [{id: NAME, ed25519: BASE64}]")
    seen: set[str] = set()
    for index, key in enumerate(keys):
        path = ("fleet", "keys", str(index))
        name, public = key.get("id"), key.get("ed25519")  # one that is missing is told already
        if name in seen:
            rules.error((*path, "id"), "same-key", f"the key {quoted(name)} stands here twice", "keep one")
        if name is not None:
            seen.add(name)
        if public is not None:
            rules.check_public_key((*path, "ed25519"), public)


def _check_pattern(rules: RuleContext, index: int, pattern: str) -> None:
    path = ("fleet", "allow", str(index))
    first, *rest = levels_of(pattern)
    if is_forbidden(pattern):
        message = f"{quoted(pattern)} can only be set in the settings files"
        rules.error(path, "never-allowed", message, f"never allowed: {listed(NEVER)}")
    elif first not in Settings.__struct_fields__:
        hint = suggestion(first, Settings.__struct_fields__, "such as devices.* or logging.level")
        rules.error(path, "unknown-key", f"there are no settings {quoted(first)}", hint)
    elif first in NAMED and not rest:
        rules.error(path, "bad-pattern", f"{quoted(pattern)} names a whole section", f"write {first}.*")
