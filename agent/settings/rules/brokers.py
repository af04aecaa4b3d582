"""Rules for a broker: its URLs, certificates, topics, format, and that no two share a client id."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gatepost.agent.settings.problem import Path, quoted, suggestion
from gatepost.agent.settings.rules.base import RuleContext
from gatepost.agent.settings.rules.formats import format_of
from gatepost.agent.settings.topic_templates import HEARS_ITSELF, TOPICS, all_templates, meeting, template_fault

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_MEANT = {"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "http": "ws", "https": "wss"}
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")


def check_brokers(rules: RuleContext) -> None:
    for name, broker in rules.section("brokers").items():
        path = ("brokers", name)
        places = [("url",), *(("failover", str(index)) for index in range(len(broker.get("failover", []))))]
        urls = [(place, url) for place, url in zip(places, _urls(broker), strict=True) if url is not None]
        split = [check_url(rules, url, (*path, *place)) for place, url in urls]
        _check_tls(rules, path, [part.scheme for part in split if part])
        check_topics(rules, path)
    _check_client_ids(rules)


def check_url(rules: RuleContext, url: str, path: Path) -> SplitResult | None:
    """None when it is reported; a message never shows a URL that may hold a password."""
    shown = quoted(url) if "@" not in url else "the URL"
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in PORTS:
        meant = _MEANT.get(scheme.lower(), scheme.lower() if scheme.lower() in PORTS else "")
        hint = "write mqtt://HOST:1883, mqtts://HOST:8883, ws:// or wss://"
        if mark and meant:
            hint = f"write {meant}://"
        elif not mark and "@" not in url and _HOST.fullmatch(url):
            hint = f"write mqtt://{url}"
        rules.error(path, "bad-url", f"{shown} does not start with mqtt://, mqtts://, ws:// or wss://", hint)
        return None
    if not url.isprintable() or " " in url:  # which `urlsplit` leaves out
        rules.error(
            path, "bad-url", f"{shown} holds a space or a control character", "remove it: write mqtt://HOST:1883"
        )
        return None
    try:
        parts = urlsplit(url)
        host, port, user = parts.hostname, parts.port, parts.username is not None
    except ValueError:
        hint = "a port is 1 to 65535; an IPv6 address stands in brackets"
        rules.error(path, "bad-url", f"{shown} has no usable host and port", hint)
        return None
    if user or "@" in parts.netloc:
        hint = "use username and password, with the password as a secret reference"
        rules.error(path, "url-credentials", "a URL must not hold a user name or password", hint)
        return None
    if not host or not _HOST.fullmatch(host) or port == 0:
        rules.error(path, "bad-url", f"{shown} has no usable host and port", f"write {scheme}://HOST:{PORTS[scheme]}")
        return None
    if scheme in ("mqtt", "mqtts") and parts.path.strip("/"):
        rules.error(path, "bad-url", f"a {scheme} URL has no path", "remove it; only ws and wss have one")
        return None
    if parts.fragment or (parts.query and scheme in ("mqtt", "mqtts")):
        message = f"{shown} has parts that are not supported"
        rules.error(path, "bad-url", message, "remove what follows the port or path")
        return None
    return parts


def check_topics(rules: RuleContext, path: Path) -> None:
    """Overridden topics: known keys and placeholders, publishable, and never one that is also subscribed to."""
    topics = rules.section(*path, "topics")
    kind = format_of(rules, path)
    gateway = rules.section("gateway")
    templates = all_templates(rules.section(*path).get("layout", ""), kind.default_topics if kind else {}, topics)
    defaults = {key: text for key, text in templates.items() if key not in topics}  # of two of one's own one is told
    for key, text in topics.items():
        here = (*path, "topics", key)
        if key not in TOPICS:
            hint = suggestion(key, TOPICS, f"known: {', '.join(TOPICS)}")
            rules.report.error(rules.checker.key_of(here), here, "unknown-key", f"unknown topic {quoted(key)}", hint)
            continue
        if kind is not None and key not in kind.topic_keys:
            message = f"format {kind.name} fixes this topic"
            rules.error(here, "bad-topic", message, "remove it; docs/upstream.md has its topics")
            continue
        if wrong := template_fault(key, text, gateway):
            rules.error(here, "bad-topic", *wrong)
        elif other := meeting(key, text, defaults if TOPICS[key].subscribed else templates, gateway):
            rules.error(here, "bad-topic", f"the same topic as {other}", HEARS_ITSELF)


def _check_tls(rules: RuleContext, path: Path, schemes: list[str]) -> None:
    tls = rules.section(*path, "tls")
    here = (*path, "tls")
    if not tls:
        return
    if schemes and not any(scheme in ("mqtts", "wss") for scheme in schemes):
        hint = f"use {'wss' if schemes[0] == 'ws' else 'mqtts'}:// to encrypt the connection"
        rules.warn(here, "tls-unused", f"certificates have no effect with {schemes[0]}://", hint)
    for one, other in (("cert", "key"), ("key", "cert")):
        if one in tls and other not in tls and not rules.written((*here, other)):
            rules.error((*here, one), "missing", f"{one} without {other}", f"add brokers.{path[1]}.tls.{other}")
    if tls.get("verify") is False:
        hint = "name the broker's CA in tls.ca instead"
        rules.warn((*here, "verify"), "tls-unverified", "anybody can pose as this broker", hint)


def _check_client_ids(rules: RuleContext) -> None:
    """A broker hangs up on the older of two connections with one client id: the two would fight for ever."""
    seen: dict[tuple[str, int | None, str], str] = {}
    for name, broker in rules.section("brokers").items():
        client = broker.get("client_id", "")
        for spot in addresses(broker):
            other = seen.setdefault((*spot, client), name)
            if other != name:
                path = ("brokers", name, "client_id" if client else "url")
                message = f"the same broker and client id as brokers.{other}"
                rules.error(path, "same-client", message, "give one of them a client_id of its own")
                break


def addresses(broker: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Host and port of a broker and of those to fall back on, as far as they are right."""
    found = []
    for url in filter(None, _urls(broker)):
        with suppress(ValueError):
            parts = urlsplit(url)
            found.append((parts.hostname or "", parts.port or PORTS.get(parts.scheme)))
    return found


def _urls(broker: dict[str, Any]) -> list[str | None]:
    """The URL (None when it is missing or wrong) and those to fall back on."""
    return [broker.get("url"), *broker.get("failover", [])]
