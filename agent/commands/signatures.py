"""Signatures of commands: HMAC-SHA256 and Ed25519 (RFC 8032) over target, topic and the canonical form."""

from __future__ import annotations

import hashlib
import hmac

from gatepost.agent.core.errors import SettingsWrong
from gatepost.agent.settings.secret import PUBLIC_KEY_HINT, public_key
from gatepost.drivers.extras import install_extra

EVERY_GATEWAY = "*"  # the target of a broadcast
INSTALL = install_extra("signing")


def signed_octets(target: str, topic: str, canonical: bytes) -> bytes:
    """What a signature is made over: two lines that say for whom and by which way, then the canonical form."""
    return f"{target}\n{topic}\n".encode("utf-8", "replace") + canonical


def sign(key: str, octets: bytes) -> str:
    """HMAC-SHA256 in lowercase hex."""
    return hmac.new(key.encode(), octets, hashlib.sha256).hexdigest()


def is_signed(algorithm: str, key: str, octets: bytes, signature: str) -> bool:
    """Whether `signature` (lowercase hex) is right. Raises SettingsWrong for a wrong key or a missing library."""
    if algorithm == "hmac-sha256":
        return hmac.compare_digest(sign(key, octets).encode(), signature.encode("utf-8", "replace"))
    public = public_key(key)
    if public is None:
        raise SettingsWrong("commands.signing.key is not an Ed25519 public key", PUBLIC_KEY_HINT)
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise SettingsWrong("commands.signing: ed25519 needs the library cryptography", INSTALL) from None
    try:
        if signature != signature.lower():
            return False
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), octets)
    except (ValueError, InvalidSignature):
        return False
    return True
