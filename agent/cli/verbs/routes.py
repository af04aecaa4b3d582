"""`gatepost routes`: where the readings of a device go, and by which rule of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, configured_device, valid_settings
from gatepost.agent.cli.support.output import say, say_json, table
from gatepost.agent.settings.model import BrokerSettings, RouteRule, Settings
from gatepost.agent.settings.rules.formats import WAVEFORM_METRICS, carries_waveforms
from gatepost.agent.settings.topic_templates import own_templates
from gatepost.agent.uplink.broker_format import options_of
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import ContractFormat, PayloadFormat
from gatepost.agent.uplink.routing import EVERYTHING, BrokerRoutes
from gatepost.agent.uplink.topics import BrokerTopics

ANY_METRIC = "(any)"


def routes_verb(
    device: Annotated[str, typer.Argument(help="A configured device.")],
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Only this metric type.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Explain where readings of a device go, and why.

    For each broker and metric type the rules that may send a reading, in the order in which they are tried, with topic
    and QoS. Reads the settings; needs no agent.

    \b
    Example:
      gatepost routes cuff-3 --metric blood_pressure
    """
    settings = valid_settings(config or default_config())
    metrics = metric or _metrics(configured_device(settings, device).driver)
    rows = [row for name in settings.brokers for row in _of_broker(settings, name, device, metrics)]
    if json:
        say_json({"device": device, "routes": rows})
        return
    if not rows:
        say("no broker is configured: readings are kept in the log only")
        return
    columns = ("broker", "metric", "topic", "qos", "rule")
    table(columns, [tuple(str(row[key]) for key in columns) for row in rows], below=("rule", "topic"))


def _metrics(driver: str) -> list[str]:
    from gatepost.drivers.driver import Registry

    registry = Registry.installed()
    metrics = list(registry.get(driver).metrics) if driver in registry else []
    return metrics or [ANY_METRIC]


def _of_broker(settings: Settings, name: str, device: str, metrics: list[str]) -> list[dict[str, Any]]:
    broker = settings.brokers[name]
    rooms = {each: one.room for each, one in settings.devices.items() if one.room}
    reports = {each: one.brokers for each, one in settings.devices.items()}
    routes = BrokerRoutes(name, broker.routes, reports, rooms)
    if not routes.reports(device):
        return [_row(name, "", "", "", f"not for this broker: devices.{device}.brokers does not name it")]
    kind = ContractFormat if broker.format == catalogue.DEVICES else catalogue.load(broker.format)
    gateway = settings.gateway
    own = own_templates(broker.layout, kind.default_topics, broker.topics)
    topics = BrokerTopics(own, gateway.id, gateway.organization, rooms)
    rows = []
    for metric in metrics:
        known = "{metric}" if metric == ANY_METRIC else metric
        rules = _reached(routes.series(device, known).rules)
        if not rules:
            rows.append(_row(name, metric, "", "", "not for this broker: no rule of its routes matches"))
        rows += [_by_rule(name, broker, kind, topics, device, known, metric, rule) for rule in rules]
    if not broker.active:
        rows = [{**row, "rule": f"{row['rule']}; not connected: active is false"} for row in rows]
    return rows


def _reached(rules: Sequence[RouteRule]) -> list[RouteRule]:
    """Those that some reading comes to: the first that takes every reading is the last."""
    found: list[RouteRule] = []
    for rule in rules:
        found.append(rule)
        if not rule.only:
            break
    return found


def _by_rule(
    name: str,
    broker: BrokerSettings,
    kind: type[PayloadFormat],
    topics: BrokerTopics,
    device: str,
    known: str,
    metric: str,
    rule: RouteRule,
) -> dict[str, Any]:
    if rule is EVERYTHING:
        reason = "no routes: everything"
    else:
        reason = f"routes.{broker.routes.index(rule)}"
        if rule.only:
            reason += f", only {' and '.join(rule.only)}"
        if rule.every:
            reason += f", the newest in {rule.every:g} s"
    if rule.drop:
        return _row(name, metric, "", "", f"{reason}: dropped")
    if metric in WAVEFORM_METRICS and not carries_waveforms(kind, options_of(kind, broker.options)):
        reason += f"; waveforms are not sent in format {kind.name}"
    if kind.reading_qos is not None:
        return _row(name, metric, f"(fixed by {broker.format})", kind.reading_qos, reason)
    topic = topics("data", device, known, "{value}", rule.topic)
    if rule.retain:
        reason += ", retained"
    alone = rule.topic is not None or rule.retain or rule.every > 0
    if broker.batch.readings > 1 and kind is ContractFormat and not alone:
        reason += f"; several together on {topics('batch')}"
    return _row(name, metric, topic, broker.qos if rule.qos is None else rule.qos, reason)


def _row(broker: str, metric: str, topic: str, qos: Any, rule: str) -> dict[str, Any]:
    return {"broker": broker, "metric": metric, "topic": topic, "qos": qos, "rule": rule}
