from __future__ import annotations

import pytest


def told(read, text):
    problems = read("api:\n" + "".join(f"  {line}\n" for line in text)).problems
    return sorted(f"{problem.code} {problem.key}" for problem in problems if problem.code != "plain-secret")


TLS = "tls: {cert: /c, key: /k}"
JWT = "jwt: {algorithm: HS256, key: {env: K}, issuer: i, audience: a}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (["listen: 127.0.0.1:8765"], []),
        (["listen: '[::1]:8765'"], []),
        (["listen: localhost:8765"], []),
        (["listen: 127.0.0.1:8765", TLS], []),
        (["listen: 0.0.0.0:8765", TLS], []),
        (["listen: 0.0.0.0:8765"], ["insecure api.listen"]),
        (["listen: '[::]:8765'"], ["insecure api.listen"]),
        (["listen: 192.0.2.7:8765"], ["insecure api.listen"]),
        (["listen: ward-7.local:8765"], ["insecure api.listen"]),
        (["listen: 8765"], ["bad-address api.listen"]),
        (["listen: ':8765'"], ["bad-address api.listen"]),
        (["listen: 127.0.0.1:0"], ["bad-address api.listen"]),
        (["listen: 127.0.0.1:70000"], ["bad-address api.listen"]),
        (["listen: ::1:8765"], ["bad-address api.listen"]),
        ([TLS], ["no-effect api.tls"]),
        (["cors_origins: [https://ward.example, 'http://192.0.2.7:8080']"], []),
        (["cors_origins: ['*']"], ["bad-origin api.cors_origins.0"]),
        (["cors_origins: [https://ward.example/]"], ["bad-origin api.cors_origins.0"]),
        ([JWT], []),
        ([JWT.replace("HS256", "none")], ["bad-choice api.jwt.algorithm"]),
        ([JWT.replace("HS256", "RS256")], ["missing api.jwt.algorithm", "no-effect api.jwt.key"]),
        ([JWT.replace("issuer: i", "issuer: ''")], ["bad-value api.jwt.issuer"]),
        (["jwt: {algorithm: ES256, jwks_file: /j, issuer: i, audience: a}"], []),
    ],
)
def test_what_is_told_about_the_api(read, text, found):
    assert told(read, text) == found


def test_beyond_this_machine_without_tls_only_when_it_is_meant(read):
    refused = read("api: {listen: '0.0.0.0:8765'}")
    assert [problem.code for problem in refused.errors] == ["insecure"]
    meant = read("api: {listen: '0.0.0.0:8765', insecure: true}")
    assert not meant.errors
    assert [problem.code for problem in meant.problems] == ["insecure"]
