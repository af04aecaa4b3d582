"""Signatures of desired state (Ed25519, RFC 8032), checked in a process of its own.

`python -m gatepost.agent.fleet.signature` reads the question on standard input and answers with its exit code: the
library takes 8 MiB, which the agent would keep for ever after its first document.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import sys

from gatepost.agent.core.errors import Unavailable

VALID, INVALID, MISSING = 10, 11, 12  # exit codes that nothing else has
CHECKED_WITHIN = 60.0  # seconds; a small box takes some to load the library


async def is_signed(public_key: str, payload: str, signature: str) -> bool:
    """Whether `signature` (base64) was made over `payload` by the other half of `public_key` (base64).

    Raises Unavailable where that cannot be told now.
    """
    question = json.dumps([public_key, payload, signature]).encode()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatepost.agent.fleet.signature",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(os.environ),
        )
    except OSError as error:
        raise Unavailable(f"the signature cannot be checked now: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(CHECKED_WITHIN):
            await process.communicate(question)
    except TimeoutError:
        raise Unavailable("the signature could not be checked in time") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == MISSING:
        raise Unavailable("the library cryptography is not installed", key="not-installed")
    if process.returncode not in (VALID, INVALID):
        raise Unavailable(f"the check of the signature ended with {process.returncode}")
    return process.returncode == VALID


def check(public_key: str, payload: str, signature: str) -> int:
    """The exit code."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return MISSING
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.strip(), validate=True))
        key.verify(base64.b64decode(signature, validate=True), payload.encode())
    except (ValueError, binascii.Error, InvalidSignature):
        return INVALID
    return VALID


if __name__ == "__main__":
    sys.exit(check(*json.loads(sys.stdin.buffer.read())))
