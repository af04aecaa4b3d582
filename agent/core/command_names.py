"""Names of the gateway's own commands, and of those that every device has (docs/commands.md)."""

from __future__ import annotations

from enum import StrEnum


class GatewayCommandName(StrEnum):
    PING = "ping"
    STATUS = "status"
    RELOAD = "reload"
    SET_LOG_LEVEL = "set_log_level"
    CONNECT_BROKER = "connect_broker"
    DISCONNECT_BROKER = "disconnect_broker"
    RESEND = "resend"
    ASSIGN_PATIENT = "assign_patient"


class DeviceCommandName(StrEnum):
    STATUS = "status"
    READ_NOW = "read_now"
    START_MONITORING = "start_monitoring"
    STOP_MONITORING = "stop_monitoring"
    SET_INTERVAL = "set_interval"
