from __future__ import annotations

from typing import get_type_hints

import msgspec
import pytest

from gatepost.agent.api.routes import ROUTES, document_routes
from gatepost.agent.api.schemas.openapi import PARAMETER, WITHOUT, document, reply_types
from gatepost.agent.core.views import PAYLOAD_MEMBERS, BrokerView, DeviceView, ReadingPayload
from gatepost.agent.settings.model import ApiSettings

EVERY = (*ROUTES, *document_routes())
TOLD = [route for route in EVERY if route.path not in WITHOUT]
STREAMS = ("follow", "raw", "/metrics", "/backup", "/support-bundle")
FIXED = [route for route in TOLD if route.method == "GET" and not route.path.endswith(STREAMS)]


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.fixture(scope="module")
def api():
    return document(EVERY)


def test_every_route_is_in_it_with_its_role(api):
    for route in TOLD:
        operation = api["paths"][PARAMETER.sub(r"{\1}", route.path)][route.method.lower()]
        assert (operation.get("security") == []) is (route.role == "open")
        assert {"401", "403", "429", "500"} <= set(operation["responses"])


def test_every_handler_declares_its_answer():
    """A schema of named members; streams and texts have none."""
    without = {route.path for route in TOLD if not reply_types(route)}
    streams = {"devices/{id}/raw", "readings/follow", "device-test", "backup", "support-bundle"}
    assert without == {"/metrics", *(f"/api/v1/{path}" for path in streams)}
    free = {route.path for route in TOLD if str(reply_types(route)[:1]).startswith(("[dict", "[<class 'dict'"))}
    assert free == {"/openapi.json"}


@pytest.mark.parametrize("view", [DeviceView, BrokerView, ReadingPayload])
def test_every_member_is_described(api, view):
    described = api["components"]["schemas"][view.__name__]["properties"]
    assert set(described) == set(get_type_hints(view))


def test_references_lead_somewhere_and_names_are_used_once(api):
    for reference in references(api):
        assert reference.rpartition("/")[2] in api["components"]["schemas"]
    names = [operation["operationId"] for path in api["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    assert not [name for name in api["components"]["schemas"] if "." in name]


@pytest.mark.parametrize("route", FIXED, ids=lambda route: route.path)
async def test_answers_are_as_they_are_told(app, http, route):
    await app.take()
    app.store.lost("oximeter-1", 5, "queue-full")
    app.settings = msgspec.structs.replace(app.settings, api=ApiSettings(default_broker="hospital"))
    app.audit.record("command", id="1")
    path = route.path.replace("/brokers/{id}", "/brokers/1")
    path = (
        path.replace("{name}", "hospital")
        .replace("{id}", "oximeter-1")
        .replace("{driver}", "lines")
        .replace("{format}", "senml")
    )
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    kind = reply_types(route)[0]
    msgspec.convert(answer.json(), kind)
    if hasattr(kind, "__annotations__"):
        assert set(answer.json()) <= set(get_type_hints(kind))


async def test_a_reading_has_no_member_but_the_listed_ones_and_its_values(app, http):
    await app.take(spo2=97)
    answer = await http.get("/api/v1/readings")
    assert set(answer.json()["readings"][0]) - PAYLOAD_MEMBERS == {"spo2"}


@pytest.mark.parametrize("path", ["/docs", "/static/docs.js", "/static/docs.css"])
async def test_the_page_for_people_comes_from_here_alone(remote, path):
    answer = await remote.http.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


async def test_the_document_is_made_once_since_everybody_may_ask(remote, monkeypatch):
    first = await remote.http.get("/openapi.json")
    monkeypatch.delattr("gatepost.agent.api.schemas.openapi.document")
    assert (await remote.http.get("/openapi.json")).content == first.content


async def test_the_document_is_served_to_everybody(remote):
    answer = await remote.http.get("/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
