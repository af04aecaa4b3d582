"""AES-128 as advertisements use it: CCM with a tag of four octets (RFC 3610), and its counter modes.

It needs the package `cryptography` (the extra `encrypted`), which is loaded with the first key and never without one.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.extras import install_extra

KEY_SIZE = 16
TAG_SIZE = 4
SHORT_KEY_SIZE, _MIDDLE = 12, bytes.fromhex("8d3d3c97")  # MiBeacon up to version 3: what stands between its halves
BLOCK = 16
MISSING_PACKAGE = f"cryptography is not installed; {install_extra('encrypted')}"


def available() -> bool:
    """True if a key can be used at all; loads nothing."""
    return find_spec("cryptography") is not None


class AdvertCipher:
    """Cipher with one key, which decrypts payloads. ValueError for a key of another length, ImportError without the
    package."""

    def __init__(self, key: bytes) -> None:
        if len(key) == SHORT_KEY_SIZE:
            key = key[:6] + _MIDDLE + key[6:]
        if len(key) != KEY_SIZE:
            raise ValueError(f"a key has {KEY_SIZE} octets")
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESCCM
        except ImportError as error:
            raise ImportError(MISSING_PACKAGE) from error
        self._aes = AESCCM(key, tag_length=TAG_SIZE)
        self._key = key

    def open(self, nonce: bytes, sealed: bytes, associated: bytes | None = None) -> bytes:
        """The plain octets of ciphertext and tag; FrameError decrypt_failed for a wrong key, or octets that changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(nonce, sealed, associated)
        except (InvalidTag, ValueError):
            raise FrameError("decrypt_failed") from None

    def begins_with(self, octet: int) -> bool:
        """True if that is the first octet of the key."""
        return self._key[0] == octet

    def stream_of_ccm(self, nonce: bytes, data: bytes) -> bytes:
        """Decrypt what CCM encrypted with a nonce of 13 octets, without its tag: no wrong key is noticed."""
        return self._counted(b"\x01" + nonce, 1, "big", data)

    def counter_mode(self, counter: int, data: bytes) -> bytes:
        """Decrypt, or encrypt, with a little-endian counter."""
        return self._counted(b"", counter, "little", data)

    def _counted(self, prefix: bytes, first: int, order: Literal["little", "big"], data: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        blocks = b"".join(
            prefix + (first + index).to_bytes(BLOCK - len(prefix), order) for index in range(-(-len(data) // BLOCK))
        )
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305  # it makes a key stream
        return bytes(a ^ b for a, b in zip(data, encryptor.update(blocks), strict=False))

    def seal(self, nonce: bytes, plain: bytes, associated: bytes | None = None) -> bytes:
        """Ciphertext and tag; for simulated sensors and tests."""
        return self._aes.encrypt(nonce, plain, associated)
