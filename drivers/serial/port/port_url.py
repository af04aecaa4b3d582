"""Port URLs that may be opened: an allow list over pyserial's, some of which write files or load any class."""

from __future__ import annotations

PORT_URLS: dict[str, frozenset[str]] = {  # scheme -> the options that its query may have
    "socket": frozenset(),
    "rfc2217": frozenset({"ign_set_control", "poll_modem", "timeout"}),
    "loop": frozenset(),
    "listen": frozenset({"allow", "cert", "key", "ca"}),
    "udp": frozenset({"local"}),
}


def url_fault(port: str) -> tuple[str, str] | None:
    """Why `port` may not be opened, and what may; None for a path and for a URL of the list."""
    scheme, mark, rest = port.partition("://")
    if not mark:
        return None
    if scheme not in PORT_URLS:
        return f"{scheme[:32]}:// is not a serial port URL", "for example socket://HOST:PORT or rfc2217://HOST:PORT"
    if scheme == "listen":
        from gatepost.drivers.network.listen_address import EXAMPLE, parse_listen_address

        try:
            parse_listen_address(port)
        except ValueError as wrong:
            return str(wrong).removesuffix(f", {EXAMPLE}"), EXAMPLE
        return None
    if scheme == "udp":
        from gatepost.drivers.network.udp_address import EXAMPLE as UDP_EXAMPLE
        from gatepost.drivers.network.udp_address import parse_udp_address

        try:
            parse_udp_address(port)
        except ValueError as wrong:
            return str(wrong).removesuffix(f", {UDP_EXAMPLE}"), UDP_EXAMPLE
        return None
    options = {option.partition("=")[0] for option in rest.partition("?")[2].split("&") if option}
    unknown = min(options - PORT_URLS[scheme], default=None)
    if unknown is None:
        return None
    known = ", ".join(sorted(PORT_URLS[scheme])) or "none"
    return f"{scheme}:// takes no option {unknown[:32]!r}", f"options that may stand there: {known}"
