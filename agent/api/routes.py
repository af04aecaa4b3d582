"""The route table: everything that is served, as data. Paths are tried in this order.

Roles: `viewer` sees, `operator` also makes things happen, `admin` also changes settings and tokens.
"""

from __future__ import annotations

from agent.api import asked
from agent.api.handlers import brokers, commands, devices, gateway, log, readings, recording
from agent.api.router import Route

V1 = "/api/v1"
COMMAND_TIME = 330.0  # seconds: the desk has limits of its own, this is the last resort

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", gateway.health, "Whether the agent answers", '{"status": "ok"}', role="open"),
    Route(
        "GET",
        "/health/detailed",
        gateway.health_detailed,
        "Every part with its state",
        '{"status": "ok" or "degraded", "parts": {"store", "clock", "devices", "brokers"}}',
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/status",
        gateway.status,
        "What runs, and how it is",
        "gateway, uptime, clock, store, devices, brokers, settings",
        role="viewer",
    ),
    Route("GET", f"{V1}/stats", gateway.stats, "Counts and rates", "uptime, store, devices, brokers", role="viewer"),
    Route(
        "GET",
        f"{V1}/settings",
        gateway.settings,
        "The effective settings, secrets hidden",
        '{"settings": [{"key", "value", "origin": "file:line:column" or "default"}]}',
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/doctor",
        gateway.doctor,
        "What is the matter, and why something is not upstream yet",
        '{"findings": [{"severity", "about", "what", "why", "do"}]}',
        role="viewer",
    ),
    Route(
        "POST",
        f"{V1}/reload",
        gateway.reload,
        "Read the settings again, apply what changed",
        '{"applied", "changed", "problems"}',
        body=asked.NoBody,
        time=60.0,
        role="operator",
    ),
    Route(
        "POST",
        f"{V1}/gateway/command",
        commands.to_gateway,
        "A command for the gateway, through the desk",
        "the command's response",
        body=asked.CommandBody,
        time=COMMAND_TIME,
        role="operator",
    ),
    Route("GET", f"{V1}/brokers", brokers.every, "Brokers with their settings", '{"brokers": [...]}', role="viewer"),
    Route(
        "GET", f"{V1}/brokers/status", brokers.states, "The state of each broker", '{"brokers": [...]}', role="viewer"
    ),
    Route(
        "GET",
        f"{V1}/brokers/{{name}}",
        brokers.one,
        "One broker",
        "its state, settings and what it is owed",
        role="viewer",
    ),
    Route(
        "POST",
        f"{V1}/brokers/{{name}}/control",
        brokers.control,
        "Connect or disconnect a broker",
        "its state",
        body=asked.Control,
        role="operator",
    ),
    Route("GET", f"{V1}/devices", devices.every, "The devices", '{"devices": [...]}', role="viewer"),
    Route(
        "GET",
        f"{V1}/devices/{{id}}",
        devices.one,
        "One device",
        "its state and the commands that it understands",
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/devices/{{id}}/data",
        readings.of_device,
        "Stored readings of a device, newest first",
        '{"readings": [...], "cursor": for the next page, or null}',
        query=asked.History,
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/devices/{{id}}/raw",
        recording.of_device,
        "What is heard from a device and said to it, as a recording, until the client leaves",
        "the lines of a recording (docs/drivers.md)",
        time=None,
        role="operator",
    ),
    Route(
        "POST",
        f"{V1}/devices/{{id}}/command",
        commands.to_device,
        "A command for a device, through the desk",
        "the command's response",
        body=asked.CommandBody,
        time=COMMAND_TIME,
        role="operator",
    ),
    Route(
        "GET",
        f"{V1}/devices/{{id}}/commands",
        commands.of_device,
        "The ledger of a device's commands, newest first",
        '{"commands": [...], "cursor": for the next page, or null}',
        query=asked.LedgerPage,
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/readings",
        readings.of_all,
        "Stored readings of all devices, newest first",
        '{"readings": [...], "cursor": for the next page, or null}',
        query=asked.AllHistory,
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/readings/follow",
        readings.follow,
        "Readings as they are taken, one JSON object a line, until the client leaves",
        'readings; {"lost": count} where the client was too slow',
        query=asked.Follow,
        role="viewer",
    ),
    Route("GET", f"{V1}/backlog", log.backlog, "What each broker is still owed", '{"backlog": [...]}', role="viewer"),
    Route(
        "GET", f"{V1}/gaps", log.gaps, "What was lost, when and why", '{"gaps": [...]}', query=asked.Page, role="viewer"
    ),
    Route(
        "GET",
        f"{V1}/dead-letters",
        log.dead_letters,
        "What brokers refused for good",
        '{"dead_letters": [...]}',
        query=asked.DeadLetterPage,
        role="viewer",
    ),
    Route(
        "GET",
        f"{V1}/audit",
        log.audit,
        "What was decided, newest first",
        '{"audit": [...], "cursor": for the next page, or null}',
        query=asked.AuditPage,
        role="operator",
    ),
)
