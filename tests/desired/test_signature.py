"""Signatures of desired state, checked in a process of its own."""

from __future__ import annotations

import json

import pytest

from gatepost.agent.core.errors import Unavailable
from gatepost.agent.fleet import signature
from tests.desired.signing import FleetSigner


async def test_only_the_key_that_signed_it_fits() -> None:
    signer, other = FleetSigner(), FleetSigner("fleet-2")
    envelope = json.loads(signer.sign("Grüße \U0001f600"))
    payload, signed = envelope["payload"], envelope["signature"]
    assert await signature.is_signed(signer.settings["ed25519"], payload, signed)
    assert not await signature.is_signed(other.settings["ed25519"], payload, signed)


@pytest.mark.parametrize("signed", ["", "no", "AAAA", "A" * 88, "é"])
def test_what_is_no_signature_does_not_hold(signed: str) -> None:
    assert signature.check(FleetSigner().settings["ed25519"], "{}", signed) == signature.INVALID


@pytest.mark.parametrize("key", ["", "no", "AAAA"])
def test_what_is_no_key_signs_nothing(key: str) -> None:
    signed = json.loads(FleetSigner().sign("{}"))["signature"]
    assert signature.check(key, "{}", signed) == signature.INVALID


async def test_a_check_that_cannot_be_made_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature.sys, "executable", "/nonexistent/python")
    with pytest.raises(Unavailable):
        await signature.is_signed("", "", "")
    monkeypatch.setattr(signature.sys, "executable", "/bin/false")
    with pytest.raises(Unavailable):
        await signature.is_signed("", "", "")
