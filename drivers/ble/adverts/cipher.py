"""AES-128-CCM with a tag of four octets, as BTHome and the custom thermometer firmware use it (RFC 3610).

It needs the package `cryptography` (the extra `encrypted`), which is loaded with the first key and never without one.
"""

from __future__ import annotations

from importlib.util import find_spec

from gatepost.drivers.checksums import FrameError

KEY_SIZE = 16
TAG_SIZE = 4
MISSING_PACKAGE = "cryptography is not installed: pip install 'gatepost[encrypted]'"


def available() -> bool:
    """True if a key can be used at all; loads nothing."""
    return find_spec("cryptography") is not None


class AdvertCipher:
    """Cipher with one key, which decrypts payloads. ValueError for a key of another length, ImportError without the
    package."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a key has {KEY_SIZE} octets")
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESCCM
        except ImportError as error:
            raise ImportError(MISSING_PACKAGE) from error
        self._aes = AESCCM(key, tag_length=TAG_SIZE)

    def open(self, nonce: bytes, sealed: bytes, associated: bytes | None = None) -> bytes:
        """The plain octets of ciphertext and tag; FrameError decrypt_failed for a wrong key, or octets that changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(nonce, sealed, associated)
        except (InvalidTag, ValueError):
            raise FrameError("decrypt_failed") from None

    def seal(self, nonce: bytes, plain: bytes, associated: bytes | None = None) -> bytes:
        """Ciphertext and tag; for simulated sensors and tests."""
        return self._aes.encrypt(nonce, plain, associated)
