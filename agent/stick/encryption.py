"""Encryption of parcels for one receiver: X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), ChaCha20-Poly1305 (RFC 8439).

Each parcel has a key pair of its own, whose public half goes with it: only the receiver's private key opens it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from gatepost.agent.core.errors import SettingsWrong, StickWrong
from gatepost.drivers.extras import install_extra

PUBLIC, PRIVATE = "gp-public-", "gp-private-"
INSTALL = install_extra("encrypted")
MAKE_ONE = "`gatepost import --new-key FILE` makes one and shows its public key"
INFO = b"gatepost parcel 1"
NONCE = bytes(12)  # a key encrypts one parcel, ever


def new_key() -> str:
    """A private key as text."""
    x25519, _ = _library()
    return PRIVATE + _text(x25519.X25519PrivateKey.generate().private_bytes_raw())


def public_of(private: str) -> str:
    """The public key that belongs to it: what others encrypt with. Raises StickWrong."""
    return PUBLIC + _text(_private(private).public_key().public_bytes_raw())


def seal(public: str, content: bytes, header: bytes) -> tuple[str, bytes]:
    """What the receiver needs beside its own key, and the content encrypted; `header` is authentic too."""
    x25519, aead = _library()
    ephemeral = x25519.X25519PrivateKey.generate()
    receiver = x25519.X25519PublicKey.from_public_bytes(_octets(public, PUBLIC))
    own = ephemeral.public_key().public_bytes_raw()
    key = _key(_shared(ephemeral, receiver), own, receiver.public_bytes_raw())
    return _text(own), aead(key).encrypt(NONCE, content, header)


def unseal(private: str, ephemeral: str, content: bytes, header: bytes) -> bytes:
    """Raises StickWrong when it is for another key, or was changed."""
    x25519, aead = _library()
    receiver, own = _private(private), _octets(ephemeral, "")
    shared = _shared(receiver, x25519.X25519PublicKey.from_public_bytes(own))
    key = _key(shared, own, receiver.public_key().public_bytes_raw())
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(aead(key).decrypt(NONCE, content, header))
    except InvalidTag:
        raise StickWrong("it is not encrypted for this key, or was changed", "take the key it was made for") from None


def check_public(public: str) -> str:
    """The key, known to be one. Raises StickWrong."""
    _octets(public, PUBLIC)
    return public


def _shared(private: Any, public: Any) -> bytes:
    try:
        return bytes(private.exchange(public))
    except ValueError:  # a point of small order
        raise StickWrong("that is no usable key", MAKE_ONE) from None


def _key(shared: bytes, ephemeral: bytes, receiver: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=ephemeral + receiver, info=INFO).derive(shared)


def _private(text: str) -> Any:
    x25519, _ = _library()
    return x25519.X25519PrivateKey.from_private_bytes(_octets(text, PRIVATE))


def _octets(text: str, prefix: str) -> bytes:
    text = text.strip()
    try:
        octets = base64.urlsafe_b64decode(text.removeprefix(prefix)) if text.startswith(prefix) else b""
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != 32:
        kind = "private" if prefix == PRIVATE else "public"
        raise StickWrong(f"that is no {kind} key", MAKE_ONE)
    return octets


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode()


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives.asymmetric import x25519
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    except ImportError:
        raise SettingsWrong("encryption needs the library cryptography", INSTALL) from None
    return x25519, ChaCha20Poly1305
