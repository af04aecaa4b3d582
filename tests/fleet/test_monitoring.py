"""Page, metrics, alerts and dashboard of the fleet: one list of metrics, everything escaped."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
import yaml
from gatepost_fleet.demo.servers import free_port
from gatepost_fleet.fleet_page import FleetPage
from gatepost_fleet.fleet_status import GatewayLine
from gatepost_fleet.fleet_view import FleetView
from gatepost_fleet.ingestion import IngestCounters
from gatepost_fleet.metrics import MOST, IngestMetrics, listen

TOOLS = Path(__file__).parent.parent.parent / "tools/fleet"
EVIL = '<script>alert("1")</script>'
ROLLOUT = {"id": "r-1", "version": 1, "state": "paused", "reason": f"silence {EVIL}", "waves": [1, 3], "wave": 1}


def line(name: str, **more: Any) -> GatewayLine:
    usual = GatewayLine(name, 3.0, "online", 0.1, 0.0, 0, False, 7, "applied", None, 0)
    return usual._replace(**more)


def view() -> FleetView:
    one = FleetView()
    one.lines = [
        line("ward-1"),
        line(EVIL, status=EVIL, outcome="reverted"),
        line("ward-3", silent=None, outcome=None, lag=60.0),
        line("ward-4", missing=3, silent=901.0),
        line("ward-5", copied=True, missing=1),
        line("ward-6", status="offline"),
        line("ward-7", lag=1.0, outcome="trying"),
    ]
    one.rollouts = [{**ROLLOUT, "started_at": "", "reports": {"applied": 1, EVIL: 1}}]
    return one


def asked(page: FleetPage, path: str, query: str = "", method: str = "GET") -> tuple[str, str]:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    told: list[str] = []
    body = b"".join(page(environ, lambda status, headers: told.append(status)))
    return told[0], body.decode()


def test_connections_without_number_take_so_many_threads_and_no_more() -> None:
    port = free_port()
    stop = listen(f"127.0.0.1:{port}", FleetPage(view()))
    try:
        held = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(MOST)]
        with socket.create_connection(("127.0.0.1", port), 30) as beyond:
            assert beyond.recv(1) == b""
        for each in held:
            each.close()
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    assert answer.status == 200
                break
            except OSError:  # their threads have not ended yet
                time.sleep(0.01)
    finally:
        stop()


class Words(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_the_worst_first_and_escapes_what_gateways_say() -> None:
    page = FleetPage(view())
    status, html = asked(page, "/")
    words = Words(html)
    assert status == "200 OK"
    assert "script" not in words.tags
    assert words.text.count(EVIL) >= 4
    assert "never heard" in words.text
    order = [words.text.rindex(name) for name in ("ward-5", "ward-4", EVIL, "ward-3", "ward-6", "ward-7", "ward-1")]
    assert order[0] < order[1] < order[3] < order[4] < order[5] < order[6]
    assert "is old" not in words.text
    only = Words(asked(page, "/", "state=missing")[1]).text
    assert ("ward-4" in only, "ward-5" in only) == (True, False)
    assert EVIL not in Words(asked(page, "/", f"state={EVIL}")[1]).tags
    assert asked(page, "/x")[0] == "404 Not Found"
    assert asked(page, "/", method="POST")[0] == "405 Method Not Allowed"


class BrokenDatabase:
    """Connection whose every question fails."""

    async def fetch(self, *_: Any) -> None:
        raise RuntimeError("bigint out of range")


async def test_figures_that_could_not_be_made_anew_are_called_old() -> None:
    one = view()
    with pytest.raises(RuntimeError):
        await one.refresh(BrokenDatabase())
    assert "is old" in Words(FleetPage(one).html()).text
    assert "gatepost_fleet_stale 1.0" in asked(FleetPage(one), "/metrics")[1]


def test_page_and_metrics_over_http() -> None:
    port = free_port()
    stop = listen(f"127.0.0.1:{port}", FleetPage(view()))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "Gatepost fleet" in answer.read().decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    finally:
        stop()
    assert 'gatepost_fleet_gateways{state="copied"} 1.0' in text
    assert 'gatepost_fleet_gateway_missing_readings{gateway="ward-4"} 3.0' in text
    assert "gatepost_fleet_active 0.0" in text
    assert 'gatepost_fleet_gateway_silent_seconds{gateway="ward-3"}' not in text


def metric_names() -> set[str]:
    counters = IngestCounters(last_commit=0.0)
    families = [*view().collect(), *IngestMetrics(counters, lambda: 0.0).collect()]
    return {sample.name for family in families for sample in family.samples}


def test_alerts_and_dashboard_use_metrics_that_exist() -> None:
    dashboard = json.loads((TOOLS / "dashboards/fleet.json").read_text())
    alerts = yaml.safe_load((TOOLS / "alerts/fleet.yaml").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    named = {name for query in queries for name in re.findall(r"gatepost_\w+", query)}
    assert named <= metric_names()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    # Everything that a gateway can be blamed for is watched.
    assert {name for name in metric_names() if name.startswith("gatepost_fleet_gateway_")} <= named


@pytest.mark.skipif(shutil.which("promtool") is None, reason="not installed: sudo apt-get install prometheus")
def test_promtool_takes_the_alerts() -> None:
    for words in (["check", "rules", "fleet.yaml"], ["test", "rules", "fleet_test.yaml"]):
        done = subprocess.run(["promtool", *words], cwd=TOOLS / "alerts", capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
