"""Commands of the fleet side, as a person types them, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("asyncpg")

from gatepost_fleet.demo.servers import LocalPostgres
from gatepost_fleet.main import app
from gatepost_fleet.message import parse
from gatepost_fleet.postgres_sink import PostgresSink

STATE = "groups: [{settings: {logging: {level: info}}}, {labels: {site: n}, settings: {logging: {level: debug}}}]"


class Shell:
    """Commands with a settings file of their own."""

    def __init__(self, folder: Path, database: str) -> None:
        self._config = folder / "fleet.yaml"
        self._config.write_text(f"source: nats://127.0.0.1:1\nsink: {database}\nkey: {folder}/key.pem\nkey_id: k-1\n")

    async def __call__(self, *words: str) -> Result:
        """A thread of its own, for each command runs a loop of its own."""
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--config", str(self._config)])

    async def ok(self, *words: str) -> str:
        result = await self(*words)
        assert result.exit_code == 0, result.output
        return result.output


async def test_from_a_key_to_the_answer_of_a_gateway(tmp_path: Path, database: Any, postgres: LocalPostgres) -> None:
    shell = Shell(tmp_path, postgres.url)
    state = tmp_path / "state.yaml"
    state.write_text(STATE)
    missing = await shell("rollout", "start", str(state))
    assert (missing.exit_code, "key.pem" in missing.output) == (1, True)
    assert "{id: k-1, ed25519: " in await shell.ok("key", str(tmp_path / "key.pem"))
    unreachable = await shell("run")
    assert (unreachable.exit_code, "`broker`" in unreachable.output) == (1, True)
    nobody = await shell("rollout", "start", str(state))
    assert (nobody.exit_code, "no known gateway" in nobody.output) == (1, True)
    sink = PostgresSink(postgres.url)
    await sink.open()
    await sink.write([each for n in range(4) for each in parse(f"gateways/ward-{n}/status", b'{"status": "online"}')])
    await shell.ok("labels", "set", "ward-2", "site=n")
    rendered = json.loads(await shell.ok("desired", "render", str(state), "ward-2"))
    assert rendered["settings"] == {"logging": {"level": "debug"}}
    started = json.loads(await shell.ok("rollout", "start", str(state), "--json", "-g", "ward-*", "--waves", "1,100%"))
    assert started == {"id": "r-1", "version": 1, "waves": [1, 4]}
    assert "r-1      running  wave 0 of 2  nothing sent" in await shell.ok("rollout", "list")
    await shell.ok("rollout", "pause", "r-1")
    assert "paused" in (await shell("rollout", "pause", "r-1")).output
    # One that lies is not believed.
    for topic, body in (("reported", {"version": 2**60, "status": "applied"}), ("desired/get", {"have": 2**60})):
        await sink.write(parse(f"gateways/ward-3/{topic}", orjson.dumps(body)))
    # A gateway that knows of a higher version than the tables: the next one is above it.
    await sink.write(parse("gateways/ward-1/desired/get", b'{"have": 41, "hash": "sha256:0"}'))
    typo = await shell("desired", "publish", str(state), "-g", "ward-9", "-g", "ward-1")
    assert (typo.exit_code, "ward-9 was never heard" in typo.output) == (1, True)
    assert "version 42" in await shell.ok("desired", "publish", str(state), "-g", "ward-9", "-g", "ward-1", "--force")
    envelope = orjson.loads(await database.fetchval("select envelope from desired where gateway_id = 'ward-9'"))
    assert orjson.loads(envelope["payload"])["version"] == 42
    await database.execute("update gateway set desired = 42 where id = 'ward-1'")
    report = {"version": 42, "status": "applied", "gateway_id": "ward-1", "timestamp": "2026-11-29T10:00:00Z"}
    for status in ("applied", "trying", "stale"):  # out of order, and a repeat
        await sink.write(parse("gateways/ward-1/reported", orjson.dumps({**report, "status": status})))
    assert "as desired" in await shell.ok("desired", "show", "ward-1")
    await sink.write(parse("gateways/ward-2/reported", orjson.dumps({**report, "version": 60})))
    await sink.close()
    assert "not known here" in await shell.ok("desired", "show", "ward-2")
    (line,) = json.loads(await shell.ok("desired", "show", "ward-1", "--json"))
    assert (line["desired"], line["status"]) == (42, "applied")
    # A rollout that is over tells what became of it, and a gateway that is none can be taken out.
    await database.execute("update rollout set state = 'done', wave = 1 where version = 42")
    assert "r-42     ended    wave 1 of 1  1 applied, 1 waiting" in await shell.ok("rollout", "list")
    await shell.ok("labels", "set", "ward-9", "site=n")  # a line of it, as a wave makes one
    head, *lines = (await shell.ok("status")).splitlines()
    assert head.split() == ["GATEWAY", "STATE", "SAYS", "SILENT", "MISSING", "DESIRED", "REPORTED", "NOTES"]
    cells = {line.split()[0]: line.split()[1:] for line in lines}
    assert [cells["ward-1"][at] for at in (0, -3, -2, -1)] == ["well", "0", "42", "applied"]
    assert cells["ward-9"][:3] == ["silent", "unknown", "never"]
    still = await shell("desired", "publish", str(state), "-g", "ward-9")
    assert (still.exit_code, "ward-9 was never heard" in still.output) == (1, True)
    assert "ward-9 is forgotten" in await shell.ok("forget", "ward-9")
    assert "ward-9" not in await shell.ok("status")
    assert "r-42     done     wave 1 of 1  1 applied" in await shell.ok("rollout", "list")
    again = await shell("forget", "ward-9")
    assert (again.exit_code, "there is no gateway ward-9" in again.output) == (1, True)


def test_a_key_needs_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, ["key", "one.pem"])
    assert (made.exit_code, "{id: fleet, ed25519: " in made.output) == (0, True)
    named = CliRunner().invoke(app, ["key", "two.pem", "--id", "fleet-2026-11"])
    assert (named.exit_code, "{id: fleet-2026-11, ed25519: " in named.output) == (0, True)
    for words in (["--id", "a b"], ["--config", "other.yaml"]):
        assert CliRunner().invoke(app, ["key", "three.pem", *words]).exit_code == 1
    assert not (tmp_path / "three.pem").exists()


def test_help_is_plain_text_as_that_of_the_agent() -> None:
    for words in ([], ["rollout"], ["rollout", "start"], ["ingest"]):
        shown = CliRunner().invoke(app, [*words, "--help"])
        assert shown.exit_code == 0
        assert shown.output.startswith("Usage: ")
        assert not any("\u2500" <= letter <= "\u257f" for letter in shown.output), shown.output  # box drawings
