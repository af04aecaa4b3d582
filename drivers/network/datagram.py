"""Datagram: octets that came as one, for decoders that also take a stream of them."""


class Datagram(bytes):
    """One datagram of UDP."""
