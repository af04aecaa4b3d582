"""Brokers and devices made, changed and removed through the API of a real agent."""

from __future__ import annotations

import asyncio

import pytest

from gatepost.agent.settings import resolve_secret
from tests.api.real import running, written

NOWHERE, OTHER = "mqtt://127.0.0.1:9", "mqtt://127.0.0.1:10"


def device(port="/dev/ttyX0", **more):
    return {"driver": "lines", "port": port, "options": {"format": "json"}, **more}


def files(tmp_path):
    """All that may not change when a change is refused."""
    return {path: path.read_bytes() for path in (tmp_path / "state" / "conf.d").glob("*")}


async def test_a_broker_is_added_changed_and_removed_and_a_restart_keeps_it(tmp_path):
    config = written(tmp_path)
    before = config.read_bytes()
    async with running(config) as (app, http):
        answer = await http.post("brokers", json={"name": "lab", "url": NOWHERE, "keepalive": "10s", "active": False})
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == "/api/v1/brokers/lab"
        assert answer.json()["configured"] == {"url": NOWHERE, "keepalive": "10s", "active": False}
        assert answer.json()["origin"] == "api"
        assert [view.name for view in app.brokers.views()] == ["lab"]
        assert (await http.post("brokers", json={"name": "lab", "url": NOWHERE})).status_code == 409
        answer = await http.put("brokers/lab", json={"url": NOWHERE, "active": False, "qos": 2})
        assert (answer.status_code, answer.json()["configured"]) == (200, {"url": NOWHERE, "qos": 2, "active": False})
        assert ((tmp_path / "state" / "conf.d" / "60-api.yaml").stat().st_mode & 0o777) == 0o600
    async with running(config) as (app, http):
        assert app.current.settings.brokers["lab"].qos == 2
        assert app.current.settings.brokers["lab"].keepalive == 30.0
        assert (await http.delete("brokers/lab")).json() == {"name": "lab", "removed": True}
        assert (await http.get("brokers/lab")).status_code == 404
        assert (await http.delete("brokers/lab")).status_code == 404
        assert files(tmp_path) == {}
    assert config.read_bytes() == before


async def test_a_device_is_registered_routed_and_removed(tmp_path):
    brokers = {"a": {"url": NOWHERE, "active": False}, "b": {"url": OTHER, "active": False}}
    config = written(tmp_path, brokers=brokers)
    async with running(config) as (app, http):
        body = {"device_id": "cuff-3", **device(patient="P-007", brokers=["a"], thresholds={"t": {"max": 40}})}
        body["type"] = body.pop("driver")
        answer = await http.post("devices", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["configured"] == device(patient="***", brokers=["a"], thresholds={"t": {"max": 40.0}})
        assert "P-007" not in answer.text
        assert app.current.settings.devices["cuff-3"].patient == "P-007"
        again = {**answer.json()["configured"], "brokers": ["a", "b"]}
        assert (await http.put("devices/cuff-3", json=again)).status_code == 200
    async with running(config) as (app, http):
        assert app.current.settings.devices["cuff-3"].brokers == ["a", "b"]
        assert app.current.settings.devices["cuff-3"].patient == "P-007"
        refused = await http.delete("brokers/b")
        assert (refused.status_code, refused.json()["error"]["key"]) == (409, "still-needed")
        assert "devices.cuff-3.brokers" in refused.json()["error"]["message"]
        assert (await http.delete("devices/cuff-3")).status_code == 200
        assert app.devices.views() == []


async def test_what_a_users_file_says_is_overridden_and_the_file_stays(tmp_path):
    users = {"url": NOWHERE, "username": "u", "password": "open-sesame", "active": False, "tls": {"verify": False}}
    config = written(tmp_path, brokers={"h": users})
    before = config.read_bytes()
    async with running(config) as (app, http):
        found = (await http.get("brokers/h")).json()
        assert (found["origin"], found["configured"]["password"]) == ("files", "***")
        answer = await http.put("brokers/h", json={"url": NOWHERE, "password": "***", "active": False})
        assert answer.json()["origin"] == "override"
        assert app.current.settings.brokers["h"].password == "open-sesame"
        assert app.current.settings.brokers["h"].username is None
        assert app.current.settings.brokers["h"].tls.verify is True
        new = {"url": NOWHERE, "active": False, "password": "other-words"}
        answer = await http.put("brokers/h", json=new)
        assert "other-words" not in answer.text
        answer = await http.put("brokers/h", json={**new, "password": "***"})
        assert resolve_secret(app.current.settings.brokers["h"].password, {}) == "other-words"
        (secret,) = (tmp_path / "state" / "secrets").iterdir()
        assert (secret.stat().st_mode & 0o777, secret.read_text()) == (0o600, "other-words")
        assert all(b"other-words" not in content for content in files(tmp_path).values())
        assert (await http.delete("brokers/h")).status_code == 200
        assert "h" not in app.current.settings.brokers
        assert list((tmp_path / "state" / "secrets").iterdir()) == []
    async with running(config) as (app, http):
        assert app.current.settings.brokers == {}
        assert (await http.post("brokers", json={"name": "h", "url": NOWHERE, "active": False})).status_code == 201
        assert app.current.settings.brokers["h"].password is None
    assert config.read_bytes() == before


WRONG = [
    ("post", "brokers", {"name": "n", "url": "mqtt://"}, "settings-wrong", "brokers.n.url"),
    ("post", "brokers", {"name": "n", "url": OTHER, "keepalive": "ten"}, "settings-wrong", "brokers.n.keepalive"),
    ("post", "brokers", {"name": "n", "url": OTHER, "nonsense": 1}, "settings-wrong", "brokers.n.nonsense"),
    ("post", "brokers", {"name": "n", "url": NOWHERE, "password": "***"}, "bad-input", None),
    ("post", "brokers", {"name": "status", "url": NOWHERE}, "bad-input", None),
    ("post", "brokers", {"name": "a b", "url": NOWHERE}, "bad-input", None),
    ("post", "brokers", {"url": NOWHERE}, "bad-input", None),
    ("put", "brokers/a%20b", {"url": NOWHERE}, "bad-input", None),
    ("put", "brokers/h", {"url": NOWHERE, "qos": 3}, "settings-wrong", "brokers.h.qos"),
    ("post", "devices", {"device_id": "d"}, "settings-wrong", "devices.d.driver"),
    ("post", "devices", {"device_id": "d", **device(), "driver": "no-such"}, "settings-wrong", "devices.d.driver"),
    ("post", "devices", {"device_id": "d", **device(brokers=["x"])}, "settings-wrong", "devices.d.brokers.0"),
    ("post", "devices", {"device_id": "d", **device("/dev/ttyX1")}, "settings-wrong", "devices.d.port"),
    ("post", "devices", {"device_id": "d", "driver": "lines", "type": "lines"}, "bad-input", None),
    ("put", "devices/one", {"device_id": "two", **device()}, "bad-input", None),
    ("put", "devices/one", device(baudrate="quick"), "settings-wrong", "devices.one.baudrate"),
]


@pytest.mark.parametrize(("method", "route", "body", "key", "where"), WRONG)
async def test_what_is_wrong_is_refused_with_its_key_and_changes_nothing(tmp_path, method, route, body, key, where):
    config = written(tmp_path, brokers={"h": {"url": NOWHERE, "active": False}}, devices={"one": device("/dev/ttyX1")})
    async with running(config) as (app, http):
        settings, origins, before = app.current.settings, dict(app.current.origins), files(tmp_path)
        answer = await http.request(method, route, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["key"], error.get("where")) == (422, key, where), answer.text
        assert app.current.settings is settings
        assert dict(app.current.origins) == origins
        assert files(tmp_path) == before
        assert list((tmp_path / "state").glob(".try-*")) == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b'{"url": ' + b"[" * 100_000, b"x" * (1 << 20 | 1)])
async def test_a_body_that_is_no_object_of_settings_is_refused(tmp_path, body):
    async with running(written(tmp_path)) as (app, http):
        answer = await http.put("brokers/n", content=body)
        assert answer.status_code in (413, 422), answer.text
        assert app.current.settings.brokers == {}
        assert files(tmp_path) == {}


async def test_a_change_upon_an_old_state_is_refused(tmp_path):
    config = written(tmp_path, brokers={"h": {"url": NOWHERE, "active": False}})
    async with running(config) as (app, http):
        etag = (await http.get("brokers/h")).headers["etag"]
        body = {"url": NOWHERE, "active": False, "window": 7}
        first = await http.put("brokers/h", json=body, headers={"if-match": etag})
        assert first.status_code == 200
        assert first.headers["etag"] != etag
        for late in (
            http.put("brokers/h", json={**body, "window": 9}, headers={"if-match": etag}),
            http.put("brokers/h", json={**body, "window": 9}, headers={"if-none-match": "*"}),
            http.put("brokers/x", json=body, headers={"if-match": "*"}),
            http.delete("brokers/h", headers={"if-match": etag}),
        ):
            answer = await late
            assert (answer.status_code, answer.json()["error"]["key"]) == (412, "precondition-failed")
        assert app.current.settings.brokers["h"].window == 7
        assert list(app.current.settings.brokers) == ["h"]


async def test_settings_that_fail_when_they_are_applied_are_taken_back(tmp_path, monkeypatch):
    async with running(written(tmp_path)) as (app, http):
        whole = app.brokers.apply

        async def fails(brokers, reports_to, rooms):
            if "n" in brokers:
                raise ValueError("no")
            return await whole(brokers, reports_to, rooms)

        monkeypatch.setattr(app.brokers, "apply", fails)
        answer = await http.post("brokers", json={"name": "n", "url": NOWHERE})
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "brokers.n")
        assert app.current.settings.brokers == {}
        assert files(tmp_path) == {}
        assert app.report.status()["settings"]["problems"] == []


async def test_changes_at_the_same_time_are_all_kept(tmp_path):
    async with running(written(tmp_path)) as (app, http):
        made = [http.put(f"devices/d{n}", json=device(f"/dev/ttyX{n}")) for n in range(6)]
        assert [answer.status_code for answer in await asyncio.gather(*made)] == [201] * 6
        assert sorted(app.current.settings.devices) == [f"d{n}" for n in range(6)]


async def test_files_with_errors_come_first(tmp_path):
    config = written(tmp_path)
    async with running(config) as (_, http):
        config.write_text(config.read_text() + "nonsense: 1\n")
        answer = await http.put("brokers/n", json={"url": NOWHERE})
        assert answer.status_code == 409, answer.text
        assert files(tmp_path) == {}


async def test_a_patient_is_assigned_to_a_device_that_the_api_registered(tmp_path):
    config = written(tmp_path)
    async with running(config) as (app, http):
        await http.put("devices/one", json=device())
        order = {"command": "assign_patient", "parameters": {"device": "one", "patient": "P-9"}}
        answer = await http.post("gateway/command", json=order)
        assert answer.json()["status"] == "done", answer.text
        assert app.current.settings.devices["one"].patient == "P-9"
    async with running(config) as (app, http):
        assert app.current.settings.devices["one"].patient == "P-9"


TLS = "mqtts://127.0.0.1:9"


def secrets_in(directory, tmp_path):
    return {"socket": str(tmp_path / "api.sock"), "listen": None, "secret_dirs": [str(directory)]}


@pytest.mark.parametrize(
    "change",
    [
        {"url": OTHER},
        {"url": NOWHERE, "failover": [OTHER]},
        {"url": "mqtt://evil.example:9"},
        {"url": "ws://127.0.0.1:9"},
        {"url": TLS},
    ],
)
@pytest.mark.parametrize("kept", ["***", {"env": "HOSPITAL"}, {"file": "/nowhere/hospital"}])
async def test_a_secret_that_is_kept_goes_to_no_other_address(tmp_path, change, kept):
    password = "open-sesame" if kept == "***" else kept
    config = written(tmp_path, brokers={"h": {"url": NOWHERE, "password": password, "active": False}})
    async with running(config) as (app, http):
        body = {"active": False, "password": kept}
        answer = await http.put("brokers/h", json={**change, **body})
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "brokers.h.password")
        assert app.current.settings.brokers["h"].url == NOWHERE
        assert (await http.put("brokers/h", json={"url": NOWHERE, "label": "x", **body})).status_code == 200
        assert (await http.put("brokers/h", json={**change, **body, "password": "typed"})).status_code == 200


@pytest.mark.parametrize("tls", [{"verify": False}, {"ca": "{dir}/evil.pem"}])
async def test_a_secret_that_is_kept_is_not_sent_to_a_broker_that_is_trusted_less(tmp_path, tls):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "evil.pem").write_text("x")
    tls = {name: value.format(dir=tmp_path / "allowed") if name == "ca" else value for name, value in tls.items()}
    brokers = {"h": {"url": TLS, "password": "open-sesame", "active": False}}
    async with running(written(tmp_path, brokers=brokers, api=secrets_in(tmp_path / "allowed", tmp_path))) as (_, http):
        answer = await http.put("brokers/h", json={"url": TLS, "password": "***", "active": False, "tls": tls})
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "brokers.h.password")


async def test_a_port_that_listens_names_only_files_that_may_be_named(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    port = "listen://127.0.0.1:9?allow=10.0.0.0/8&cert={0}/a.pem&key={0}/a.key"
    old = {"driver": "hl7-monitor", "port": port.format("/outside")}
    async with running(written(tmp_path, devices={"old": old}, api=secrets_in(allowed, tmp_path))) as (_, http):
        answer = await http.put("devices/new", json={**old, "port": port.format(tmp_path).replace(":9", ":8")})
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "devices.new.port")
        new = {**old, "port": port.format(allowed).replace(":9", ":8")}
        assert (await http.put("devices/new", json=new)).status_code == 201
        assert (await http.put("devices/old", json={**old, "label": "x"})).status_code == 200


async def test_files_and_variables_are_named_through_the_api_only_where_the_files_allow_it(tmp_path):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    for directory in (allowed, outside):
        directory.mkdir()
        (directory / "s").write_text("words")
    (allowed / "link").symlink_to(outside / "s")
    config = written(tmp_path, api=secrets_in(allowed, tmp_path))
    refused = [{"env": "HOME"}, {"file": "/etc/shadow"}, {"file": str(outside / "s")}, {"file": str(allowed / "link")}]
    refused += [{"file": f"{allowed}/../outside/s"}]
    async with running(config) as (_, http):
        for reference in refused:
            body = {"name": "h", "url": NOWHERE, "active": False, "password": reference}
            answer = await http.post("brokers", json=body)
            assert (answer.status_code, answer.json()["error"]["where"]) == (422, "brokers.h.password")
        for key in ("ca", "cert", "key"):
            answer = await http.post("brokers", json={"name": "h", "url": TLS, "tls": {key: str(outside / "s")}})
            assert (answer.status_code, answer.json()["error"]["where"]) == (422, f"brokers.h.tls.{key}")
        answer = await http.post("devices", json={"device_id": "d", **device(token={"env": "HOME"})})
        assert (answer.status_code, answer.json()["error"]["where"]) == (422, "devices.d.token")
        good = {"name": "h", "url": NOWHERE, "active": False, "password": {"file": str(allowed / "s")}}
        assert (await http.post("brokers", json=good)).status_code == 201
        good |= {"name": "i", "url": OTHER, "password": {"credential": "i"}}
        assert (await http.post("brokers", json=good)).status_code == 201


async def test_the_secret_of_a_refused_change_leaves_no_file(tmp_path):
    async with running(written(tmp_path)) as (_, http):
        body = {"name": "h", "url": NOWHERE, "password": "typed", "qos": 3}
        assert (await http.post("brokers", json=body)).status_code == 422
        assert list((tmp_path / "state" / "secrets").iterdir()) == []


@pytest.mark.parametrize(
    "password",
    [
        {"file": "/etc/hostname", "env": None},
        {"env": "PATH", "file": None, "credential": None},
        {"file": "***", "env": None},
        {"credential": "***"},
        {"file": 5},
        ["open-sesame"],
    ],
)
async def test_no_shape_of_a_reference_passes_for_something_else(tmp_path, password):
    credential = {"credential": "hospital"}
    config = written(tmp_path, brokers={"h": {"url": NOWHERE, "password": credential, "active": False}})
    async with running(config) as (app, http):
        answer = await http.put("brokers/h", json={"url": OTHER, "active": False, "password": password})
        assert answer.status_code == 422
        assert "brokers.h.password" in answer.json()["error"]["message"]
        assert app.current.settings.brokers["h"].url == NOWHERE


@pytest.mark.parametrize("password", ["open-sesame", {"file": "/nowhere/hospital"}])
@pytest.mark.parametrize("before", ["removed", "without"])
async def test_a_secret_of_the_files_does_not_come_back_at_another_address(tmp_path, password, before):
    """By a detour: the entry is removed first, or given another address without its secret."""
    config = written(tmp_path, brokers={"h": {"url": NOWHERE, "password": password, "active": False}})
    async with running(config) as (_, http):
        if before == "removed":
            assert (await http.delete("brokers/h")).status_code == 200
        else:
            assert (await http.put("brokers/h", json={"url": OTHER, "active": False})).status_code == 200
        answer = await http.put("brokers/h", json={"url": OTHER, "active": False, "password": "***"})
        assert answer.status_code == 422
        entry = {"url": OTHER, "active": False, "password": "***"}
        answer = await http.post("settings/apply", json={"settings": {"brokers": {"h": entry}}})
        assert answer.status_code == 422


async def test_a_secret_is_not_given_to_a_second_entry_at_another_address(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    for name in ("h", "key"):
        (allowed / name).write_text("words")
    elsewhere = "mqtt://127.0.0.1:12"
    brokers = {
        "h": {"url": NOWHERE, "password": {"file": str(allowed / "h")}, "active": False},
        "c": {"url": elsewhere, "password": {"credential": "c"}, "active": False},
    }
    signing = {"key": {"credential": "command-key"}}
    settings = {"commands": {"signing": signing}, "api": secrets_in(allowed, tmp_path)}
    async with running(written(tmp_path, brokers=brokers, **settings)) as (_, http):
        for reference in ({"file": f"{allowed}/./h"}, {"credential": "c"}, {"credential": "command-key"}):
            body = {"name": "evil", "url": OTHER, "active": False, "password": reference}
            answer = await http.post("brokers", json=body)
            assert (answer.status_code, answer.json()["error"]["where"]) == (422, "brokers.evil.password"), reference
        assert (await http.delete("brokers/c")).status_code == 200
        body = {"name": "evil", "url": OTHER, "active": False, "password": {"credential": "c"}}
        assert (await http.post("brokers", json=body)).status_code == 422
        again = {"name": "c", "url": elsewhere, "active": False, "password": {"credential": "c"}}
        assert (await http.post("brokers", json=again)).status_code == 201
        typed = {"name": "t", "url": TLS.replace(":9", ":13"), "active": False, "password": 12345}
        assert (await http.post("brokers", json=typed)).status_code == 201
        (secret,) = (tmp_path / "state" / "secrets").iterdir()
        assert secret.read_text() == "12345"
        body |= {"url": "mqtt://127.0.0.1:11", "password": {"file": str(secret)}}
        assert (await http.post("brokers", json=body)).status_code == 422


@pytest.mark.parametrize("name", ["a/../../x", "a\0b", "a" * 300, "a\n"])
async def test_a_name_that_cannot_be_one_is_refused_before_a_file_is_called_by_it(tmp_path, name):
    async with running(written(tmp_path)) as (_, http):
        entry = {"url": NOWHERE, "active": False, "password": "typed"}
        answer = await http.post("settings/apply", json={"settings": {"brokers": {name: entry}}})
        assert answer.status_code == 422


async def test_the_path_behind_a_proxy_belongs_to_the_address_and_a_url_holds_no_space(tmp_path):
    brokers = {"h": {"url": "wss://proxy.example/a", "password": "open-sesame", "active": False}}
    async with running(written(tmp_path, brokers=brokers)) as (_, http):
        for url in ("wss://proxy.example/b", "wss://proxy.example/a\t", "wss://proxy\n.example/a"):
            answer = await http.put("brokers/h", json={"url": url, "password": "***", "active": False})
            assert answer.status_code == 422, url
