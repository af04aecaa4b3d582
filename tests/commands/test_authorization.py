from __future__ import annotations

import base64
import hashlib
import hmac

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.authorization import permitted
from gatepost.agent.commands.model import CommandRequest
from gatepost.agent.commands.parsed_command import parse
from gatepost.agent.core.errors import SettingsWrong

from .helpers import Office, settings

SCALE = {"id": "s", "command": "read_now", "token": "hush"}
SIGNED = {"id": "s", "command": "read_now", "issued_at": "2026-11-20T10:30:00Z"}


@pytest.mark.parametrize(
    ("token", "good"), [("hush", True), ("hush ", False), ("", False), (None, False), (7, False), (["hush"], False)]
)
async def test_a_device_with_a_token_wants_it(office: Office, token: object, good: bool) -> None:
    office.tokens["scale-2"] = "hush"
    response = await office.ask(SCALE | {"token": token}, target="scale-2")
    assert response.status == ("done" if good else "rejected")
    assert good or response.error["key"] == "unauthenticated"


async def test_a_missing_and_a_wrong_token_are_answered_alike(office: Office) -> None:
    office.tokens["scale-2"] = "hush"
    bodies = [
        {"id": "s", "command": "explode"},
        SCALE | {"token": "wrong"},
        SCALE | {"parameters": {"x": 1}, "token": ""},
    ]
    errors = [(await office.ask(body, target="scale-2")).error for body in bodies]
    assert errors[0] == errors[1] == errors[2]


async def test_a_token_that_cannot_be_read_shuts_the_door(office: Office) -> None:
    assert (await office.ask(SCALE | {"token": ""}, target="scale-2")).error["key"] == "unauthenticated"
    assert (await office.ask(SCALE, target="scale-2", trusted=True)).status == "done"

    def missing(device: str) -> str:
        raise SettingsWrong("no such credential")

    order, _ = parse(CommandRequest("mqtt:x", "scale-2", orjson.dumps(SCALE)))
    guard = CommandAuthenticator(missing, lambda: None)
    assert await guard.refusal(CommandRequest("mqtt:x", "scale-2", b""), order, settings()) is not None


async def test_nothing_is_told_of_earlier_commands_without_the_token(office: Office) -> None:
    office.tokens["scale-2"] = "hush"
    assert (await office.ask(SCALE, target="scale-2")).status == "done"
    response = await office.ask(SCALE | {"token": "guess"}, target="scale-2")
    assert (response.error["key"], response.result) == ("unauthenticated", None)


TOPIC = "devices/oximeter-1/commands"


def octets(body: dict, target: str, topic: str) -> bytes:
    return f"{target}\n{topic}\n".encode() + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def signed(body: dict, key: str = "k", target: str = "ward-7/oximeter-1", topic: str = TOPIC) -> dict:
    """As docs/commands.md says, with nothing of the product."""
    text = hmac.new(key.encode(), octets(body, target, topic), hashlib.sha256).hexdigest()
    return body | {"signature": text}


def test_the_canonical_form_is_sorted_keys_without_spaces_and_without_the_signature() -> None:
    payload = '{"signature": "x", "command":"ping", "b": {"z": 1, "a": "é"}, "id": "1"}'.encode()
    order, refusal = parse(CommandRequest("mqtt:x", None, payload))
    assert refusal is None
    assert order.canonical == '{"b":{"a":"é","z":1},"command":"ping","id":"1"}'.encode()


WITHOUT_ID = {name: value for name, value in SIGNED.items() if name != "id"}
WITHOUT_TIME = {name: value for name, value in SIGNED.items() if name != "issued_at"}


@pytest.mark.parametrize(
    ("body", "required", "good"),
    [
        (signed(SIGNED), True, True),
        (signed(SIGNED), False, True),
        (SIGNED, True, False),
        (SIGNED, False, True),
        (signed(SIGNED) | {"interval": 1}, False, False),
        (signed(SIGNED) | {"id": "other"}, False, False),
        (signed(SIGNED, "wrong"), False, False),
        (SIGNED | {"signature": signed(SIGNED)["signature"].upper()}, False, False),
        (SIGNED | {"signature": 7}, False, False),
        (signed(WITHOUT_ID), False, False),
        (signed(WITHOUT_TIME), False, False),
    ],
)
async def test_signatures(office: Office, body: dict, required: bool, good: bool) -> None:
    office.key = "k"
    office.settings = settings(signing={"key": {"env": "KEY"}, "required": required})
    response = await office.ask(body, topic=TOPIC)
    assert response.status == ("done" if good else "rejected")
    assert good or response.error["key"] == "unauthenticated"


BROADCAST = "organizations/org-1/broadcast"


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "ed25519"])
@pytest.mark.parametrize(
    ("signed_for", "topic", "sent", "good"),
    [
        ("ward-7/oximeter-1", TOPIC, {}, True),
        ("ward-7/scale-2", "devices/scale-2/commands", {}, False),
        ("ward-8/oximeter-1", TOPIC, {}, False),
        ("ward-7/oximeter-1", "elsewhere/commands", {}, False),
        ("ward-7/oximeter-1", TOPIC, {"topic": None}, False),
        ("ward-7", "gateways/ward-7/commands", {"target": None, "topic": "gateways/ward-7/commands"}, True),
        ("*", BROADCAST, {"target": None, "topic": BROADCAST, "source": "broadcast:hospital"}, True),
        ("ward-7", BROADCAST, {"target": None, "topic": BROADCAST, "source": "broadcast:hospital"}, False),
    ],
)
async def test_what_is_signed_for_one_is_refused_at_another(
    office: Office, algorithm: str, signed_for: str, topic: str, sent: dict, good: bool
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    body = SIGNED | {"command": "ping" if sent.get("target", "") is None else "read_now"}
    office.key = "k"
    signed_body = signed(body, target=signed_for, topic=topic)
    if algorithm == "ed25519":
        office.key = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        signed_body = body | {"signature": private.sign(octets(body, signed_for, topic)).hex()}
    signing = {"algorithm": algorithm, "key": {"env": "KEY"}, "required": True}
    office.settings = settings(signing=signing, allow={"*": ["*"]})
    assert ((await office.ask(signed_body, **{"topic": TOPIC} | sent)).status == "done") is good


@pytest.mark.parametrize("key", ["", "k", "A" * 44, "AAAA"])
async def test_an_ed25519_key_that_is_none_shuts_the_door(office: Office, key: str) -> None:
    office.key = key
    office.settings = settings(signing={"algorithm": "ed25519", "key": key, "required": True})
    for signature in ("", "00" * 64, signed(SIGNED)["signature"], "ü"):
        assert (await office.ask(SIGNED | {"signature": signature}, topic=TOPIC)).error["key"] == "unauthenticated"


async def test_a_signing_key_that_cannot_be_had_shuts_the_door(office: Office) -> None:
    office.settings = settings(signing={"key": {"env": "KEY"}, "required": True})
    assert (await office.ask(signed(SIGNED))).error["key"] == "unauthenticated"
    office.settings = settings(signing={"required": True})
    assert (await office.ask(signed(SIGNED))).error["key"] == "unauthenticated"
    assert (await office.ask(SIGNED, source="cli", trusted=True)).status == "done"


@pytest.mark.parametrize(
    ("allow", "subject", "command", "good"),
    [
        ({"*": ["ping"]}, "gateway", "ping", True),
        ({"*": ["ping"]}, "cuff-3", "ping", True),
        ({"*": ["ping"]}, "gateway", "reload", False),
        ({"*": ["*"]}, "gateway", "reload", True),
        ({"gateway": ["*"]}, "gateway", "reload", True),
        ({"gateway": ["*"]}, "cuff-3", "read_now", False),
        ({"cuff-*": ["read_now"]}, "cuff-3", "read_now", True),
        ({"cuff-*": ["read_now"]}, "Cuff-3", "read_now", False),
        ({"cuff-?": ["read_now"]}, "cuff-33", "read_now", False),
        ({"*": ["ping"], "cuff-3": ["sync_time"]}, "cuff-3", "ping", True),
        ({"*": ["ping"], "cuff-3": ["sync_time"]}, "cuff-3", "sync_time", True),
        ({"*": ["read_*"]}, "cuff-3", "read_now", False),
        ({"*": []}, "cuff-3", "read_now", False),
        ({}, "gateway", "ping", False),
    ],
)
def test_allow_list(allow: dict, subject: str, command: str, good: bool) -> None:
    assert permitted(allow, subject, command) is good


async def test_by_default_only_what_is_not_sensitive_is_allowed(office: Office) -> None:
    office.settings = settings()
    bodies = {
        None: ["ping", "status", "reload", "set_log_level", "connect_broker", "disconnect_broker", "resend"],
        "oximeter-1": ["status", "read_now", "stop_monitoring", "sync_time"],
    }
    allowed = []
    for target, names in bodies.items():
        for name in names:
            response = await office.ask({"command": name}, target=target)
            if response.status == "done":
                allowed.append((target, name))
            else:
                assert response.error["key"] == "not-allowed"
    assert allowed == [
        (None, "ping"),
        (None, "status"),
        ("oximeter-1", "status"),
        ("oximeter-1", "read_now"),
        ("oximeter-1", "stop_monitoring"),
    ]
    # Over the socket the settings can be read again by `gatepost reload`, too; the rest is not allowed there either.
    assert (await office.ask({"command": "reload"}, None, source="cli", trusted=True)).status == "done"
    again = {"command": "disconnect_broker", "parameters": {"broker": "a"}}
    assert (await office.ask(again, None, source="cli", trusted=True)).error["key"] == "not-allowed"
