"""Catalogue of diagnostic checks: a stable id and a severity for each; docs/operations.md explains every id."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.agent.diagnostics.finding import Finding, Severity


class DiagnosticCheck(NamedTuple):
    """`found` makes its finding."""

    id: str
    severity: Severity

    def found(self, about: str, what: str, why: str = "", do: str = "") -> Finding:
        return Finding(self.severity, about, what, why, do, self.id)


AGENT_UNREACHABLE = DiagnosticCheck("agent-unreachable", "problem")
API_NOT_SERVED = DiagnosticCheck("api-not-served", "problem")
BROKER_BACKLOG = DiagnosticCheck("broker-backlog", "note")
BROKER_DEAD_LETTERS = DiagnosticCheck("broker-dead-letters", "warning")
BROKER_DISCONNECTED = DiagnosticCheck("broker-disconnected", "note")
BROKER_REFUSED = DiagnosticCheck("broker-refused", "problem")
BROKER_UNREACHABLE = DiagnosticCheck("broker-unreachable", "problem")
CLOCK_UNSYNCHRONISED = DiagnosticCheck("clock-unsynchronised", "warning")
DATABASE_DAMAGED = DiagnosticCheck("database-damaged", "problem")
DATABASE_IN_USE = DiagnosticCheck("database-in-use", "note")
DATABASE_MISSING = DiagnosticCheck("database-missing", "note")
DATABASE_UNREADABLE = DiagnosticCheck("database-unreadable", "note")
DEVICE_ABSENT = DiagnosticCheck("device-absent", "warning")
DEVICE_ERROR = DiagnosticCheck("device-error", "problem")
DEVICE_MISUNDERSTOOD = DiagnosticCheck("device-misunderstood", "warning")
DEVICE_NO_READING = DiagnosticCheck("device-no-reading", "warning")
DEVICE_NOT_REPORTING = DiagnosticCheck("device-not-reporting", "note")
DEVICE_QUIET = DiagnosticCheck("device-quiet", "warning")
DEVICE_SILENT = DiagnosticCheck("device-silent", "warning")
DISK_FULL = DiagnosticCheck("disk-full", "problem")
DISK_LOW = DiagnosticCheck("disk-low", "warning")
DISK_UNREADABLE = DiagnosticCheck("disk-unreadable", "problem")
NO_BROKER = DiagnosticCheck("no-broker", "note")
NO_DEVICE = DiagnosticCheck("no-device", "note")
PORT_FORBIDDEN = DiagnosticCheck("port-forbidden", "warning")
PORT_MISSING = DiagnosticCheck("port-missing", "warning")
PORT_UNREADABLE = DiagnosticCheck("port-unreadable", "problem")
PORT_WRONG = DiagnosticCheck("port-wrong", "problem")
READINGS_LOST = DiagnosticCheck("readings-lost", "warning")
SETTINGS_ERROR = DiagnosticCheck("settings-error", "problem")
SETTINGS_LAST_GOOD = DiagnosticCheck("settings-last-good", "problem")
SETTINGS_REFUSED = DiagnosticCheck("settings-refused", "problem")
SETTINGS_WARNING = DiagnosticCheck("settings-warning", "warning")
STORE_FAILING = DiagnosticCheck("store-failing", "problem")
STORE_FULL = DiagnosticCheck("store-full", "problem")
STORE_REPAIRED = DiagnosticCheck("store-repaired", "warning")

CATALOGUE = {check.id: check for check in tuple(globals().values()) if isinstance(check, DiagnosticCheck)}
