"""TLS contexts from paths, with errors that name the file and its problem."""

from __future__ import annotations

import ssl
from pathlib import Path

from gatepost.agent.core.certificates import load_chain
from gatepost.agent.core.errors import CertificateUnusable, ConnectFailed, UplinkError
from gatepost.agent.core.named_files import read_regular


def tls_context(
    ca: str | None = None, cert: str | None = None, key: str | None = None, verify: bool = True
) -> ssl.SSLContext:
    """Reads files (call it in a thread); raises UplinkError `tls-wrong`. Without `ca` the system's authorities count.

    `ca` is a PEM file or a directory of hashed ones; `key` may stand in the file of `cert`. Names are verified too.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    if ca is not None:
        _load_ca(context, _readable(ca, "ca", directory=True))
    if cert is not None:
        try:
            load_chain(context, str(_readable(cert, "cert")), None if key is None else str(_readable(key, "key")))
        except CertificateUnusable as problem:
            raise _wrong(f"tls.{problem.part}: {problem.message}", problem.hint) from None
    elif key is not None:
        raise _wrong("tls.key is set without tls.cert", "a client key needs its certificate")
    return context


def _readable(path: str, what: str, directory: bool = False) -> Path:
    found = Path(path)
    try:
        if directory and found.is_dir():
            return found
        read_regular(found, 1)
        return found
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        hint = "check the path and that the gateway's user may read it"
        raise _wrong(f"tls.{what}: {path}: {reason}", hint) from None


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        if ca.is_dir():
            context.load_verify_locations(capath=str(ca))
        else:
            context.load_verify_locations(cafile=str(ca))
    except (ssl.SSLError, OSError) as problem:
        hint = "a PEM file with the certificate of the authority that signed the broker's"
        raise _wrong(f"tls.ca: {ca} is no usable certificate file ({_why(problem)})", hint) from None


def _wrong(message: str, hint: str) -> UplinkError:
    return UplinkError(message, hint, key="tls-wrong")


def _why(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError):
        return problem.reason or str(problem)
    return getattr(problem, "strerror", None) or str(problem)


def tls_failed(problem: ssl.SSLError, host: str) -> ConnectFailed:
    """A failed handshake, for a person."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        why = problem.verify_message.rstrip(".")
        return ConnectFailed("tls", f"the broker's certificate is not trusted: {why}", _verify_hint(why, host), "later")
    why = _why(problem)
    if "ALERT" in why and ("CERT" in why or "UNKNOWN_CA" in why or "HANDSHAKE_FAILURE" in why):
        hint = "the broker wants a client certificate, or another one: check tls.cert and tls.key"
        return ConnectFailed("tls", f"the broker refused the TLS connection ({why})", hint, "later")
    if "WRONG_VERSION_NUMBER" in why or "RECORD_LAYER_FAILURE" in why:
        return ConnectFailed("tls", f"{host} does not speak TLS on this port", "check port and scheme of url", "later")
    return ConnectFailed("tls", f"the TLS connection failed ({why})", "the broker's log may say more", "soon")


def _verify_hint(why: str, host: str) -> str:
    lower = why.lower()
    if "mismatch" in lower or "not valid for" in lower:
        return f"the certificate is for another name than {host}; use the name it was made for in url"
    if "not yet valid" in lower:
        return "the clock of this machine may be wrong"
    if "expired" in lower:
        return "renew the broker's certificate; if it is new, the clock of this machine may be wrong"
    return "tls.ca must hold the authority that signed it; the one in use did not (without tls.ca: the system's own)"
