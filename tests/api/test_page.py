"""The files of the web page: who gets them, with which headers, and what is none of them."""

from __future__ import annotations

import re

import pytest

from gatepost.agent.api.handlers.web_page import WEB

KINDS = (".js", ".css", ".svg", ".webmanifest")
FILES = sorted(file.relative_to(WEB).as_posix() for file in WEB.rglob("*") if file.suffix in KINDS)
LANGUAGES = sorted(file.stem for file in (WEB / "lang").glob("*.js"))
LARGEST = 100_000  # octets of all that one browser can ask for, as they are sent


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


async def test_every_file_is_served_and_all_are_small(remote):
    text = (await remote.http.get("/")).text
    sizes = {"index.html": len(text)}
    for name in FILES:
        answer = await remote.http.get(f"/static/{name}")
        assert answer.status_code == 200, name
        sizes[name] = int(answer.headers["content-length"])
    languages = [sizes.pop(f"lang/{name}.js") + sizes.pop(f"help/{name}.js", 0) for name in LANGUAGES]
    page = {name: size for name, size in sizes.items() if not name.startswith("docs.")}
    assert sum(page.values()) + max(languages) < LARGEST
    assert {"main.js", "style.css", "icon.svg", "page.webmanifest", "core/chart.js"} <= set(FILES)
    assert all(f'"/static/{name}"' in text for name in ("main.js", "style.css", "icon.svg", "page.webmanifest"))


async def test_who_takes_no_compressed_file_gets_it_plain(remote):
    packed = await remote.http.get("/static/main.js")
    plain = await remote.http.get("/static/main.js", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    assert "accept-encoding" in plain.headers["vary"]
    again = await remote.http.get("/static/main.js", headers={"if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_files_are_served_without_comments_and_every_line_of_code_is_left(remote):
    for name in FILES:
        text = (WEB / name).read_text("utf-8")
        served = (await remote.http.get(f"/static/{name}")).text
        code = [line.strip() for line in text.splitlines()]
        assert served.splitlines() == [line for line in code if line and not line.startswith("//")], name
        if name.endswith(".js"):  # a text over more than one line would lose its indentation
            for line in code:
                bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
                assert line.startswith("//") or bare.count("`") % 2 == 0, (name, line)
                assert "/*" not in bare, (name, line)


def test_the_chart_is_one_module_of_modest_size():
    assert len((WEB / "core" / "chart.js").read_text("utf-8").splitlines()) <= 400


def test_what_modules_import_is_there():
    for file in WEB.rglob("*.js"):
        for name in re.findall(r"(?:from |import\()\"(\.[^\"]+)\"", file.read_text("utf-8")):
            assert (file.parent / name).is_file(), (file.name, name)


def words_of(language: str) -> dict[str, str]:
    """Key to the raw text of each entry of a catalogue."""
    text = (WEB / "lang" / f"{language}.js").read_text("utf-8")
    entries = re.findall(r'(?:"([\w.-]+)"|\b([a-z]+)): ("(?:[^"\\]|\\.)*"|\[[^\]]*\])', text)
    return {quoted or bare: value for quoted, bare, value in entries}


def test_every_language_says_the_same_things():
    english = words_of("en")
    assert len(english) > 300
    for language in LANGUAGES:
        words = words_of(language)
        assert set(words) == set(english), language
        for key, value in words.items():
            assert set(re.findall(r"\{\w+\}", value)) == set(re.findall(r"\{\w+\}", english[key])), (language, key)


def test_every_key_that_the_page_names_is_in_the_catalogue():
    english = words_of("en")
    for file in WEB.rglob("*.js"):
        for key in re.findall(r'\bt\("([^"$]+)"', file.read_text("utf-8")):
            assert key in english, (file.name, key)


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
    "path",
    [
        "nothing.js",
        "core/nothing.js",
        "core/",
        "core/sub/main.js",
        "__init__.py",
        "index.html",
        "..%2fapp.py",
        "%2e%2e",
        "main.js%00",
        "a%0a.js",
        "main.js/",
    ],
)
async def test_nothing_else_is_served(remote, path):
    answer = await remote.http.get(f"/static/{path}")
    assert (answer.status_code, answer.json()["error"]["key"]) == (404, "not-found")


def test_the_page_names_no_other_address_and_makes_no_markup_of_data():
    for file in [*WEB.rglob("*.js"), *WEB.glob("*.html"), *WEB.glob("*.css"), *WEB.glob("*.webmanifest")]:
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


async def test_formats_are_named_and_one_is_explained(http):
    assert (await http.get("/api/v1/formats")).json()["formats"][0] == "devices"
    found = (await http.get("/api/v1/formats/homeassistant")).json()
    assert found["summary"]
    assert "properties" in next(iter(found["options"]["$defs"].values()))
    missing = await http.get("/api/v1/formats/nothing")
    assert (missing.status_code, missing.json()["error"]["key"]) == (404, "not-found")
