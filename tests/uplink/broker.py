"""Brokers to test against: a real mosquitto that can be killed, and a scripted one that misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port
from tests.support.waiting import until as until  # tests import it from here, too

MOSQUITTO = "/usr/sbin/mosquitto"
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE = range(1, 11)
PINGREQ, DISCONNECT = 12, 14


# -- certificates ------------------------------------------------------------------------------------------------------


class Authority:
    """A certificate authority in a directory: ca.pem, and certificates made on demand."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._build(self._name, self._key, ca=True)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, hosts: tuple[str, ...] = (), passphrase: bytes = b"", days: int = 30
    ) -> tuple[Path, Path]:
        """(certificate, key) paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(subject, key, ca=False, hosts=hosts, days=days)
        cert_path, key_path = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        key_path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
        )
        return cert_path, key_path

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool, hosts: tuple[str, ...] = (), days: int = 30
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if hosts:
            names: list[x509.GeneralName] = []
            for host in hosts:
                try:
                    names.append(x509.IPAddress(ipaddress.ip_address(host)))
                except ValueError:
                    names.append(x509.DNSName(host))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


# -- mosquitto ---------------------------------------------------------------------------------------------------------


@dataclass
class Mosquitto:
    """A mosquitto on a loopback port of its own. `stop`, `kill` (-9) and `start` again keep port and state."""

    directory: Path
    websockets: bool = False
    authority: Authority | None = None  # TLS, with a certificate for localhost
    client_certificates: bool = False
    certificate: tuple[Path, Path] | None = None  # instead of the one for localhost
    users: dict[str, str] = field(default_factory=dict)
    acl: str = ""
    max_packet_size: int = 0
    max_inflight: int | None = None
    persistence: bool = False
    extra: str = ""
    host: str = "localhost"
    port: int = 0

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._config = self.directory / "mosquitto.conf"
        self.log = self.directory / "mosquitto.log"
        self._config.write_text("\n".join(self._lines()) + "\n")

    @property
    def scheme(self) -> str:
        return ("ws" if self.websockets else "mqtt") + ("s" if self.authority else "")

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def _lines(self) -> list[str]:
        lines = ["per_listener_settings false", f"log_dest file {self.log}", "log_type all"]
        lines.append(f"allow_anonymous {'false' if self.users else 'true'}")
        if self.users:
            passwords = self.directory / "passwords"
            passwords.write_text("".join(f"{name}:{secret}\n" for name, secret in self.users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
            lines.append(f"password_file {passwords}")
        if self.acl:
            (self.directory / "acl").write_text(self.acl)
            lines.append(f"acl_file {self.directory / 'acl'}")
        if self.max_packet_size:
            lines.append(f"max_packet_size {self.max_packet_size}")
        if self.max_inflight is not None:
            lines.append(f"max_inflight_messages {self.max_inflight}")
        if self.persistence:
            lines += ["persistence true", f"persistence_location {self.directory}/", "autosave_interval 1"]
        if self.websockets:
            lines.append(
                f"listener {free_port()} 127.0.0.1"
            )  # mosquitto serves WebSockets only beside a plain listener
        lines.append(f"listener {self.port} 127.0.0.1")
        if self.websockets:
            lines.append("protocol websockets")
        if self.authority is not None:
            cert, key = self.certificate or self.authority.issue("broker", ("localhost", "127.0.0.1"))
            lines += [f"cafile {self.authority.ca}", f"certfile {cert}", f"keyfile {key}"]
            lines.append(f"require_certificate {'true' if self.client_certificates else 'false'}")
        return [*lines, self.extra, "user root" if os.geteuid() == 0 else ""]

    async def start(self) -> None:
        assert self._process is None
        self._process = self._spawn()
        async with asyncio.timeout(10):
            while True:
                assert self._process.poll() is None, self.log.read_text() if self.log.exists() else "no log"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.transport.abort()
                    return

    def _spawn(self) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=quiet, stderr=quiet)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self, on: bool = True) -> None:
        """Half-open: the kernel still answers, mosquitto does not."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextlib.asynccontextmanager
async def running(broker: Mosquitto) -> AsyncIterator[Mosquitto]:
    await broker.start()
    try:
        yield broker
    finally:
        broker.kill()


# -- the scripted broker -----------------------------------------------------------------------------------------------

Answer = Callable[["Peer", int, bytes], bytes | None]


class Peer:
    """One client as the scripted broker sees it; packets as (first octet, body)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = 0
        self.packets: list[tuple[int, bytes]] = []
        self.stalled = False
        self.gone = False
        self._hold = asyncio.Event()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def hang_up(self) -> None:
        self.writer.transport.abort()

    def stall(self) -> None:
        """Half-open: read nothing more, answer nothing more."""
        self.stalled = True
        self.writer.transport.pause_reading()

    def kinds(self) -> list[int]:
        return [command >> 4 for command, _ in self.packets]

    def of(self, kind: int) -> list[tuple[int, bytes]]:
        return [packet for packet in self.packets if packet[0] >> 4 == kind]

    async def next_packet(self) -> tuple[int, bytes]:
        command = (await self.reader.readexactly(1))[0]
        length = shift = 0
        while True:
            octet = (await self.reader.readexactly(1))[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return command, await self.reader.readexactly(length)


class FakeBroker:
    """Answers like a broker; `on[PUBLISH] = lambda peer, command, body: bytes | None` replaces an answer.

    A function may send, `hang_up` or `stall` through the peer and return None.
    """

    def __init__(self, connack: bytes | None = None) -> None:
        self.on: dict[int, Answer] = {}
        if connack is not None:
            self.on[CONNECT] = lambda peer, command, body: connack
        self.peers: list[Peer] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def peer(self) -> Peer:
        return self.peers[-1]

    async def __aenter__(self) -> FakeBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.hang_up()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            while not writer.transport.is_closing():
                command, body = await peer.next_packet()
                if peer.stalled:
                    await asyncio.Event().wait()
                peer.packets.append((command, body))
                kind = command >> 4
                if kind == CONNECT:
                    peer.version = body[6]
                answer = self.on.get(kind, _usual)(peer, command, body)
                if answer is not None and not writer.transport.is_closing():
                    writer.write(answer)
                if kind == DISCONNECT:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            peer.gone = True
            writer.transport.abort()


def publish_id(command: int, body: bytes) -> bytes:
    """The two octets of a PUBLISH's packet id."""
    at = 2 + int.from_bytes(body[:2], "big")
    return body[at : at + 2]


def packet(command: int, body: bytes = b"") -> bytes:
    length = bytearray()
    left = len(body)
    while True:
        left, octet = divmod(left, 128)
        length.append(octet | (0x80 if left else 0))
        if not left:
            return bytes((command,)) + bytes(length) + body


def _usual(peer: Peer, command: int, body: bytes) -> bytes | None:
    five = peer.version == 5
    match command >> 4:
        case 1:
            return packet(0x20, b"\0\0\0" if five else b"\0\0")
        case 3:
            qos = command >> 1 & 3
            return packet((0, 0x40, 0x50)[qos], publish_id(command, body)) if qos else None
        case 6:
            return packet(0x70, body[:2])
        case 8:
            return packet(0x90, body[:2] + (b"\0" if five else b"") + b"\x01")
        case 10:
            return packet(0xB0, body[:2] + (b"\0\0" if five else b""))
        case 12:
            return packet(0xD0)
    return None
