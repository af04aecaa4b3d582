from __future__ import annotations

import re

import msgspec

from gatepost.agent.settings.model import ApiSettings, ApiTls
from tests.uplink.broker import Authority

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? (-?[0-9.e+-]+)')


async def test_metrics_are_prometheus_text_without_patients(app, http):
    await app.take()
    app.devices.by_id["cuff-3"].state["faults"] = {f"kind-{n}": n + 1 for n in range(200)}
    app.devices.by_id["cuff-3"].state["faults"]['odd"\n\\'] = 999
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "P-001" not in answer.text
    assert "open-sesame" not in answer.text
    families, typed = {}, set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in typed, "one family stands together"
            assert kind == ("counter" if name.endswith("_total") else "gauge")
            typed.add(name)
        elif not line.startswith("# HELP "):
            found = LINE.fullmatch(line)
            assert found, line
            assert found[1] in typed
            families.setdefault(found[1], {})[found[2] or ""] = float(found[3])
    assert families["gatepost_device_up"] == {'device="oximeter-1"': 1, 'device="cuff-3"': 0}
    assert families["gatepost_broker_up"] == {'broker="hospital"': 1, 'broker="lab"': 0}
    assert families["gatepost_broker_backlog_readings"]['broker="lab"'] == 1
    assert families["gatepost_store_rows_total"][""] >= 1
    assert families["process_resident_memory_bytes"][""] > 1e6
    kinds = [labels for labels in families["gatepost_device_faults_total"] if "cuff-3" in labels]
    assert len(kinds) == 21
    assert sum(families["gatepost_device_faults_total"][labels] for labels in kinds) == sum(range(201)) + 999


async def test_a_store_that_does_not_store_and_a_loss_are_figures(app, http):
    async def figures():
        text = (await http.get("/metrics")).text
        return [line for line in text.splitlines() if line.startswith(("gatepost_store_up", "gatepost_store_loss"))]

    assert await figures() == ["gatepost_store_up 1", "gatepost_store_loss_unseen 0"]
    app.store.writer.trouble = "the disk is full"
    app.store.losses.notice = "12 readings may be missing"
    assert await figures() == ["gatepost_store_up 0", "gatepost_store_loss_unseen 1"]


async def test_certificates_and_settings_that_do_not_hold_are_figures(app, http, tmp_path):
    async def figures():
        lines = (await http.get("/metrics")).text.splitlines()
        return [line for line in lines if line.startswith(("gatepost_certificate", "gatepost_settings"))]

    assert await figures() == ["gatepost_settings_error 0"]
    cert, key = Authority(tmp_path).issue("gateway")
    app.settings = msgspec.structs.replace(app.settings, api=ApiSettings(tls=ApiTls(cert=str(cert), key=str(key))))
    app.api_told = {"trouble": "api.tls: broken", "certificate_ends": "2026-12-01T00:00:00Z"}
    assert await figures() == [
        "gatepost_settings_error 1",
        'gatepost_certificate_end_timestamp_seconds{owner="api",kind="server"} 1796083200',
    ]
    app.api_told, app.last_reload = None, {"applied": False}
    assert (await figures())[0] == "gatepost_settings_error 1"
