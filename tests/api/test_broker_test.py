"""Test of a broker's settings through the API: each step, and the cause where one fails."""

from __future__ import annotations

import socket

import pytest

from tests.api.real import running, written
from tests.uplink.broker import Authority, Mosquitto
from tests.uplink.broker import running as broker_running

ACL = "user ward\ntopic read gateways/gw/commands\ntopic write gateways/gw/status\n"


async def outcome(http, **body):
    answer = await http.post("broker-test", json=body)
    assert answer.status_code == 200, answer.text
    steps = {step["step"]: step for step in answer.json()["steps"]}
    assert list(steps) == ["dns", "tcp", "tls", "connect", "subscribe", "publish"]
    return answer.json()["ok"], steps


async def test_a_broker_that_works(tmp_path):
    async with broker_running(Mosquitto(tmp_path / "m")) as broker, running(written(tmp_path)) as (app, http):
        ok, steps = await outcome(http, settings={"url": broker.url})
        assert ok
        assert [step["state"] for step in steps.values()] == ["ok", "ok", "none", "ok", "ok", "ok"]
        assert steps["connect"]["detail"] == "MQTT 5, client id gatepost-gw"
        assert app.current.settings.brokers == {}
        _, steps = await outcome(http, settings={"url": broker.url, "protocol": "3.1.1"})
        assert steps["publish"]["state"] == "unknown"


async def test_tls_and_a_certificate_that_is_not_trusted(tmp_path):
    authority = Authority(tmp_path)
    broker = Mosquitto(tmp_path / "m", authority=authority)
    api = {"socket": str(tmp_path / "api.sock"), "listen": None, "secret_dirs": [str(tmp_path)]}
    config = written(tmp_path, api=api)
    async with broker_running(broker), running(config) as (_, http):
        ok, steps = await outcome(http, settings={"url": broker.url, "tls": {"ca": str(authority.ca)}})
        assert ok
        assert steps["tls"]["detail"].startswith("TLSv1.")
        ok, steps = await outcome(http, settings={"url": broker.url})
        assert not ok
        assert (steps["tls"]["state"], steps["tls"]["key"]) == ("failed", "tls")
        assert "not trusted" in steps["tls"]["message"]
        assert steps["connect"]["state"] == steps["publish"]["state"] == "skipped"


async def test_passwords_and_rights(tmp_path):
    broker = Mosquitto(tmp_path / "m", users={"ward": "s3cret"}, acl=ACL)
    async with broker_running(broker), running(written(tmp_path)) as (_, http):
        settings = {"url": broker.url, "username": "ward", "password": "wrong"}
        ok, steps = await outcome(http, settings=settings)
        assert not ok
        assert (steps["connect"]["key"], "not authorized" in steps["connect"]["message"]) == ("refused", True)
        ok, steps = await outcome(http, settings={**settings, "password": "s3cret"})
        assert not ok
        assert [steps[name]["state"] for name in ("connect", "subscribe", "publish")] == ["ok", "ok", "failed"]
        assert "gateways/gw/events" in steps["publish"]["message"]


async def test_nobody_there_and_no_such_name(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with running(written(tmp_path)) as (_, http):
            ok, steps = await outcome(http, settings={"url": f"mqtt://127.0.0.1:{port}"})
            assert (ok, steps["tcp"]["key"]) == (False, "unreachable")
            _, steps = await outcome(http, settings={"url": "mqtt://nobody.invalid"})
            assert (steps["dns"]["state"], steps["dns"]["key"]) == ("failed", "unknown-host")


async def test_a_kept_secret_goes_to_its_own_address_only(tmp_path):
    mosquitto = Mosquitto(tmp_path / "m", users={"ward": "s3cret"})
    async with broker_running(mosquitto) as broker, running(written(tmp_path)) as (app, http):
        made = {"name": "lab", "url": broker.url, "username": "ward", "password": "s3cret"}
        assert (await http.post("brokers", json=made)).status_code == 201
        kept = {"url": broker.url, "username": "ward", "password": "***"}
        ok, steps = await outcome(http, broker="lab", settings=kept)
        assert ok, steps
        ok, steps = await outcome(http, broker="lab")
        assert ok, steps
        elsewhere = {**kept, "url": "mqtt://127.0.0.1:9"}
        refused = await http.post("broker-test", json={"broker": "lab", "settings": elsewhere})
        assert (refused.status_code, refused.json()["error"]["where"]) == (422, "brokers.lab.password")
        assert len(list((tmp_path / "state" / "secrets").iterdir())) == 1
        assert app.current.settings.brokers["lab"].url == broker.url


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"broker": "nobody"}, 404),
        ({"settings": {"url": "http://h"}}, 422),
        ({"settings": {"url": "mqtt://h", "qos": 7}}, 422),
        ({"settings": {"url": "mqtt://h", "password": "***"}}, 422),
    ],
)
async def test_a_wrong_question(tmp_path, body, status):
    async with running(written(tmp_path)) as (_, http):
        assert (await http.post("broker-test", json=body)).status_code == status
