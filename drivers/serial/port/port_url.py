"""Port URLs that may be opened: an allow list over pyserial's, some of which write files or load any class."""

from __future__ import annotations

PORT_URLS: dict[str, frozenset[str]] = {  # scheme -> the options that its query may have
    "socket": frozenset(),
    "rfc2217": frozenset({"ign_set_control", "poll_modem", "timeout"}),
    "loop": frozenset(),
    "listen": frozenset(),  # its own parser knows them, as that of udp does
    "udp": frozenset(),
}


def url_fault(port: str) -> tuple[str, str] | None:
    """Why `port` may not be opened, and what may; None for a path and for a URL of the list."""
    scheme, mark, rest = port.partition("://")
    if not mark:
        return None
    if scheme not in PORT_URLS:
        return f"{scheme[:32]}:// is not a serial port URL", "for example socket://HOST:PORT or rfc2217://HOST:PORT"
    if scheme in ("listen", "udp"):
        return _address_fault(port, scheme)
    options = {option.partition("=")[0] for option in rest.partition("?")[2].split("&") if option}
    unknown = min(options - PORT_URLS[scheme], default=None)
    if unknown is None:
        return None
    known = ", ".join(sorted(PORT_URLS[scheme])) or "none"
    return f"{scheme}:// takes no option {unknown[:32]!r}", f"options that may stand there: {known}"


def _address_fault(url: str, scheme: str) -> tuple[str, str] | None:
    from gatepost.drivers.network import listen_address, udp_address  # loaded where a device has such an address

    example = (listen_address if scheme == "listen" else udp_address).EXAMPLE
    try:
        (listen_address.parse_listen_address if scheme == "listen" else udp_address.parse_udp_address)(url)
    except ValueError as wrong:
        return str(wrong).removesuffix(f", {example}"), example
    return None
