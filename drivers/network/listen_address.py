"""Listen addresses: `listen://HOST:PORT?allow=NETWORK,...`, with TLS by `cert=FILE&key=FILE` and, for client
certificates, `ca=FILE`. Nobody may connect whose address the list does not hold."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from gatepost.drivers.network.address_url import HostPort, split_url

SCHEME = "listen://"
QUERY = ("allow", "cert", "key", "ca")
EXAMPLE = "for example listen://0.0.0.0:2575?allow=10.1.0.0/16"


class ListenAddress(HostPort, frozen=True):
    """Address of a listener: where it listens, who may connect, and its certificate."""

    allow: tuple[str, ...]
    cert: str = ""
    key: str = ""
    ca: str = ""

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text, strict=False) for text in self.allow)


def allows(networks: tuple[IPv4Network | IPv6Network, ...], peer: str) -> bool:
    """Whether a peer's address is in one of the networks; an IPv4 address within IPv6 counts as IPv4."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def parse_listen_address(url: str) -> ListenAddress:
    """Raises ValueError with a sentence for people."""
    host, port, options = split_url(url, SCHEME, QUERY, EXAMPLE)
    allow = tuple(text.strip() for text in options.get("allow", "").split(",") if text.strip())
    if not allow:
        raise ValueError(f"nobody may connect: listen:// needs `allow` with addresses or networks, {EXAMPLE}")
    for text in allow:
        try:
            ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text[:64]!r} is not an address or a network, {EXAMPLE}") from None
    if bool(options.get("cert")) != bool(options.get("key")) or (options.get("ca") and not options.get("cert")):
        raise ValueError("TLS needs `cert` and `key`, both files; `ca` only beside them")
    tls = {name: options.get(name, "") for name in ("cert", "key", "ca")}
    return ListenAddress(host, port, allow, **tls)
