"""Signing keys of desired state: Ed25519 (RFC 8032), the private half in a PEM file."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gatepost.agent.core.named_files import read_given


class KeyUnusable(Exception):
    """The key file cannot be used, for a reason in words."""


class SigningKey:
    """Private key with its name, which gateways know it by."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key

    @classmethod
    def load(cls, name: str, path: Path) -> SigningKey:
        """Raises KeyUnusable."""
        try:
            key = load_pem_private_key(read_given(path), None)
        except OSError as error:
            raise KeyUnusable(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError):
            raise KeyUnusable(f"{path} holds no private key in PEM that is not encrypted") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"{path} is no Ed25519 key; `gatepost-fleet key` makes one")
        return cls(name, key)

    @classmethod
    def create(cls, name: str, path: Path) -> SigningKey:
        """A new one in a new file that only its owner reads. Raises KeyUnusable."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
        except OSError as error:
            raise KeyUnusable(f"{path}: {error.strerror}") from None
        return cls(name, key)

    @property
    def public(self) -> str:
        """The public half in base64, as `fleet.keys` of a gateway wants it."""
        return b64encode(self._key.public_key().public_bytes_raw()).decode()

    def envelope(self, document: dict[str, object]) -> str:
        """The document in its envelope: the very octets of `payload` are signed."""
        payload = orjson.dumps(document)
        signature = b64encode(self._key.sign(payload)).decode()
        whole = {"schema": 1, "payload": payload.decode(), "key_id": self.name, "signature": signature}
        return orjson.dumps(whole).decode()
