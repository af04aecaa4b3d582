"""Page of the fleet: gateways by state and the progress of rollouts, as plain HTML; and the metrics beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gatepost_fleet.fleet_status import STATES
from gatepost_fleet.fleet_view import FleetView
from gatepost_fleet.rollout import ending

MOST_LINES = 1000  # of a table
_HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .8em .3em 0;"
    "border-bottom:1px solid #ddd}nav a{margin-right:1.2em}.well{color:#1a7f37}.copied,.missing,.failed{color:#b42318}"
    ".silent,.offline,.behind{color:#9a6700}progress{width:12em}"
)


class FleetPage:
    """WSGI application (PEP 3333): `/` and `/metrics`."""

    def __init__(self, view: FleetView) -> None:
        self._view = view
        self._registry = CollectorRegistry()
        self._registry.register(view)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"only GET\n"
        elif path == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        elif path == "/":
            wanted = parse_qs(environ.get("QUERY_STRING", "")).get("state", [""])[0]
            status, kind, body = "200 OK", "text/html; charset=utf-8", self.html(wanted).encode()
        else:
            status, kind, body = "404 Not Found", "text/plain", b"there is / and /metrics\n"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *_HEADERS])
        return [body]

    def html(self, wanted: str = "") -> str:
        """Whole page; only gateways of one state where `wanted` names one."""
        view = self._view
        links = "".join(
            f'<a class="{state}" href="/?state={state}">{count} {state}</a>' for state, count in view.counts().items()
        )
        lines = [line for line in view.lines if wanted not in STATES or line.state == wanted]
        lines.sort(key=lambda line: (STATES.index(line.state), line.id))
        rows = "".join(
            _row(
                f'<span class="{line.state}">{line.state}</span>',
                escape(line.id),
                escape(line.status),
                "-" if line.desired is None else str(line.desired),
                escape(line.outcome or ""),
                escape("; ".join(line.notes())),
            )
            for line in lines[:MOST_LINES]
        )
        stale = '<p class="missing">What follows is old: the database gave no newer figures.</p>' if view.stale else ""
        more = f"<p>and {len(lines) - MOST_LINES} more</p>" if len(lines) > MOST_LINES else ""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gatepost fleet</title>'
            f'<meta http-equiv="refresh" content="15"><style>{_STYLE}</style></head><body><h1>Fleet</h1>'
            f'<nav><a href="/">{len(view.lines)} gateways</a>{links}</nav><p>Controller: {escape(view.state)}</p>'
            f"{stale}{self._rollouts()}<h2>Gateways</h2>"
            f"<table>{_head('State', 'Gateway', 'Says', 'Desired', 'Outcome', 'Notes')}{rows}</table>"
            f"{more}</body></html>"
        )

    def _rollouts(self) -> str:
        if not self._view.rollouts:
            return ""
        rows = ""
        for each in self._view.rollouts:
            told = ", ".join(f"{count} {status}" for status, count in sorted(each["reports"].items()))
            applied, whole = each["reports"].get("applied", 0), each["waves"][-1]
            bar = f'<progress max="{whole}" value="{applied}">{applied} of {whole}</progress>'
            wave = f"{each['wave']} of {len(each['waves'])}"
            state = ending(each["state"], each["reports"])
            rows += _row(escape(each["id"]), state, wave, bar, escape(told), escape(each["reason"]))
        return f"<h2>Rollouts</h2><table>{_head('Id', 'State', 'Wave', 'Applied', 'Reports', 'Reason')}{rows}</table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _head(*names: str) -> str:
    return f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
