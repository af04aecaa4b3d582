"""Prometheus metrics of a worker; no device and no patient is a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatepost_fleet.ingestion import RUNNING, STANDING_BY, IngestCounters

MOST = 32  # connections at once
_TOTALS = {
    "messages": "Messages taken from the broker and stored.",
    "stored": "Readings stored for the first time.",
    "repeated": "Readings that were stored before.",
    "clashes": "Readings whose id has another content already.",
    "refused": "Messages that are no readings.",
    "failures": "Times that broker or database were away.",
}


class IngestMetrics(Collector):
    """Metrics made from the counters when they are asked for; `monotonic` is the clock of `last_commit`."""

    def __init__(self, counters: IngestCounters, monotonic: Callable[[], float]) -> None:
        self._counters = counters
        self._monotonic = monotonic

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        for name, about in _TOTALS.items():
            yield CounterMetricFamily(f"gatepost_fleet_{name}", about, value=getattr(counters, name))
        up = counters.state in (RUNNING, STANDING_BY)
        yield GaugeMetricFamily("gatepost_fleet_up", "Whether broker and database are there.", value=up)
        if counters.last_commit is not None:
            age = self._monotonic() - counters.last_commit
            yield GaugeMetricFamily("gatepost_fleet_last_commit_seconds", "Age of the newest commit.", value=age)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, and no more than MOST: one beyond them is hung up on."""

    daemon_threads = True
    request_queue_size = MOST  # beyond the five of socketserver, who comes at once is kept waiting for a second
    _room = BoundedSemaphore(MOST)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds for a request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing: Prometheus asks every few seconds."""


def serve(address: str, metrics: IngestMetrics) -> Callable[[], None]:
    """Serve them on host:port, in a thread; the way to end it. Raises OSError, ValueError."""
    registry = CollectorRegistry()
    registry.register(metrics)
    return listen(address, make_wsgi_app(registry))


def listen(address: str, application: Callable[..., Any]) -> Callable[[], None]:
    """Serve a WSGI application on host:port, in a thread; the way to end it. Raises OSError, ValueError."""
    host, _, port = address.rpartition(":")
    server = make_server(host.strip("[]") or "127.0.0.1", int(port), application, _Server, _Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
