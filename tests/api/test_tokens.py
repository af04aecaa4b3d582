from __future__ import annotations

import pytest

from gatepost.agent.api.auth.tokens import MOST_TOKENS, TokenStore
from gatepost.agent.core.errors import Conflict, NotFound, Unauthenticated
from tests.support.failing import failing

DAY = 86400.0


@pytest.fixture
async def tokens(app):
    return TokenStore(app.store, app.clock)


async def test_a_token_holds_and_tells_who_has_it(tokens):
    made, text = await tokens.create("operator", "nurse", DAY, ["alarms/#"], [])
    found = (await tokens.check(text)).as_principal()
    assert (found.name, found.role, found.publish, found.subscribe) == ("nurse", "operator", ("alarms/#",), ())
    assert text.startswith(f"gp_{made.id}_")


async def test_tokens_are_found_again_after_a_restart_by_their_hash_alone(app, tokens):
    _, text = await tokens.create("admin")
    kept = await app.store.key_value.with_prefix("api-token:")
    assert text.split("_", 2)[2] not in str(kept)
    again = TokenStore(app.store, app.clock)
    await again.load()
    assert (await again.check(text)).role == "admin"


async def test_equal_secrets_have_different_hashes(app):
    numbers = iter([b"a" * 6, b"s" * 32, b"1" * 16, b"b" * 6, b"s" * 32, b"2" * 16])
    tokens = TokenStore(app.store, app.clock, lambda count: next(numbers))
    one, _ = await tokens.create("viewer")
    other, _ = await tokens.create("viewer")
    assert one.digest != other.digest


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "A", lambda _: "gp_0_x", lambda _: ""])
async def test_a_wrong_token_does_not_hold(tokens, change):
    _, text = await tokens.create("viewer")
    with failing(Unauthenticated, kind="unauthenticated") as caught:
        await tokens.check(change(text))
    assert text not in caught.value.message


async def test_a_token_expires(app, tokens):
    made, text = await tokens.create("viewer", lifetime=60.0)
    app.clock.wall = made.expires - 10_000
    await tokens.check(text)
    app.clock.wall = made.expires
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.check(text)
    assert tokens.get(made.id) is None


async def test_a_revoked_token_does_not_hold_even_after_a_restart(app, tokens):
    made, text = await tokens.create("viewer")
    await tokens.revoke(made.id)
    again = TokenStore(app.store, app.clock)
    await again.load()
    for each in (tokens, again):
        with pytest.raises(Unauthenticated):
            await each.check(text)
    with pytest.raises(NotFound):
        await tokens.revoke(made.id)


async def test_the_last_use_is_written_rarely(app, tokens):
    made, text = await tokens.create("viewer")
    await tokens.check(text)
    first = (await app.store.key_value.with_prefix("api-token:"))[made.id]["used"]
    await tokens.check(text)
    assert (await app.store.key_value.with_prefix("api-token:"))[made.id]["used"] == first
    assert tokens.get(made.id).used > first
    app.clock.pass_seconds(3601)
    await tokens.check(text)
    assert (await app.store.key_value.with_prefix("api-token:"))[made.id]["used"] > first


async def test_a_damaged_token_does_not_hold_and_harms_no_other(app, tokens):
    _, text = await tokens.create("viewer")
    await app.store.key_value.put("api-token:bad", {"role": "king"})
    again = TokenStore(app.store, app.clock)
    await again.load()
    assert [token.role for token in again.every()] == ["viewer"]
    await again.check(text)


async def test_tokens_are_bounded_and_expired_ones_make_room(app, tokens):
    for _ in range(MOST_TOKENS):
        await tokens.create("viewer", lifetime=60.0)
    with pytest.raises(Conflict):
        await tokens.create("viewer")
    app.clock.pass_seconds(61)
    await tokens.create("viewer")
    assert len(tokens.every()) == 1


async def test_a_viewer_may_use_no_topic_unless_told(tokens):
    viewer, _ = await tokens.create("viewer")
    operator, _ = await tokens.create("operator")
    assert not viewer.as_principal().may_subscribe("a")
    assert operator.as_principal().may_publish("a/b")


# --- over the API


async def test_the_routes_make_list_and_revoke(remote, caplog):
    admin = await remote.as_("admin", name="boss")
    body = {"role": "operator", "name": "nurse", "expires": "30d", "publish": ["alarms/+"]}
    made = await remote.http.post("/api/v1/tokens", json=body, headers=admin)
    assert made.status_code == 201
    text, ident = made.json()["token"], made.json()["id"]
    listed = await remote.http.get("/api/v1/tokens", headers=admin)
    assert {token["name"] for token in listed.json()["tokens"]} == {"boss", "nurse"}
    secret = text.split("_", 2)[2]
    assert secret not in listed.text
    assert secret not in str(await remote.app.audit.tail(10))
    assert secret not in caplog.text
    nurse = {"authorization": f"Bearer {text}"}
    assert (await remote.http.get("/api/v1/status", headers=nurse)).status_code == 200
    assert (await remote.http.delete(f"/api/v1/tokens/{ident}", headers=admin)).status_code == 200
    assert (await remote.http.get("/api/v1/status", headers=nurse)).status_code == 401
    assert [entry["what"] for entry in await remote.app.audit.tail(10) if entry["what"].startswith("token")] == [
        "token-revoked",
        "token-created",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "king"},
        {"role": "viewer", "expires": "soon"},
        {"role": "viewer", "expires": "0s"},
        {"role": "viewer", "publish": ["a/#/b"]},
        {"role": "viewer", "subscribe": [""]},
        {"role": "viewer", "name": "<script>"},
        {"role": "viewer", "color": "red"},
    ],
)
async def test_wrong_tokens_are_422_and_none_is_made(remote, body):
    admin = await remote.as_("admin")
    answer = await remote.http.post("/api/v1/tokens", json=body, headers=admin)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "bad-input")
    assert len(remote.server._tokens.every()) == 1


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer gp_1_2", "Bearer \xff\xfe", "gp_1_2"])
async def test_what_is_no_token_is_401_and_says_how(remote, value):
    answer = await remote.http.get("/api/v1/status", headers={"authorization": value.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()["error"]) == {"key", "message", "hint"}


async def test_a_revoked_token_stays_so_when_the_database_is_an_older_one(app, tokens):
    made, text = await tokens.create("admin")
    kept = await app.store.key_value.get(f"api-token:{made.id}")
    await tokens.revoke(made.id)
    await app.store.key_value.put(f"api-token:{made.id}", kept)
    again = TokenStore(app.store, app.clock)
    await again.load()
    with pytest.raises(Unauthenticated):
        await again.check(text)
    assert await app.store.key_value.get(f"api-token:{made.id}") is None
