"""Settings in the page: files to take away."""

from __future__ import annotations

from .conftest import go, sign_in


async def test_a_bundle_and_a_backup_can_be_taken_away(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/settings/about", "#support-bundle")
    fetched = (
        "const [id, done] = arguments; fetch(document.getElementById(id).href).then(async (answer) =>"
        " done([answer.status, [...new Uint8Array(await answer.arrayBuffer())].slice(0, 2)]))"
    )
    for file in ("support-bundle", "backup"):
        assert await browser.run_async(fetched, file) == [200, [0x1F, 0x8B]], file
