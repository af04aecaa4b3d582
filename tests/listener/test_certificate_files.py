"""Certificate files of the listener: what stands in their place never stops the loop."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from gatepost.agent.core.errors import ListenWrong
from gatepost.agent.core.tcp_sockets import bind
from gatepost.agent.listener import server
from gatepost.agent.settings.model import ListenerTls
from tests.listener.rig import ListenerRig
from tests.support.ports import free_port
from tests.uplink.broker import Authority


@pytest.mark.parametrize("part", ["cert", "key", "client_ca"])
async def test_a_fifo_in_the_place_of_a_certificate_is_refused(tmp_path: Path, part: str) -> None:
    cert, key = Authority(tmp_path / "ca").issue("gateway", ("localhost",))
    os.mkfifo(tmp_path / "fifo")
    files = {"cert": str(cert), "key": str(key), part: str(tmp_path / "fifo")}
    async with ListenerRig(tmp_path, {}) as rig:
        with pytest.raises(ListenWrong, match=rf"listener.tls.*{part}.*cannot be used"):
            await rig.listener.apply(msgspec.structs.replace(rig.settings, tls=ListenerTls(**files)), {})


async def test_nobody_is_taken_in_the_clear_while_the_listener_changes_to_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = Authority(tmp_path / "ca").issue("gateway", ("localhost",))
    came: list[bytes] = []
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:

        async def bind_late(host: str, port: int, name: str) -> list[socket.socket]:
            if name == "listener.ws":  # `listen` is served again by then
                client = rig.client()
                await client.open()
                await client.send(client._connect)
                with suppress(ConnectionError):
                    came.append(await client.reader.read(1))
                client.writer.close()
            return await bind(host, port, name)

        monkeypatch.setattr(server, "bind", bind_late)
        tls = ListenerTls(cert=str(cert), key=str(key))
        wanted = msgspec.structs.replace(rig.settings, tls=tls, ws=f"127.0.0.1:{free_port()}")
        async with asyncio.timeout(20):
            await rig.listener.apply(wanted, {})
        assert b"\x20" not in came  # CONNACK
