"""Routes of setting up and service: the agent's log, scans, tests, settings, downloads."""

from __future__ import annotations

from gatepost.agent.api.handlers import broker_test, device_test, downloads, logs, scan, settings
from gatepost.agent.api.http.router import Route, change, operate, view
from gatepost.agent.api.schemas import requests

V1 = "/api/v1"


SERVICE_ROUTES: tuple[Route, ...] = (
    view(
        f"{V1}/settings",
        settings.every,
        "The effective settings, secrets hidden; what each key means, and whether it may be changed here",
    ),
    view(
        f"{V1}/settings/schema",
        settings.schema,
        "The JSON Schema (2020-12) of a settings file; options of drivers and formats have routes of their own",
    ),
    change(
        "POST",
        f"{V1}/settings/preview",
        settings.preview,
        "What a change would make of the agent's own drop; nothing is changed",
        body=requests.SettingsChangeBody,
    ),
    change(
        "POST",
        f"{V1}/settings/apply",
        settings.apply,
        "Change settings; with `confirm` on trial: undone unless that is confirmed in time, whatever happens",
        body=requests.SettingsApplyBody,
    ),
    view(f"{V1}/settings/trial", settings.trial, "The change on trial, and how the last one ended"),
    Route(
        "POST",
        f"{V1}/settings/confirm",
        settings.confirm,
        "Keep the change that is on trial",
        body=requests.NoBody,
        role="admin",
    ),
    change("POST", f"{V1}/settings/revert", settings.revert, "Undo the change that is on trial", body=requests.NoBody),
    Route(
        "POST",
        f"{V1}/scan",
        scan.start,
        "Start a scan for devices; events `scan` tell how it goes; ports that the agent has are left alone",
        body=requests.ScanBody,
        role="admin",
        statuses=(202,),
    ),
    Route("GET", f"{V1}/scan", scan.show, "The scan that runs, or the last one", role="admin"),
    Route("DELETE", f"{V1}/scan", scan.cancel, "Cancel the scan; what it found is kept", role="admin"),
    change(
        "POST",
        f"{V1}/broker-test",
        broker_test.run,
        "Test a broker, saved or not: name, TCP, TLS, CONNECT, the rights to subscribe and publish",
        body=requests.BrokerTestBody,
    ),
    change(
        "POST",
        f"{V1}/device-test",
        device_test.run,
        "Open a device that is not saved yet, and show its first readings; nothing is stored",
        "lines: states, readings, an end",
        body=requests.DeviceTestBody,
        patient=True,
    ),
    Route(
        "GET",
        f"{V1}/backup",
        downloads.backup,
        "A backup of this gateway, as `gatepost backup` makes it; it holds secrets and readings",
        "a compressed archive",
        time=None,
        role="admin",
    ),
    Route(
        "GET",
        f"{V1}/support-bundle",
        downloads.support_bundle,
        "A support bundle, as `gatepost doctor --bundle` makes it: no secrets, no patients",
        "a compressed archive",
        time=None,
        role="admin",
    ),
    operate(
        "GET",
        f"{V1}/logs",
        logs.logs,
        "The newest lines of the agent's own log, oldest first; with `follow` live ones after them, one a line",
        query=requests.LogQuery,
        other="application/x-ndjson",
    ),
)
