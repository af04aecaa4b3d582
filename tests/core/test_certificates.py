"""Certificates in files: when they end, and keys that are not theirs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from gatepost.agent.core.certificates import load_chain, valid_until, validity_of, validity_periods
from gatepost.agent.core.errors import CertificateUnusable
from tests.uplink.broker import Authority


def test_when_certificates_end(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    short, _ = authority.issue("short", ("localhost", "127.0.0.1"), days=3)
    century, _ = authority.issue("century", days=36500)  # beyond 2049: another type of time
    both = tmp_path / "both.pem"
    both.write_bytes(b"# a chain\n" + short.read_bytes() + century.read_bytes())
    for file in (short, century, authority.ca):
        own = x509.load_pem_x509_certificate(file.read_bytes())
        expected = (own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp())
        assert [tuple(period) for period in validity_periods(file.read_bytes())] == [expected]
    assert valid_until(str(both)) == valid_until(str(short))
    assert validity_of(str(both), every=True) == validity_of(str(century))
    left = datetime.fromtimestamp(valid_until(str(short)) or 0, UTC) - datetime.now(UTC)
    assert timedelta(days=2) < left < timedelta(days=4)


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("gateway")
    assert [valid_until(str(path)) for path in (key, tmp_path, tmp_path / "none")] == [None] * 3
    whole, rng = cert.read_bytes(), Random(1)
    for _ in range(2000):
        spoiled = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        validity_periods(bytes(spoiled[: rng.randrange(len(spoiled))]) if rng.random() < 0.2 else bytes(spoiled))


@pytest.mark.parametrize(
    ("files", "part", "says"),
    [
        (("a.pem", "b.key"), "key", "b.key is not the key of"),
        (("a.pem", "locked.key"), "key", "passphrase"),
        (("b.key", "b.key"), "cert", "no usable certificate"),
        (("a.pem", "none"), "cert", "No such file"),
    ],
)
def test_what_is_wrong_with_a_certificate_and_its_key(
    tmp_path: Path, files: tuple[str, str], part: str, says: str
) -> None:
    authority = Authority(tmp_path)
    for name, passphrase in (("a", b""), ("b", b""), ("locked", b"secret")):
        authority.issue(name, passphrase=passphrase)
    cert, key = (str(tmp_path / file) for file in files)
    with pytest.raises(CertificateUnusable) as caught:
        load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)
    assert (caught.value.part, says in caught.value.message) == (part, True)
