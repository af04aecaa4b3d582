"""What must hold for the API: where it listens, and that nobody overhears it unless that is meant."""

from __future__ import annotations

import re

from agent.settings.listen import is_loopback, split_address
from agent.settings.problem import quoted
from agent.settings.rules import Rules

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def check_api(rules: Rules) -> None:
    _check_listen(rules)
    for index, origin in enumerate(rules.section("api").get("cors_origins", [])):
        if not ORIGIN.fullmatch(origin):
            hint = "write it as browsers send it: https://ward.example, with the port where it is not the usual one"
            rules.error(("api", "cors_origins", str(index)), "bad-origin", f"{quoted(origin)} is no web origin", hint)


def _check_listen(rules: Rules) -> None:
    api = rules.section("api")
    listen = api.get("listen")
    if listen is None:
        for key in ("tls", "insecure"):
            if api.get(key):
                rules.warn(
                    ("api", key), "no-effect", "has no effect without api.listen", "add api.listen, or remove it"
                )
        return
    path = ("api", "listen")
    try:
        host, _ = split_address(listen)
    except ValueError:
        rules.error(path, "bad-address", f"{quoted(listen)} is no host:port", "write 127.0.0.1:8765")
        return
    if is_loopback(host) or "tls" in api or rules.written(("api", "tls")):
        return
    if api.get("insecure"):
        message = "tokens and readings can be overheard on the way"
        rules.warn(path, "insecure", message, "add api.tls with cert and key")
    else:
        message = f"{quoted(listen)} can be reached by others, and there is no TLS"
        hint = "add api.tls with cert and key, listen at 127.0.0.1, or write api.insecure: true if that is meant"
        rules.error(path, "insecure", message, hint)
