"""HTTP without TLS for httpx: a client that makes its own context reads every CA of the system, which takes long."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as `verify`
