from __future__ import annotations

import asyncio
import datetime
import socket
import ssl

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatepost.agent.api.http.h11_protocol import BoundedH11Protocol, ConnectionLimits
from gatepost.agent.api.http.listener import HANDSHAKES
from gatepost.agent.api.http.server import ApiServer
from gatepost.agent.core.errors import ListenWrong
from gatepost.agent.core.tcp_sockets import bind
from gatepost.agent.settings.model import ApiSettings, ApiTls
from tests.support.http import PLAIN
from tests.support.ports import free_port


def write_certificate(directory, name="localhost"):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ApiTls(cert=str(cert_file), key=str(key_file))


def listening(app, **api):
    app.settings = msgspec.structs.replace(app.settings, api=ApiSettings(**api))
    return app.settings.api


async def served(app, running):
    """Where TCP is served."""
    listen = f"127.0.0.1:{free_port()}"
    listening(app, listen=listen)
    await running.serve()
    return listen


@pytest.fixture
async def running(app, socket_path):
    server = ApiServer(app, socket_path, patience=0.2)
    yield server
    await server.stop(0.2)


async def health(url, **options):
    async with httpx.AsyncClient(**{"verify": PLAIN, **options}) as client:
        return await client.get(f"{url}/health")


async def test_health_is_open_and_everything_else_is_not(app, running):
    listen = await served(app, running)
    assert (await health(f"http://{listen}")).json()["status"] == "healthy"
    async with httpx.AsyncClient(verify=PLAIN) as client:
        answer = await client.get(f"http://{listen}/api/v1/status")
    assert (answer.status_code, answer.json()["error"]["key"]) == (401, "unauthenticated")


async def test_a_changed_address_counts_at_once_and_the_old_one_is_closed(app, running):
    old, new = (f"127.0.0.1:{free_port()}" for _ in range(2))
    listening(app, listen=old)
    await running.serve()
    await running.apply(listening(app, listen=new))
    assert (await health(f"http://{new}")).status_code == 200
    with pytest.raises(httpx.ConnectError):
        await health(f"http://{old}")
    await running.apply(listening(app))
    with pytest.raises(httpx.ConnectError):
        await health(f"http://{new}")


async def test_an_address_in_use_leaves_the_old_one(app, running):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        listen = f"127.0.0.1:{free_port()}"
        listening(app, listen=listen)
        await running.serve()
        with pytest.raises(ListenWrong):
            await running.apply(listening(app, listen=taken))
        assert (await health(f"http://{listen}")).status_code == 200


async def test_settings_that_come_while_others_are_applied_wait_for_their_turn(app, running):
    await running.serve()
    listen = f"127.0.0.1:{free_port()}"
    api = listening(app, listen=listen)
    await asyncio.gather(running.apply(api), running.apply(api))  # as at the start, and of a client of the socket then
    assert (running.tcp, running.trouble) == (listen, "")
    assert (await health(f"http://{listen}")).status_code == 200


async def test_a_host_that_is_none_is_said():
    with pytest.raises(ListenWrong):
        await bind("no-such-host.invalid", 8765, "api.listen")


async def test_tls_and_renewed_certificates(app, running, tmp_path):
    tls = write_certificate(tmp_path)
    port = free_port()
    api = listening(app, listen=f"127.0.0.1:{port}", tls=tls)
    await running.serve()
    url = f"https://localhost:{port}"
    first = ssl.create_default_context(cafile=tls.cert)
    assert (await health(url, verify=first)).status_code == 200
    write_certificate(tmp_path)
    await running.apply(api)
    with pytest.raises(httpx.ConnectError):
        await health(url, verify=first)
    assert (await health(url, verify=ssl.create_default_context(cafile=tls.cert))).status_code == 200


async def test_clients_that_begin_tls_and_do_not_go_on_are_bounded_and_keep_nobody_out(
    app, running, tmp_path, monkeypatch
):
    monkeypatch.setattr("gatepost.agent.api.http.listener.HANDSHAKE", 600.0)
    tls = write_certificate(tmp_path)
    port = free_port()
    api = listening(app, listen=f"127.0.0.1:{port}", tls=tls)
    await running.serve()
    trust = ssl.create_default_context(cafile=tls.cert)
    url = f"https://localhost:{port}"
    assert (await health(url, verify=trust)).status_code == 200  # and HTTP is loaded
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(HANDSHAKES + 8)]
    async with asyncio.timeout(30):
        for reader, _ in held[:8]:
            assert await reader.read() == b""  # hung up on, the longest first
        assert (await health(url, verify=trust)).status_code == 200
        await running.apply(msgspec.structs.replace(api, tls=None))  # the same port, at once
        for reader, _ in held[8:]:
            assert await reader.read() == b""
        assert (await health(f"http://127.0.0.1:{port}")).status_code == 200
    for _, writer in held:
        writer.close()


async def test_a_broken_certificate_leaves_the_one_that_works(app, running, tmp_path):
    tls = write_certificate(tmp_path)
    port = free_port()
    api = listening(app, listen=f"127.0.0.1:{port}", tls=tls)
    await running.serve()
    trust = ssl.create_default_context(cafile=tls.cert)
    (tmp_path / "cert.pem").write_text("no certificate")
    await running.apply(api)  # refuses nothing: the settings are the same
    assert "cert.pem" in running.trouble
    assert (await health(f"https://localhost:{port}", verify=trust)).status_code == 200
    with pytest.raises(ListenWrong):
        await running.apply(msgspec.structs.replace(api, rate_limit=1.0))
    write_certificate(tmp_path)
    await running.apply(api)
    assert running.trouble == ""


async def test_a_head_that_trickles_after_an_answer_is_not_waited_for_without_end(app, running, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.http.h11_protocol.KEEP_ALIVE", 0.1)
    listen = await served(app, running)
    reader, writer = await asyncio.open_connection(*listen.split(":"))
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"}")
    writer.write(b"G")  # takes uvicorn's own timer away
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(100)
    writer.close()


async def test_what_is_no_http_is_logged_with_its_sender_and_without_its_octets(app, running, caplog):
    listen = await served(app, running)
    reader, writer = await asyncio.open_connection(*listen.split(":"))
    writer.write(b"\x16\x03\x01 secret\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    told = next(record for record in caplog.records if record.name.startswith("gatepost."))
    port = writer.get_extra_info("sockname")[1]
    assert told.getMessage() == f"a connection from 127.0.0.1 port {port} was closed: what it sent is not HTTP/1.1"
    assert told.args == ("127.0.0.1", port)  # what differs is a number: repeats are held back
    writer.close()


async def test_one_address_has_no_more_than_its_share(app, running):
    listen = f"127.0.0.1:{free_port()}"
    listening(app, listen=listen)
    running._patience = 30.0
    await running.serve()
    host, port = listen.split(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(33)]
    async with asyncio.timeout(10):
        assert b"503" in await held[-1][0].readline()
    for _, writer in held:
        writer.close()


def test_an_ipv6_network_shares_its_connections():
    limits = ConnectionLimits(64, 2, 10.0)
    made = [BoundedH11Protocol.__new__(BoundedH11Protocol) for _ in range(4)]
    for protocol, client in zip(made, ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"), strict=True):
        protocol.client, protocol.connections, protocol._limits = (client, 1), set(made), limits
    assert [protocol._too_many() for protocol in made] == [True, True, True, False]


async def test_a_body_that_does_not_come_is_not_waited_for_without_end(app, running, monkeypatch):
    monkeypatch.setattr("gatepost.agent.api.http.router.BODY_TIME", 0.1)
    listen = await served(app, running)
    reader, writer = await asyncio.open_connection(*listen.split(":"))
    writer.write(b"POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{")
    async with asyncio.timeout(10):
        assert b"503" in await reader.readline()
        await reader.read()  # and the connection is closed
    writer.close()


async def test_a_head_without_end_is_refused(app, running):
    listen = await served(app, running)
    reader, writer = await asyncio.open_connection(*listen.split(":"))
    writer.write(b"GET /health HTTP/1.1\r\nx: " + b"y" * 70_000)
    async with asyncio.timeout(10):
        assert (await reader.read(12)) == b"HTTP/1.1 400"
    writer.close()
    assert (await health(f"http://{listen}")).status_code == 200


async def test_a_flood_of_slow_connections_leaves_room_for_others(app, running):
    """Of one address there are never more than its share, so somebody else still gets in."""
    listen = f"127.0.0.1:{free_port()}"
    listening(app, listen=listen)
    running._patience = 30.0
    await running.serve()
    host, port = listen.split(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.9", verify=PLAIN)) as other:
        assert (await other.get(f"http://{listen}/health")).status_code == 200
    for _, writer in held:
        writer.close()
