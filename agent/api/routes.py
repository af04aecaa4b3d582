"""Route table: everything that is served, as data. Paths are tried in this order.

Roles: `viewer` sees, `operator` also makes things happen, `admin` also changes settings and tokens.
"""

from __future__ import annotations

from functools import partial

from gatepost.agent.api.access_routes import ACCESS_ROUTES
from gatepost.agent.api.carried_routes import CARRIED_ROUTES
from gatepost.agent.api.handlers import (
    brokers,
    commands,
    devices,
    docs,
    drivers,
    formats,
    gateway,
    listener,
    messages,
    metrics,
    readings,
    recording,
    store_log,
    web_page,
)
from gatepost.agent.api.http.router import CHANGE_TIME, LateRoutes, Route, change, operate, view
from gatepost.agent.api.schemas import requests
from gatepost.agent.api.service_routes import SERVICE_ROUTES
from gatepost.agent.api.websocket import endpoint
from gatepost.agent.api.websocket.event_filter import ListenQuery

V1 = "/api/v1"
COMMAND_TIME = 330.0  # seconds: commands have limits of their own, this is the last resort

command = partial(Route, "POST", role="operator", time=COMMAND_TIME, body=requests.CommandBody, statuses=(200, 202))

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", web_page.index, "The web page", role="open"),
    Route("GET", "/static/{file:path}", web_page.static, "A file of the web page", role="open"),
    Route("GET", "/docs", docs.docs, "This description for people", role="open"),
    Route("GET", "/openapi.json", docs.openapi, "This description for programs: OpenAPI 3.1", role="open"),
    Route("GET", "/health", gateway.health, "Whether the agent answers", role="open"),
    view(
        "/ws",
        endpoint.listen,
        "Live events over WebSocket; an answer of HTTP only where it cannot be opened",
        query=ListenQuery,
        patient=True,
    ),
    view("/health/detailed", gateway.health_detailed, "Every part with its state"),
    view("/metrics", metrics.scrape, "For Prometheus: store, devices, brokers, process", "text/plain; version=0.0.4"),
    view(f"{V1}/status", gateway.status, "What runs, and how it is"),
    view(f"{V1}/stats", gateway.stats, "Counts and rates"),
    view(f"{V1}/doctor", gateway.doctor, "Findings: what is wrong, why, and why readings are not upstream yet"),
    Route(
        "POST",
        f"{V1}/reload",
        gateway.reload,
        "Read the settings again, apply what changed",
        body=requests.NoBody,
        time=CHANGE_TIME,
        role="operator",
    ),
    command(f"{V1}/gateway/command", commands.to_gateway, "A command for the gateway, checked as over MQTT"),
    view(f"{V1}/brokers", brokers.every, "Brokers with their settings"),
    view(f"{V1}/brokers/status", brokers.states, "The state of each broker"),
    operate(
        "GET",
        f"{V1}/brokers/discovered",
        brokers.discovered,
        "Brokers that announce themselves on the local network (DNS-SD)",
    ),
    view(f"{V1}/brokers/{{name}}", brokers.one, "One broker"),
    change(
        "POST",
        f"{V1}/brokers",
        brokers.create,
        "Add a broker; kept over restarts",
        body=requests.NewBroker,
        statuses=(201,),
    ),
    change(
        "PUT",
        f"{V1}/brokers/{{name}}",
        brokers.replace,
        "Add a broker, or replace all of its settings",
        body=requests.BrokerBody,
        statuses=(200, 201),
    ),
    change(
        "DELETE", f"{V1}/brokers/{{name}}", brokers.remove, "Remove a broker; what it was owed is not sent any more"
    ),
    operate(
        "POST",
        f"{V1}/brokers/{{name}}/control",
        brokers.control,
        "Connect or disconnect a broker",
        body=requests.BrokerControl,
    ),
    view(f"{V1}/devices", devices.every, "The devices"),
    view(f"{V1}/devices/{{id}}", devices.one, "One device"),
    change(
        "POST",
        f"{V1}/devices",
        devices.create,
        "Register a device; kept over restarts",
        body=requests.NewDevice,
        statuses=(201,),
    ),
    change(
        "PUT",
        f"{V1}/devices/{{id}}",
        devices.replace,
        "Register a device, or replace all of its settings",
        body=requests.DeviceBody,
        statuses=(200, 201),
    ),
    change("DELETE", f"{V1}/devices/{{id}}", devices.remove, "Remove a device; its readings are kept"),
    view(f"{V1}/drivers", drivers.every, "The installed drivers"),
    view(f"{V1}/drivers/{{driver}}", drivers.one, "One driver"),
    view(f"{V1}/formats", formats.every, "The payload formats that brokers can be given"),
    view(f"{V1}/formats/{{format}}", formats.one, "One payload format"),
    view(f"{V1}/commands", commands.of_all, "The ledger of all commands, newest first", query=requests.LedgerQuery),
    view(
        f"{V1}/devices/{{id}}/data",
        readings.of_device,
        "Stored readings of a device, newest first; with `resolution` curves of least, most, mean and last",
        query=requests.DeviceHistoryQuery,
        patient=True,
        other="text/csv",
    ),
    Route(
        "GET",
        f"{V1}/devices/{{id}}/raw",
        recording.of_device,
        "What is heard from a device and said to it, as a recording, until the client leaves",
        "the lines of a recording (docs/drivers.md)",
        time=None,
        role="operator",
        patient=True,
    ),
    command(f"{V1}/devices/{{id}}/command", commands.to_device, "A command for a device, checked as over MQTT"),
    view(
        f"{V1}/devices/{{id}}/commands",
        commands.of_device,
        "The ledger of a device's commands, newest first",
        query=requests.LedgerQuery,
        patient=True,
    ),
    view(
        f"{V1}/readings",
        readings.of_all,
        "Stored readings of all devices, newest first",
        query=requests.AllHistoryQuery,
        patient=True,
        other="text/csv",
    ),
    view(
        f"{V1}/readings/follow",
        readings.follow,
        "Readings as they are taken, one JSON object a line, until the client leaves",
        'readings; {"lost": count} where the client was too slow',
        query=requests.FollowQuery,
        patient=True,
    ),
    operate("POST", f"{V1}/publish", messages.publish, "Publish a message through a broker", body=requests.PublishBody),
    operate(
        "POST",
        f"{V1}/broadcast",
        messages.broadcast,
        "A command for every gateway of the organization",
        body=requests.BroadcastBody,
    ),
    view(f"{V1}/subscriptions", messages.subscriptions, "The topics that are followed"),
    operate(
        "POST",
        f"{V1}/subscriptions",
        messages.subscribe,
        "Follow a topic; kept over restarts",
        body=requests.SubscriptionBody,
        statuses=(200, 201),
    ),
    operate(
        "DELETE",
        f"{V1}/subscriptions/{{topic:path}}",
        messages.unsubscribe,
        "Unsubscribe from a topic",
        query=requests.BrokerQuery,
    ),
    view(
        f"{V1}/messages",
        messages.messages,
        "Messages on followed topics and published ones, newest first",
        query=requests.MessageQuery,
        patient=True,
    ),
    view(f"{V1}/topics", messages.topics, "The topics seen, the last one first", query=requests.TopicQuery),
    view(f"{V1}/backlog", store_log.backlog, "What each broker is still owed"),
    view(f"{V1}/gaps", store_log.gaps, "What was lost, when and why", query=requests.PageQuery),
    operate("POST", f"{V1}/gaps/seen", store_log.gaps_seen, "A loss of stored readings was seen: health is `ok` again"),
    view(
        f"{V1}/dead-letters",
        store_log.dead_letters,
        "What brokers refused for good",
        query=requests.DeadLetterQuery,
        patient=True,
    ),
    operate("GET", f"{V1}/audit", store_log.audit, "What was decided, newest first", query=requests.AuditQuery),
    view(f"{V1}/listener", listener.show, "Devices that speak MQTT"),
    Route(
        "GET",
        f"{V1}/listener/refused",
        listener.refused,
        "Their newest messages that were not taken, and why",
        role="operator",
        patient=True,
    ),
    operate("DELETE", f"{V1}/listener/clients/{{device}}", listener.hang_up, "End its connections"),
    *CARRIED_ROUTES,
    *SERVICE_ROUTES,
    *ACCESS_ROUTES,
)


def document_routes() -> tuple[Route, ...]:
    """Routes of the documents; those of this table come first."""
    from gatepost.agent.api.documents import broker_registry, device_registry, message_service, mqtt_service

    routes = (*broker_registry.ROUTES, *message_service.ROUTES, *device_registry.ROUTES, *mqtt_service.ROUTES)
    return tuple(route._replace(tag="documents") for route in routes)


DOCUMENTS = LateRoutes(
    ("/api/mqtt-brokers/", "/publish", "/subscribe", "/messages", "/topics", "/stats", "/devices/", "/ws/", "/mqtt/"),
    document_routes,
)
