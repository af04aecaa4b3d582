from __future__ import annotations

import base64
import json
import time

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatepost.agent.api.auth.jwt import JwtJudge, role_in
from gatepost.agent.core.errors import Forbidden, JwtWrong, ListenWrong, Unauthenticated
from gatepost.agent.settings.model import JwtSettings
from tests.api.remote import listening
from tests.api.test_tcp import write_certificate
from tests.support.failing import failing

jwt = pytest.importorskip("jwt")
SECRET = "k" * 40
SHARED = JwtSettings(algorithm="HS256", issuer="https://login.example", audience="gatepost", key=SECRET)


def claims(**other):
    now = int(time.time())
    found = {"iss": SHARED.issuer, "aud": SHARED.audience, "sub": "anna", "exp": now + 600, "role": "operator", **other}
    return {name: value for name, value in found.items() if value is not None}


def judge(settings=SHARED):
    return JwtJudge(settings, lambda secret: secret)


def test_a_good_one_says_who_it_is():
    principal = judge()(jwt.encode(claims(), SECRET, "HS256"))
    assert (principal.name, principal.role) == ("jwt:anna", "operator")
    assert principal.may_publish("a/b")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://other.example"},
        {"aud": "other"},
        {"aud": None},
        {"iss": None},
        {"exp": None},
        {"sub": None},
        {"nbf": int(time.time()) + 3600},
        {"exp": "soon"},
    ],
    ids=["issuer", "audience", "no-audience", "no-issuer", "no-expiry", "no-subject", "not-yet", "expiry-text"],
)
def test_wrong_claims_do_not_hold(wrong):
    with failing(Unauthenticated, kind="unauthenticated"):
        judge()(jwt.encode(claims(**wrong), SECRET, "HS256"))


def test_an_expired_one_is_told_as_such_only_when_its_signature_holds():
    old = claims(exp=int(time.time()) - 3600)
    with pytest.raises(Unauthenticated, match="expired"):
        judge()(jwt.encode(old, SECRET, "HS256"))
    with failing(Unauthenticated, kind="unauthenticated"):
        judge()(jwt.encode(old, "x" * 40, "HS256"))


def test_without_a_signature_or_with_another_algorithm_it_does_not_hold():
    for text in (
        jwt.encode(claims(), None, "none"),
        jwt.encode(claims(), SECRET * 2, "HS512"),
        jwt.encode(claims(), SECRET, "HS256")[:-2],
        "a.b.c",
        "",
        "x" * 20000,
    ):
        with pytest.raises(Unauthenticated):
            judge()(text)


def key_set(tmp_path, *keys):
    file = tmp_path / "jwks.json"
    found = []
    for name, key in keys:
        made = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        found.append({**json.loads(made.to_jwk(key.public_key())), "kid": name, "use": "sig"})
    file.write_text(json.dumps({"keys": found}))
    return str(file)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_public_keys_are_found_by_their_id(tmp_path, algorithm):
    def make():
        if algorithm == "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(65537, 2048)

    one, other, stranger = make(), make(), make()
    file = key_set(tmp_path, ("one", one), ("other", other))
    ask = judge(JwtSettings(algorithm=algorithm, issuer=SHARED.issuer, audience=SHARED.audience, jwks_file=file))
    assert ask(jwt.encode(claims(), other, algorithm, headers={"kid": "other"})).role == "operator"
    for key, kid in ((one, "other"), (stranger, "one"), (one, "nobody"), (one, None)):
        with pytest.raises(Unauthenticated):
            ask(jwt.encode(claims(), key, algorithm, headers={"kid": kid} if kid else None))


def test_a_public_key_is_never_taken_for_a_shared_secret(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    file = key_set(tmp_path, ("one", key))
    ask = judge(JwtSettings(algorithm="RS256", issuer=SHARED.issuer, audience=SHARED.audience, jwks_file=file))
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = jwt.encode(claims(), base64.b64encode(public), "HS256", headers={"kid": "one"})
    with pytest.raises(Unauthenticated):
        ask(forged)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "eA"}]}'])
def test_a_file_that_is_no_key_set_is_said(tmp_path, text):
    file = tmp_path / "jwks.json"
    file.write_text(text)
    with pytest.raises(JwtWrong):
        judge(JwtSettings(algorithm="RS256", issuer="i", audience="a", jwks_file=str(file)))
    with pytest.raises(JwtWrong):
        judge(JwtSettings(algorithm="RS256", issuer="i", audience="a", jwks_file=str(tmp_path / "nothing")))


def test_a_short_secret_is_refused():
    with pytest.raises(JwtWrong, match="32"):
        judge(JwtSettings(algorithm="HS256", issuer="i", audience="a", key="short"))


@pytest.mark.parametrize(
    ("given", "claim", "role"),
    [
        ({"role": "viewer"}, "role", "viewer"),
        ({"roles": ["x", "viewer", "admin"]}, "roles", "admin"),
        ({"realm_access": {"roles": ["operator"]}}, "realm_access.roles", "operator"),
        ({"https://gatepost.example/role": "viewer"}, "https://gatepost.example/role", "viewer"),
        ({"role": "king"}, "role", None),
        ({"role": {"viewer": 1}}, "role", None),
        ({}, "role", None),
    ],
)
def test_where_the_role_stands(given, claim, role):
    assert role_in(given, claim) == role


def test_one_without_a_role_may_do_nothing():
    with pytest.raises(Forbidden):
        judge()(jwt.encode(claims(role="king"), SECRET, "HS256"))


async def test_over_the_api_as_settings_say(remote):
    text = jwt.encode(claims(role="viewer"), SECRET, "HS256")
    headers = {"authorization": f"Bearer {text}"}
    assert (await remote.http.get("/api/v1/status", headers=headers)).status_code == 401
    listen = remote.app.settings.api.listen
    await remote.server.apply(listening(remote.app, listen=listen, jwt=SHARED))
    assert (await remote.http.get("/api/v1/status", headers=headers)).status_code == 200
    assert (await remote.http.get("/api/v1/tokens", headers=headers)).status_code == 403
    assert (await remote.http.get("/api/v1/status", headers=await remote.as_("viewer"))).status_code == 200
    await remote.server.apply(listening(remote.app, listen=listen))
    assert (await remote.http.get("/api/v1/status", headers=headers)).status_code == 401


async def test_a_certificate_that_broke_takes_nobody_s_token_away(remote, tmp_path):
    tls = write_certificate(tmp_path)
    api = listening(remote.app, jwt=SHARED, tls=tls)
    await remote.server.apply(api)
    (tmp_path / "cert.pem").write_text("no certificate")
    await remote.server.apply(api)
    assert remote.server.trouble
    headers = {"authorization": f"Bearer {jwt.encode(claims(role='viewer'), SECRET, 'HS256')}"}
    async with httpx.AsyncClient(verify=False) as http:
        assert (await http.get(f"https://{api.listen}/api/v1/status", headers=headers)).status_code == 200


async def test_keys_of_settings_that_were_refused_are_not_taken(remote, tmp_path):
    api = listening(remote.app, tls=write_certificate(tmp_path))
    await remote.server.apply(api)
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ListenWrong):
        await remote.server.apply(msgspec.structs.replace(api, jwt=SHARED))
    headers = {"authorization": f"Bearer {jwt.encode(claims(role='viewer'), SECRET, 'HS256')}"}
    async with httpx.AsyncClient(verify=False) as http:
        assert (await http.get(f"https://{api.listen}/api/v1/status", headers=headers)).status_code == 401
