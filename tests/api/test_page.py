"""The files of the web page: who gets them, with which headers, and what is none of them."""

from __future__ import annotations

import pytest

from gatepost.agent.api.handlers.web_page import WEB

FILES = sorted(file.name for file in WEB.iterdir() if file.suffix in (".js", ".css", ".svg"))


async def test_the_page_is_for_everybody_and_strict(remote):
    answer = await remote.http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"


async def test_every_file_it_names_is_there_and_all_are_small(remote):
    text = (await remote.http.get("/")).text
    total = len(text)
    for name in FILES:
        answer = await remote.http.get(f"/static/{name}")
        assert answer.status_code == 200, name
        total += len(answer.content)
    assert total < 100_000
    assert {"main.js", "style.css", "icon.svg"} <= set(FILES)
    assert all(f'"/static/{name}"' in text for name in ("main.js", "style.css", "icon.svg"))


async def test_what_a_browser_has_is_not_sent_again(remote):
    first = await remote.http.get("/static/main.js")
    again = await remote.http.get("/static/main.js", headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (await remote.http.get("/static/main.js", headers={"if-none-match": '"other"'})).status_code == 200


async def test_head_has_no_body(remote):
    answer = await remote.http.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["nothing.js", "__init__.py", "index.html", "..%2fapp.py", "%2e%2e", "main.js%00", "a%0a.js", "main.js/"]
)
async def test_nothing_else_is_served(remote, path):
    answer = await remote.http.get(f"/static/{path}")
    assert (answer.status_code, answer.json()["error"]["key"]) == (404, "not-found")


def test_the_page_names_no_other_address_and_makes_no_markup_of_data():
    for file in [*WEB.glob("*.js"), *WEB.glob("*.html"), *WEB.glob("*.css")]:
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        for word in ("http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (file.name, word)


async def test_drivers_are_named_and_one_is_explained(http):
    names = (await http.get("/api/v1/drivers")).json()["drivers"]
    assert "lines" in names
    found = (await http.get("/api/v1/drivers/lines")).json()
    assert found["title"]
    assert found["options"]
    missing = await http.get("/api/v1/drivers/nothing")
    assert (missing.status_code, missing.json()["error"]["key"]) == (404, "not-found")
