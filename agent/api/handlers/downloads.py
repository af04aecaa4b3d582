"""Download routes: a backup of this gateway, and a support bundle. The verbs of the command line make them, each in a
process of its own: that takes its time, and its memory goes with it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gatepost.agent.api.http.responses import FileDownload
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import Conflict, Unavailable

LONGEST = 900.0  # seconds: a log of 2 GB on a card
CHUNK = 1 << 16
MADE = "made.tar.gz"
PLACE = Path("/var/tmp")  # noqa: S108 - a new folder of our own in it; /tmp may be memory
_making: set[Path] = set()  # state directories of the agents that make one: one at a time


async def backup(request: ApiRequest) -> FileDownload:
    request.app.audit.record("backup-downloaded", by=request.source)
    return await _download(request, "backup", ["backup"])


async def support_bundle(request: ApiRequest) -> FileDownload:
    request.app.audit.record("support-bundle-downloaded", by=request.source)
    return await _download(request, "support", ["doctor", "--socket", request.app.settings.api.socket, "--bundle"])


async def _download(request: ApiRequest, kind: str, verb: list[str]) -> FileDownload:
    """The file, which goes with its folder once it is sent, or when it could not be made."""
    gateway = request.app.settings.gateway
    agent = Path(gateway.state_dir)
    if agent in _making:
        raise Conflict("another download is being made", "wait until it has ended")
    _making.add(agent)
    try:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="gatepost-", dir=PLACE))
        try:
            await _run([*verb, str(folder / MADE), "--config", str(request.app.editor.config)])
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
    except OSError as error:
        raise Unavailable(f"there is no space for the file: {error.strerror}", f"see {PLACE}") from None
    finally:
        _making.discard(agent)
    day = datetime.fromtimestamp(request.app.clock.now().wall / 1e6, UTC).date()
    return FileDownload(
        _content(folder), request.closing, f"gatepost-{gateway.id}-{kind}-{day}.tar.gz", request.validity
    )


async def _content(folder: Path) -> AsyncGenerator[bytes, None]:
    try:
        with await asyncio.to_thread((folder / MADE).open, "rb") as stream:
            while chunk := await asyncio.to_thread(stream.read, CHUNK):
                yield chunk
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)


async def _run(arguments: list[str]) -> None:
    """Unavailable with what the verb said, when it failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatepost.agent.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST):
            _, told = await process.communicate()
    except TimeoutError:
        raise Unavailable("the file could not be made in time", "make it with the command line") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        said = told.decode("utf-8", "replace").strip().splitlines()
        why = said[0].strip() if said else "it ended without a message"
        raise Unavailable(f"the file could not be made: {why[:500]}", "`gatepost " + arguments[0] + "` says more")
