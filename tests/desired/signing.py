"""A fleet's key, and documents that it signs."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

GATEWAY = "ward-687"  # asks for desired state at once: its share of the jitter is next to nothing


class FleetSigner:
    """One key pair. `settings` is the entry of fleet.keys."""

    def __init__(self, ident: str = "fleet-1") -> None:
        self.ident = ident
        self._key = Ed25519PrivateKey.from_private_bytes(ident.encode().ljust(32, b"."))
        self.settings = {"id": ident, "ed25519": base64.b64encode(self._key.public_key().public_bytes_raw()).decode()}

    def sign(self, payload: str, **changed: Any) -> bytes:
        signature = base64.b64encode(self._key.sign(payload.encode())).decode()
        envelope = {"schema": 1, "payload": payload, "key_id": self.ident, "signature": signature}
        return json.dumps({**envelope, **changed}).encode()

    def document(self, version: int, settings: dict[str, Any], within: str = "60s", **members: Any) -> bytes:
        confirm = {"within": within, "manual": members.pop("manual", False)}
        body = {"gateway_id": GATEWAY, "version": version, "settings": settings, "confirm": confirm, **members}
        return self.sign(json.dumps(body))
