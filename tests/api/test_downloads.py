"""Files to take away: a backup and a support bundle, made by the verbs of the command line."""

from __future__ import annotations

import asyncio
import io
import tarfile

import pytest
import yaml

from gatepost.agent.api.handlers import downloads
from gatepost.client import AsyncGatewayClient, GatewayClient


@pytest.fixture
def settings(app, tmp_path, socket_path, monkeypatch):
    """The files that the command line reads; `app` has the same in memory."""
    place = tmp_path / "downloads"
    place.mkdir()
    monkeypatch.setattr(downloads, "PLACE", place)
    text = yaml.safe_dump(
        {"gateway": {"id": "ward-7", "state_dir": str(tmp_path)}, "api": {"socket": str(socket_path)}}
    )
    (tmp_path / "gatepost.yaml").write_text(text)
    return place


def names_in(content: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return set(archive.getnames())


async def test_a_backup_is_a_file_with_settings_and_log(app, http, settings):
    await app.take()
    answer = await http.get("/api/v1/backup", timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/gzip")
    assert answer.headers["content-disposition"].startswith('attachment; filename="gatepost-ward-7-backup-')
    assert answer.headers["cache-control"] == "no-store"
    assert {"settings/gatepost.yaml", "state/gatepost.db"} <= names_in(answer.content)
    assert list(settings.iterdir()) == []
    assert "backup-downloaded" in {entry["what"] for entry in await app.audit.tail()}


async def test_a_support_bundle_says_what_is_the_matter(app, http, settings):
    answer = await http.get("/api/v1/support-bundle", timeout=60)
    assert answer.status_code == 200, answer.text
    assert {"gatepost-bundle/findings.json", "gatepost-bundle/versions.json"} <= names_in(answer.content)
    assert list(settings.iterdir()) == []


async def test_both_clients_take_them_away(app, server, settings):
    await app.take()
    pieces = [piece async for piece in AsyncGatewayClient(server.path).backup()]
    assert "state/gatepost.db" in names_in(b"".join(pieces))
    content = await asyncio.to_thread(lambda: b"".join(GatewayClient(server.path).support_bundle()))
    assert "gatepost-bundle/findings.json" in names_in(content)


async def test_what_cannot_be_made_is_an_error_with_its_reason(app, http, settings, tmp_path):
    (tmp_path / "gatepost.yaml").write_text("gateway: [")
    answer = await http.get("/api/v1/backup", timeout=60)
    assert answer.status_code == 503
    assert "could not be made" in answer.json()["error"]["message"]
    assert list(settings.iterdir()) == []
    assert downloads._making == set()
