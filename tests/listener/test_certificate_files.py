"""Certificate files of the listener: what stands in their place never stops the loop."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from gatepost.agent.core.errors import ListenWrong
from gatepost.agent.settings.model import ListenerTls
from tests.listener.rig import ListenerRig
from tests.uplink.broker import Authority


@pytest.mark.parametrize("part", ["cert", "key", "client_ca"])
async def test_a_fifo_in_the_place_of_a_certificate_is_refused(tmp_path: Path, part: str) -> None:
    cert, key = Authority(tmp_path / "ca").issue("gateway", ("localhost",))
    os.mkfifo(tmp_path / "fifo")
    files = {"cert": str(cert), "key": str(key), part: str(tmp_path / "fifo")}
    async with ListenerRig(tmp_path, {}) as rig:
        with pytest.raises(ListenWrong, match=rf"listener.tls.*{part}.*cannot be used"):
            await rig.listener.apply(msgspec.structs.replace(rig.settings, tls=ListenerTls(**files)), {})
