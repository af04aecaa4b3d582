"""Whether that with which a client was let in still holds."""

from __future__ import annotations

from starlette.types import Scope

from agent.api.auth.gate import Gate, bearer
from agent.api.auth.tokens import PREFIX
from agent.api.auth.who import LOCAL, Who
from agent.api.problems import Unauthenticated


def holds(gate: Gate, who: Who, scope: Scope) -> bool:
    """Asks without counting as an attempt; a session is kept from growing idle by it."""
    if who is LOCAL:
        return True
    given = bearer(dict(scope["headers"]))
    if given is None:
        return gate.session(scope) is not None
    if given.startswith(PREFIX) or gate.jwt is None:
        return gate.tokens.get(given.removeprefix(PREFIX).partition("_")[0]) is not None
    try:
        gate.jwt(given)
    except Unauthenticated:
        return False
    return True
