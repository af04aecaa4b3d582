"""Checks of certificates: those that brokers and clients are shown, and trusted authorities, by their end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from gatepost.agent.core.certificates import ValidityPeriod, validity_of
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.finding import Finding
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.secret import files_of_port

SOON = 14 * 86400.0  # seconds before its end in which a certificate should have been renewed
SHARE = 4  # of its life, for one that lives less long
NEXT = "put a renewed one in its place: the next connection takes it"
RELOAD = "put a renewed one in its place, then `gatepost reload`"
RESTART = "put a renewed one in its place, then restart the agent: it is read when the port is opened"
RENEWED = "a renewed one is on the disk: `gatepost reload` takes it over"
SERVED = {"api": "the certificate of the API", "listener": "the certificate that devices are shown"}


class CertificateInUse(NamedTuple):
    """`owner`: api, listener, `broker NAME` or `device NAME`; `kind`: server, client or authority; of an authority's
    file the one that ends last."""

    owner: str
    kind: str
    what: str
    file: str
    period: ValidityPeriod
    do: str


async def certificates_in_use(settings: Settings, status: dict[str, Any]) -> list[CertificateInUse]:
    """Those whose end is known; none where the files take too long."""
    try:
        return await off_loop("certificates", partial(lambda: list(_in_use(settings, status))))
    except OSError:
        return []


def _in_use(settings: Settings, status: dict[str, Any]) -> Iterator[CertificateInUse]:
    for name, broker in settings.brokers.items():
        tls, owner = broker.tls, f"broker {name}"
        if tls.cert and broker.active and (period := validity_of(tls.cert)):
            yield CertificateInUse(owner, "client", "the client certificate", tls.cert, period, NEXT)
        if tls.ca and broker.active and (period := validity_of(tls.ca, every=True)):
            yield CertificateInUse(owner, "authority", "the last authority in tls.ca", tls.ca, period, NEXT)
    for owner, served in (("api", settings.api.tls), ("listener", settings.listener.tls)):
        if served is not None:
            on_disk, loaded = validity_of(served.cert), (status.get(owner) or {}).get("certificate_ends")
            ends = datetime.fromisoformat(loaded).timestamp() if loaded else None
            do = RENEWED if on_disk and ends and ends < on_disk.ends else RELOAD
            period = on_disk or ValidityPeriod(0.0, 0.0)  # where none can be read, an earlier one may be in use
            if ends or on_disk:
                period = period._replace(ends=ends or period.ends)
                yield CertificateInUse(owner, "server", SERVED[owner], served.cert, period, do)
    for name, device in settings.devices.items():
        for file in files_of_port(device.port)[:1]:  # the certificate comes first
            if period := validity_of(file):
                what = "the certificate that the device is shown"
                yield CertificateInUse(f"device {name}", "server", what, file, period, RESTART)
    devices = settings.listener.tls
    if devices is not None and devices.client_ca and (period := validity_of(devices.client_ca, every=True)):
        what = "the last authority in listener.tls.client_ca"
        yield CertificateInUse("listener", "authority", what, devices.client_ca, period, RELOAD)


def of_certificates(certificates: list[CertificateInUse], now: float) -> Iterator[Finding]:
    """`now` in seconds since 1970."""
    for owner, _, what, file, period, do in certificates:
        left = period.ends - now
        if left > min(SOON, (period.ends - period.begins) / SHARE):
            continue
        about = owner if " " in owner else "gateway"
        day = datetime.fromtimestamp(period.ends, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
        why = f"{file} is valid until {day}"
        if left > 0:
            yield finding_of("certificate-ends-soon", about, f"{what} ends in {_span(left)}", why, do)
        else:
            yield finding_of("certificate-expired", about, f"{what} ended {_span(-left)} ago", why, do)


def _span(seconds: float) -> str:
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
