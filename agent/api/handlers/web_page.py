"""Web page files, from the wheel. They hold no data: the page asks the API like any other client."""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gatepost.agent.api.asgi import Receive, Scope, Send
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import NotFound

WEB = Path(__file__).parents[2] / "web"
INDEX = "index.html"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
FILE = re.compile(r"(?:[a-z]+/)?[a-z][a-z0-9-]*\.(?:js|css|svg|webmanifest)")

# Nothing but the gateway's own files and its own API; no script or style inside of the page; no frame around it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-cache",  # kept, and asked for again by its ETag: a new version counts at once
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "vary": "accept-encoding",
}
LEVEL = 6  # of the compression: a third of the octets, a millisecond a file


# One file at a time, in each event loop: a browser asks for many at once, and each thread that works keeps memory.
_turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()


class PageFile(JsonResponse[None]):
    """A file of the page, compressed for who takes that, or 304 to a browser that has it."""

    def __init__(self, body: bytes, kind: str, accepted: str, if_none_match: str | None) -> None:
        compressed = "gzip" in accepted
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}{"-gzip" if compressed else ""}"'
        known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
        same = etag in known
        self.status = 304 if same else 200
        self.body = b"" if same else packed(body) if compressed else body
        self.headers = {**HEADERS, "etag": etag}
        if not same:
            self.headers |= {"content-type": kind, "content-length": str(len(self.body))}
            self.headers |= {"content-encoding": "gzip"} if compressed else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def index(request: ApiRequest) -> JsonResponse[Any]:
    """The page; to those who accept JSON and no HTML, what serves here."""
    accepted = request.header("accept") or ""
    if "json" in accepted and "html" not in accepted:
        from gatepost.agent.api.documents.message_service import service

        return JsonResponse(await service(request), 200, {"vary": "accept"})
    return await file(request, INDEX)


async def static(request: ApiRequest) -> PageFile:
    name = request.path["file"]
    if not FILE.fullmatch(name):
        raise _nothing(name)
    return await file(request, name)


async def file(request: ApiRequest, name: str) -> PageFile:
    """A file of the page by its name, which is trusted."""
    accepted, known = request.header("accept-encoding") or "", request.header("if-none-match")

    def made() -> PageFile:
        return PageFile(lean((WEB / name).read_text("utf-8")).encode(), KINDS[Path(name).suffix], accepted, known)

    try:
        async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await asyncio.to_thread(made)
    except FileNotFoundError:
        raise _nothing(name) from None


def packed(body: bytes) -> bytes:
    """As gzip (RFC 1952), the same each time."""
    packer = zlib.compressobj(LEVEL, wbits=31)
    return packer.compress(body) + packer.flush()


def lean(text: str) -> str:
    """Without indentation and lines of comment: those are for whoever reads the source. No string of the page goes over
    more than one line."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


def _nothing(name: str) -> NotFound:
    return NotFound(f"the page has no file {name[:64]!r}", "open / for the page")
