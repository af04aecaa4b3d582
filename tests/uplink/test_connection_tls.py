"""TLS: own authorities, client certificates, and every mistake named by its file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.agent.core.errors import ConnectFailed, UplinkError
from gatepost.agent.uplink.mqtt.tls import tls_context
from tests.support.failing import failing
from tests.support.waiting import until

from .broker import Authority, FakeBroker, Mosquitto, running
from .client import Recorder, connected


@pytest.fixture
async def broker(tmp_path: Path, authority: Authority) -> AsyncIterator[Mosquitto]:
    async with running(Mosquitto(tmp_path / "broker", authority=authority)) as broker:
        yield broker


async def failure_of(url: str, **tls: object) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await Recorder(url, context=tls_context(**tls)).connection.open(10)  # type: ignore[arg-type]
    return caught.value


async def test_own_authority(broker: Mosquitto, authority: Authority) -> None:
    async with connected(broker.url, context=tls_context(str(authority.ca))) as one:
        one.publish(1)
        await until(lambda: one.acks)


async def test_an_authority_of_others(broker: Mosquitto, tmp_path: Path) -> None:
    failure = await failure_of(broker.url, ca=str(Authority(tmp_path / "other", "others").ca))
    assert (failure.reason, failure.retry) == ("tls", "later")
    assert "not trusted" in failure.message
    assert "tls.ca" in failure.hint


async def test_the_systems_authorities_do_not_know_it(broker: Mosquitto) -> None:
    assert (await failure_of(broker.url)).reason == "tls"


async def test_a_certificate_for_another_host(tmp_path: Path, authority: Authority) -> None:
    certificate = authority.issue("elsewhere", ("elsewhere.example",))
    extra = Mosquitto(tmp_path / "b", authority=authority, certificate=certificate)
    async with running(extra):
        failure = await failure_of(extra.url, ca=str(authority.ca))
        assert failure.reason == "tls"
        assert "localhost" in failure.hint
        async with connected(extra.url, context=tls_context(verify=False)) as one:
            one.publish(1)
            await until(lambda: one.acks)


async def test_an_expired_certificate(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("old", ("localhost",), days=-1)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        failure = await failure_of(f"mqtts://localhost:{port}", ca=str(authority.ca))
        assert "expired" in failure.message
        assert "clock" in failure.hint


async def test_a_port_without_tls() -> None:
    async with FakeBroker() as broker:
        broker.on[2] = lambda peer, command, body: b"\x20\x02\0\0" * 10
        url = broker.url.replace("mqtt:", "mqtts:")
        with pytest.raises(ConnectFailed) as caught:
            await Recorder(url, context=tls_context(verify=False)).connection.open(0.5)
        assert caught.value.reason in ("tls", "timeout", "unreachable")


async def test_tls_needs_a_context() -> None:
    with failing(ConnectFailed, reason="settings"):
        await Recorder("mqtts://localhost:1").connection.open(1)


def problem_of(**tls: object) -> UplinkError:
    with failing(UplinkError, kind="tls-wrong") as caught:
        tls_context(**tls)  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("what", ["ca", "cert", "key"])
def test_a_missing_file_is_named(what: str, tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("client")
    paths = {"ca": str(authority.ca), "cert": str(cert), "key": str(key)} | {what: str(tmp_path / "missing.pem")}
    problem = problem_of(**paths)
    assert f"tls.{what}" in problem.message
    assert "missing.pem" in problem.message


@pytest.mark.parametrize("what", ["ca", "cert", "key"])
def test_a_file_of_something_else_is_named(what: str, tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("client")
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate\n")
    problem = problem_of(**({"ca": str(authority.ca), "cert": str(cert), "key": str(key)} | {what: str(junk)}))
    assert "junk.pem" in problem.message


def test_a_key_of_another_certificate(authority: Authority) -> None:
    cert, _ = authority.issue("client")
    _, key = authority.issue("client-2")
    assert "is not the key" in problem_of(cert=str(cert), key=str(key)).message


def test_a_key_with_a_passphrase_never_asks(authority: Authority) -> None:
    cert, key = authority.issue("locked", passphrase=b"secret")
    assert "passphrase" in problem_of(cert=str(cert), key=str(key)).message


def test_a_key_without_its_certificate(authority: Authority) -> None:
    _, key = authority.issue("client")
    assert "tls.key" in problem_of(key=str(key)).message


def test_certificate_and_key_in_one_file_and_authorities_in_a_directory(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("client")
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    tls_context(ca=str(authority.directory), cert=str(both))
