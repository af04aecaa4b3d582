from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatepost.agent.api.auth.rate_limits import FREE, LONGEST, TABLE, AddressLockout, RateLimiter
from gatepost.agent.api.auth.topic_permissions import allows, covers
from gatepost.agent.api.http import refusal_delay
from gatepost.agent.core.tcp_sockets import client_group
from gatepost.agent.core.topic_filter import is_filter


class Now:
    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


def test_a_rate_allows_a_burst_and_then_its_pace():
    now = Now()
    rate = RateLimiter(now)
    assert [rate.take("a", 5.0) for _ in range(10)] == [0.0] * 10
    assert rate.take("a", 5.0) == pytest.approx(0.2)
    now.at = 0.2
    assert rate.take("a", 5.0) == 0.0
    assert rate.take("a", 5.0) > 0
    assert rate.take("b", 5.0) == 0.0
    assert rate.take("a", 0.0) == 0.0


def test_a_slow_rate_allows_one_at_least():
    assert RateLimiter(Now()).take("a", 0.1) == 0.0


def test_tables_are_bounded():
    rate, lockout = RateLimiter(Now()), AddressLockout(Now())
    for number in range(2 * TABLE):
        rate.take(str(number), 1.0)
        lockout.failed(str(number))
    assert len(rate._buckets) == len(lockout._failed) == TABLE


def test_failed_attempts_lock_out_ever_longer_and_are_forgiven():
    now = Now()
    lockout = AddressLockout(now)
    assert [lockout.failed("a") for _ in range(FREE)] == [0.0] * FREE
    assert [lockout.failed("a") for _ in range(3)] == [2.0, 4.0, 8.0]
    assert lockout.locked("a") == 8.0
    assert lockout.locked("b") == 0.0
    now.at = 8.0
    assert lockout.locked("a") == 0.0
    for _ in range(100):
        lock = lockout.failed("a")
    assert lock == LONGEST
    now.at += 3700
    assert lockout.failed("a") == 0.0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1:2:3:4", "2001:db8::"),
        ("2001:db8::5:6:7:8", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("strange", "strange"),
    ],
)
def test_an_ipv6_network_is_one_client(address, client):
    assert client_group(address) == client


@pytest.mark.parametrize(
    ("filters", "wanted", "covered"),
    [
        (["#"], "a/b", True),
        (["#"], "a/#", True),
        (["#"], "$SYS/x", False),
        (["$SYS/#"], "$SYS/x", True),
        (["+/x"], "$SYS/x", False),
        (["a/#"], "a", True),
        (["a/#"], "a/b/c", True),
        (["a/#"], "ab", False),
        (["a/+"], "a/b", True),
        (["a/+"], "a/+", True),
        (["a/+"], "a/#", False),
        (["a/b"], "a/+", False),
        (["a/+"], "a/b/c", False),
        (["a/b/c"], "a/b", False),
        ([], "a", False),
        (["x", "a/b"], "a/b", True),
    ],
)
def test_what_a_permission_covers(filters, wanted, covered):
    assert covers(filters, wanted) is covered


def test_a_topic_with_wildcards_may_never_be_published_on():
    assert not allows(["#"], "a/+")
    assert allows(["#"], "a/b")


@pytest.mark.parametrize(
    ("text", "right"),
    [("a/b", True), ("#", True), ("+/a/#", True), ("", False), ("a/#/b", False), ("a+", False), ("a\0", False)],
)
def test_which_filters_there_are(text, right):
    assert is_filter(text) is right


# --- over the API


def limited(app, rate):
    app.settings = msgspec.structs.replace(app.settings, api=msgspec.structs.replace(app.settings.api, rate_limit=rate))


async def test_too_many_requests_of_one_token_are_429(remote):
    limited(remote.app, 1.0)
    one, other = await remote.as_("viewer"), await remote.as_("viewer")

    async def ask(headers):
        return await remote.http.get("/api/v1/session", headers=headers)

    assert [(await ask(one)).status_code for _ in range(3)] == [200, 200, 429]
    answer = await ask(one)
    assert answer.json()["error"]["key"] == "too-many-requests"
    assert answer.headers["retry-after"] == "1"
    assert (await ask(other)).status_code == 200
    remote.app.clock.pass_seconds(1)
    assert [(await ask(one)).status_code for _ in range(2)] == [200, 429]


async def test_one_address_has_its_rate_whatever_tokens_it_shows(remote):
    limited(remote.app, 1.0)
    codes = [(await remote.http.get("/api/v1/session")).status_code for _ in range(4)]
    assert codes == [401, 401, 429, 429]


async def test_an_address_is_locked_out_after_wrong_tokens_and_comes_back(remote):
    wrong = {"authorization": "Bearer gp_000000000000_wrong"}
    codes = [(await remote.http.get("/api/v1/backlog", headers=wrong)).status_code for _ in range(FREE + 2)]
    assert codes == [401] * (FREE + 1) + [429]
    locked = await remote.http.get("/api/v1/backlog", headers=wrong)
    assert (locked.status_code, locked.json()["error"]["key"]) == (429, "locked")
    assert (await remote.http.get("/health")).status_code == 200
    remote.app.clock.pass_seconds(float(locked.headers["retry-after"]))
    assert (await remote.http.get("/api/v1/backlog", headers=wrong)).status_code == 401


async def test_good_credentials_come_through_whatever_else_comes_from_their_address(remote):
    """Bad ones lock out and use up the rate of the address for bad ones alone."""
    limited(remote.app, 2.0)
    good = await remote.as_("viewer")
    made = await remote.http.post("/api/v1/session/code", json={}, headers=await remote.as_("admin"))
    for headers in ({"authorization": "Bearer gp_0_wrong"}, {"authorization": "Basic eDp5"}, {}):
        for _ in range(FREE + 2):
            await remote.http.get("/api/v1/backlog", headers=headers)
    assert (await remote.http.get("/api/v1/backlog", headers={"authorization": "Bearer gp_0_x"})).status_code == 429
    assert (await remote.http.get("/api/v1/backlog", headers=good)).status_code == 200
    remote.app.clock.pass_seconds(1)  # signing in is open to everybody, and has the rate of the address
    assert (await remote.http.post("/api/v1/session", json={"code": made.json()["code"]})).status_code == 201


async def test_many_refusals_are_held_back_and_answers_are_not(remote, monkeypatch):
    monkeypatch.setattr(refusal_delay, "RATE", 0.01)  # one at once
    monkeypatch.setattr(refusal_delay, "HOLD", 3600.0)
    good = await remote.as_("viewer")
    assert (await remote.http.get("/nowhere", headers=good)).status_code == 404
    held = asyncio.create_task(remote.http.get("/nowhere", headers=good))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held, 0.2)
    assert (await remote.http.get("/api/v1/backlog", headers=good)).status_code == 200
    monkeypatch.setattr(refusal_delay, "HOLD", 0.1)
    began = asyncio.get_running_loop().time()
    assert (await remote.http.get("/nowhere", headers=good)).status_code == 404
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_refusals_are_in_the_audit_log_but_not_each_of_many(remote):
    for _ in range(4):
        await remote.http.get("/api/v1/backlog", headers={"authorization": "Bearer gp_0_s3cr3t"})
    entries = await remote.app.audit.tail(10, what="api-refused")
    assert len(entries) == 1
    assert entries[0]["address"] == "127.0.0.1"
    assert "s3cr3t" not in str(entries)


async def test_an_expired_token_locks_nobody_out(remote):
    headers = await remote.as_("viewer", lifetime=1.0)
    remote.app.clock.pass_seconds(2)
    codes = {(await remote.http.get("/api/v1/backlog", headers=headers)).status_code for _ in range(FREE + 3)}
    assert codes == {401}
