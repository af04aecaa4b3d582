"""Rules for the API: where it listens, and that it is encrypted unless the settings say otherwise."""

from __future__ import annotations

import re
from importlib.util import find_spec

from gatepost.agent.settings.problem import quoted
from gatepost.agent.settings.rules.base import RuleContext, check_listening
from gatepost.drivers.extras import install_extra

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def check_api(rules: RuleContext) -> None:
    check_listening(rules, "api", ("listen",), "127.0.0.1:8765")
    _check_jwt(rules)
    default_broker = rules.section("api").get("default_broker")
    if default_broker is not None:
        rules.check_broker(("api", "default_broker"), default_broker)
    for index, origin in enumerate(rules.section("api").get("cors_origins", [])):
        if not ORIGIN.fullmatch(origin):
            hint = "write it as browsers send it: https://ward.example, with the port where it is not the usual one"
            message = f"{quoted(origin)} is not a web origin"
            rules.error(("api", "cors_origins", str(index)), "bad-origin", message, hint)


def _check_jwt(rules: RuleContext) -> None:
    jwt = rules.section("api", "jwt")
    if "algorithm" not in jwt:
        return
    path = ("api", "jwt")
    needed, other = ("key", "jwks_file") if jwt["algorithm"] == "HS256" else ("jwks_file", "key")
    if needed not in jwt and not rules.written((*path, needed)):
        what = f"{jwt['algorithm']} needs {needed}"
        rules.error((*path, "algorithm"), "missing", what, f"add api.jwt.{needed}")
    if other in jwt:
        rules.error((*path, other), "no-effect", f"{jwt['algorithm']} takes no {other}", f"remove api.jwt.{other}")
    for key in ("issuer", "audience"):
        if jwt.get(key) == "":
            rules.error((*path, key), "bad-value", "an empty text", "as the provider writes it into its tokens")
    if find_spec("jwt") is None:
        rules.error(path, "not-installed", "needs the library PyJWT", install_extra("jwt"))
