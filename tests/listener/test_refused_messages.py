"""Refused messages that are kept for whoever maps topics: bounded, newest first, without secrets."""

from __future__ import annotations

import pytest

from gatepost.agent.listener.refused_messages import LONGEST, MOST_REFUSED, RefusedMessages


def test_the_newest_of_each_topic_and_reason_are_kept() -> None:
    now = 0.0
    kept = RefusedMessages(lambda: now)
    for number in range(2 * MOST_REFUSED):
        kept.add("plug-3", f"t/{number}", "not-your-topic", b"%d" % number)
    kept.add("plug-3", "t/40", "not-your-topic", b"again")
    now = 2.5
    shown = kept.as_list()
    assert len(shown) == MOST_REFUSED
    assert [(each["topic"], each["count"]) for each in shown[:2]] == [("t/40", 2), ("t/63", 1)]
    assert (shown[0]["age"], shown[0]["payload"]) == (2.5, "again")


def test_payloads_are_cut_and_any_octets_are_text() -> None:
    kept = RefusedMessages(lambda: 0.0)
    kept.add("plug-3", "t", "not-json", b"\xff" * 2 * LONGEST)
    (shown,) = kept.as_list()
    assert (shown["size"], len(shown["payload"])) == (2 * LONGEST, LONGEST)


@pytest.mark.parametrize(
    "payload",
    [
        *(b'{"t": 1, "token": "x"}', b'{"wifi": {"PassWd": 1}}', b"gp_0123456789ab_x", b'{"Secret": 1}'),
        *(b'{"wifi_psk": 1}', b"pwd=1", b"API-Key: 1", b"Authorization: Bearer 1"),
    ],
)
def test_what_may_hold_a_secret_is_not_shown(payload: bytes) -> None:
    kept = RefusedMessages(lambda: 0.0)
    kept.add("plug-3", "t", "wrong-token", payload)
    assert kept.as_list()[0]["payload"] is None
