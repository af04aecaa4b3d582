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
    if scheme == "loop":
        return ("loop:// takes no options", "write loop://") if "?" in rest else None
    return _address_fault(port, scheme)


def _address_fault(url: str, scheme: str) -> tuple[str, str] | None:
    from gatepost.drivers.network import address_url, listen_address, udp_address  # loaded for such an address

    example = f"for example {scheme}://192.0.2.5:4001"
    try:
        if scheme == "listen":
            example = listen_address.EXAMPLE
            listen_address.parse_listen_address(url)
        elif scheme == "udp":
            example = udp_address.EXAMPLE
            udp_address.parse_udp_address(url)
        else:
            address_url.split_url(url, f"{scheme}://", PORT_URLS[scheme], example)
    except ValueError as wrong:
        return str(wrong).removesuffix(f", {example}"), example
    return None
