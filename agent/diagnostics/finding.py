"""Finding of a check: the problem, its cause, and what to do. The API and the command line share it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Severity = Literal["problem", "warning", "note"]
ORDER: tuple[Severity, ...] = get_args(Severity)


class Finding(msgspec.Struct, frozen=True):
    """`about`: gateway, clock, disk, store, settings, `device NAME`, `broker NAME`. Without secrets and patients.

    `id` is that of the check in the catalogue."""

    severity: Severity
    about: str
    what: str
    why: str = ""
    do: str = ""
    id: str = ""


def by_weight(findings: list[Finding]) -> list[Finding]:
    """Problems first; the order within is kept."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def space(octets: int) -> str:
    """9123456789 -> `9123 MB`; what is little in kB, so that it is not told as 0."""
    return f"{octets // 1_000_000} MB" if octets >= 10_000_000 else f"{octets // 1000} kB"


def readings(number: int) -> str:
    return "1 reading" if number == 1 else f"{number} readings"
