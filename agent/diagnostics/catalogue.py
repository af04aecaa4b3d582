"""Catalogue of diagnostic checks: a stable id and a severity for each; docs/operations.md explains every id."""

from __future__ import annotations

from gatepost.agent.diagnostics.finding import Finding, Severity

_IDS: dict[Severity, str] = {
    "problem": """
        agent-unreachable api-not-served broker-blocked broker-refused broker-unreachable broker-unsteady
        certificate-expired database-damaged database-newer device-absent device-error device-silent disk-full
        disk-unreadable listener-not-served log-damaged port-unreadable port-wrong settings-error settings-last-good
        settings-refused store-failing store-full
    """,
    "warning": """
        broker-dead-letters broker-subscription-refused certificate-ends-soon clock-unsynchronised
        desired-state-not-applied device-misunderstood device-no-reading device-no-token device-quiet disk-low
        port-forbidden port-missing readings-lost settings-on-trial settings-warning store-repaired
    """,
    "note": """
        broker-backlog broker-disconnected database-in-use database-missing database-unreadable
        device-not-reporting no-broker no-device
    """,
}
CATALOGUE: dict[str, Severity] = {ident: severity for severity, ids in _IDS.items() for ident in ids.split()}


def finding_of(ident: str, about: str, what: str, why: str = "", do: str = "") -> Finding:
    """The finding of the check `ident`."""
    return Finding(CATALOGUE[ident], about, what, why, do, ident)
