"""Certificates and private keys in PEM files: loaded with errors that name the file, and until when they are valid.

The latter is read here, since a library for X.509 costs 8 MiB of memory.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import NamedTuple

from gatepost.agent.core.errors import CertificateUnusable
from gatepost.agent.core.named_files import read_regular

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17  # tags of DER
_BEFORE_VALIDITY = 3  # members of a certificate between its version and its validity


class ValidityPeriod(NamedTuple):
    """Period in which a certificate is valid, in seconds since 1970."""

    begins: float
    ends: float


def load_chain(context: ssl.SSLContext, cert: str, key: str | None = None) -> None:
    """Reads the files (call it in a thread); without `key` it stands in the file of `cert`. CertificateUnusable."""

    def no_passphrase() -> str:  # without this OpenSSL would ask on the terminal and wait
        raise CertificateUnusable("key", f"{key or cert} is protected by a passphrase", "store the key without one")

    try:
        context.load_cert_chain(cert, key, password=no_passphrase)
    except OSError as problem:  # ssl.SSLError is one
        why = getattr(problem, "reason", None) or problem.strerror or str(problem)
        if "KEY_VALUES_MISMATCH" in why:
            hint = "take the key made with it"
            raise CertificateUnusable("key", f"{key or cert} is not the key of {cert}", hint) from None
        files = cert if key is None else f"{cert} and {key}"
        hint = "cert: the certificate in PEM, chain after it; key: its private key in PEM"
        raise CertificateUnusable("cert", f"{files} are no usable certificate and key ({why})", hint) from None


def validity_periods(pem: bytes) -> list[ValidityPeriod]:
    """Of each certificate in a file, in order; one that cannot be read is left out."""
    periods = []
    for block in _PEM.findall(pem):
        try:
            periods.append(_validity(ssl.PEM_cert_to_DER_cert(block.decode("ascii"))))
        except (ValueError, IndexError):
            continue
    return periods


def validity_of(file: str, every: bool = False) -> ValidityPeriod | None:
    """Of the first certificate in a file, or, with `every`, of the one that ends last; None where there is none, or the
    file cannot be read (call it in a thread)."""
    try:
        periods = validity_periods(read_regular(file))
    except OSError:
        return None
    return max(periods if every else periods[:1], key=lambda period: period.ends, default=None)


def valid_until(file: str) -> float | None:
    """When the first certificate in a file ends."""
    period = validity_of(file)
    return None if period is None else period.ends


def _validity(der: bytes) -> ValidityPeriod:
    """Certificate > TBSCertificate > [version] serialNumber signature issuer validity. ValueError, IndexError."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    at = end if tag == _VERSION else at
    for _ in range(_BEFORE_VALIDITY):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    begins, at = _time(der, at)
    return ValidityPeriod(begins, _time(der, at)[0])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, and where the content begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start])
    return der[at], start, start + length


def _time(der: bytes, at: int) -> tuple[float, int]:
    """UTCTime (of 1950 to 2049) or GeneralizedTime, and where it ends."""
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), end
