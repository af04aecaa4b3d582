from __future__ import annotations

import json


def test_a_token_is_made_listed_and_revoked(gatepost, agent):
    made = gatepost("token", "create", "--role", "operator", "--expires", "30d", "--name", "nurse", "--publish", "a/#")
    assert made.code == 0, made.err
    text = made.out.strip()
    assert text.startswith("gp_")
    assert "operator nurse, until" in made.err
    listed = gatepost("token", "list")
    assert "nurse" in listed.out
    assert text.split("_", 2)[2] not in listed.out
    (token,) = json.loads(gatepost("token", "list", "--json").out)["tokens"]
    assert (token["role"], token["publish"], token["subscribe"]) == ("operator", ["a/#"], ["#", "$SYS/#"])
    assert gatepost("token", "revoke", token["id"]).code == 0
    assert "no tokens" in gatepost("token", "list").out


def test_wrong_expiry_and_unknown_tokens_are_told(gatepost, agent):
    wrong = gatepost("token", "create", "--role", "viewer", "--expires", "soon")
    assert wrong.code == 1
    assert "expires" in wrong.err
    missing = gatepost("token", "revoke", "nobody")
    assert missing.code == 1
    assert "nobody" in missing.err
    assert gatepost("token", "create", "--role", "king").code == 2


def test_a_board_is_called_a_board_everywhere(gatepost, agent):
    assert gatepost("token", "create", "--kiosk", "--name", "ward").err.startswith("board ward, until")
    assert "signs in as board, once" in gatepost("token", "browser", "--kiosk").err
    assert " board " in gatepost("token", "list").out
    (token,) = json.loads(gatepost("token", "list", "--json").out)["tokens"]
    assert gatepost("token", "revoke", token["id"]).out == "revoked: board ward\n"


def test_a_login_code_for_a_browser(gatepost, agent):
    made = json.loads(gatepost("token", "browser", "--role", "viewer", "--json").out)
    assert made["role"] == "viewer"
    assert len(made["code"]) > 40
