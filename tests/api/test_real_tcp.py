"""The agent itself on TCP: settings that change while it runs."""

from __future__ import annotations

import socket
import ssl

import httpx
import msgspec
import yaml

from tests.api.real import running, written
from tests.api.test_tcp import write_certificate
from tests.support.http import PLAIN
from tests.support.ports import free_port


async def asked(url, headers, **options):
    async with httpx.AsyncClient(timeout=20, headers=headers, **{"verify": PLAIN, **options}) as client:
        return await client.get(f"{url}/api/v1/session")


async def test_the_address_moves_and_gets_tls_without_a_restart(tmp_path):
    old, new = free_port(), free_port()
    socket = str(tmp_path / "api.sock")
    config = written(tmp_path, api={"socket": socket, "listen": f"127.0.0.1:{old}"})

    def change(**api):
        settings = yaml.safe_load(config.read_text())
        settings["api"] = {"socket": socket, **api}
        config.write_text(yaml.safe_dump(settings))

    async with running(config) as (app, http):
        token = (await http.post("/tokens", json={"role": "admin", "name": "boss"})).json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        assert (await asked(f"http://127.0.0.1:{old}", headers)).json()["name"] == "boss"

        tls = write_certificate(tmp_path)
        change(listen=f"127.0.0.1:{new}", tls=msgspec.to_builtins(tls))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{old}", headers=headers, timeout=20, verify=PLAIN
        ) as client:
            told = await client.post("/api/v1/reload")  # the answer comes by the address that is closed by it
        assert (told.status_code, told.json()["applied"]) == (200, True)
        trust = ssl.create_default_context(cafile=tls.cert)
        assert (await asked(f"https://localhost:{new}", headers, verify=trust)).json()["name"] == "boss"

        change(listen="0.0.0.0:8765")
        refused = (await http.post("/reload")).json()
        assert refused["applied"] is False
        assert "insecure" in str(refused["problems"]) or "TLS" in str(refused["problems"])
        assert (await asked(f"https://localhost:{new}", headers, verify=trust)).status_code == 200

        change()
        assert (await http.post("/reload")).json()["applied"] is True
        assert app.api.tcp is None


async def test_tokens_hold_over_a_restart(tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    config = written(tmp_path, api={"socket": str(tmp_path / "api.sock"), "listen": listen})
    async with running(config) as (_, http):
        token = (await http.post("/tokens", json={"role": "viewer", "name": "screen"})).json()["token"]
    async with running(config):
        answer = await asked(f"http://{listen}", {"authorization": f"Bearer {token}"})
    assert (answer.json()["name"], answer.json()["role"]) == ("screen", "viewer")


async def test_an_address_in_use_keeps_the_agent_running_and_is_found_by_doctor(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        config = written(tmp_path, api={"socket": str(tmp_path / "api.sock"), "listen": listen})
        async with running(config) as (app, http):
            found = [each for each in (await http.get("/doctor")).json()["findings"] if "TCP" in each["what"]]
            assert listen in found[0]["why"]
            other.close()
            assert (await http.post("/reload")).json()["applied"] is True
            assert app.api.tcp == listen
            assert not [each for each in (await http.get("/doctor")).json()["findings"] if "TCP" in each["what"]]
