"""Verbs of desired state: `desired ...` and `rollout ...` and the key that signs both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from gatepost.agent.core.printable import printable
from gatepost_fleet import desired_state
from gatepost_fleet.desired_state import StartedRollout
from gatepost_fleet.rollout import WAVES, RolloutPlan, ending
from gatepost_fleet.settings import DEFAULT_KEY_ID, KEY_ID
from gatepost_fleet.signing import KeyUnusable, SigningKey
from gatepost_fleet.state_file import Issue, StateFile, StateFileWrong, document, read_state, settings_of
from gatepost_fleet.terminal import DEFAULT_CONFIG, AsJson, Config, fail, settings_from, with_database

desired = typer.Typer(no_args_is_help=True, help="Settings that gateways are to have: signed, sent and reported.")
rollout = typer.Typer(no_args_is_help=True, help="Desired state in waves; a failing wave ends the rollout.")
labels = typer.Typer(no_args_is_help=True, help="Labels of gateways, by which a state file groups them.")

StatePath = Annotated[Path, typer.Argument(help="YAML file with groups of gateways and their settings")]
Gateways = Annotated[list[str], typer.Option("--gateway", "-g", help="id or pattern, such as 'ward-*'; repeatable")]
Force = Annotated[bool, typer.Option("--force", help="also gateways that were never heard")]
RolloutId = Annotated[str, typer.Argument(help="as `rollout list` shows it")]
ALL_GATEWAYS: list[str] = ["*"]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def make_key(
    path: Annotated[Path, typer.Argument(help="file that the private half is written to")],
    config: Config = DEFAULT_CONFIG,
    key_id: Annotated[
        str | None, typer.Option("--id", help="its name, as gateways know it; else `key_id` of the settings, if any")
    ] = None,
) -> None:
    """Make a key that signs desired state.

    Prints what gateways must know of it.

    Example: gatepost-fleet key /etc/gatepost-fleet/signing.pem
    """
    if key_id is not None and not re.fullmatch(KEY_ID, key_id):
        fail(f"{key_id!r} is no name of a key: letters, digits, `_`, `.` and `-`, at most 64")
    # A key is made before there are settings. Settings that are named, or wrong, are another matter.
    unsettled = config == DEFAULT_CONFIG and not config.exists()
    name = key_id or (DEFAULT_KEY_ID if unsettled else settings_from(config).key_id)
    try:
        key = SigningKey.create(name, path)
    except KeyUnusable as error:
        fail(str(error))
    print(f"fleet:\n  keys:\n    - {{id: {key.name}, ed25519: {key.public}}}")


@desired.command("publish")
def publish(
    file: StatePath, gateway: Gateways, force: Force = False, config: Config = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Send gateways a desired state at once, without waves.

    Example: gatepost-fleet desired publish state.yaml --gateway ward-7
    """
    plan = RolloutPlan([], 0.0, 1.0, timedelta(days=1), timedelta(0))
    _started(_start(config, file, gateway, "100%", plan, force), as_json)


@desired.command("render")
def render(file: StatePath, gateway: str, config: Config = DEFAULT_CONFIG) -> None:
    """Print the document that a gateway would get.

    It is neither signed nor sent.

    Example: gatepost-fleet desired render state.yaml ward-7
    """
    state = _state(file)

    async def look(connection: Any) -> dict[str, Any] | None:
        known = await desired_state.labels_of(connection, gateway)
        settings = settings_of(state, gateway, known)
        return None if settings is None else document(state, gateway, Issue(1, "", datetime.now(UTC)), settings)

    found = with_database(settings_from(config), look)
    if found is None:
        fail(f"no group of {file} holds {gateway}")
    print(json.dumps(found, indent=2))


@desired.command("show")
def show(
    gateway: Annotated[str | None, typer.Argument(help="only this one, with all that it reported")] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the desired and reported version of each gateway.

    Example: gatepost-fleet desired show ward-7
    """
    lines = with_database(settings_from(config), lambda connection: desired_state.show_desired(connection, gateway))
    if as_json:
        print(json.dumps(lines))
        return
    for line in lines:
        reported = line["reported"] or {}
        told = f"{reported.get('version')} {reported.get('status')}" if reported else "nothing"
        state = "as desired" if line["status"] == "applied" else line["status"] or "no answer"
        if reported.get("status") == "applied" and (reported.get("version") or 0) > (line["desired"] or 0):
            state = "not known here: roll out again"
        print(f"{printable(line['id']):<24} desired {line['desired'] or '-':<8} reported {told:<20} {state}")
    if gateway is not None and lines and lines[0]["reported"]:
        print(json.dumps(lines[0]["reported"], indent=2))


@desired.command("confirm")
def confirm(gateway: str, config: Config = DEFAULT_CONFIG) -> None:
    """Confirm the document that a gateway has on trial.

    Needed where it asks for a person (`confirm: {manual: true}`).

    Example: gatepost-fleet desired confirm ward-7
    """
    version = with_database(settings_from(config), lambda connection: desired_state.confirm(connection, gateway))
    print(f"{gateway}: version {version} is confirmed; `gatepost-fleet run` tells the gateway")


def forget(gateway: str, config: Config = DEFAULT_CONFIG) -> None:
    """Remove a gateway from the fleet; its readings stay.

    Its line, labels, accounts and desired state go; events stay. It comes back when it publishes again.

    Example: gatepost-fleet forget ward-77
    """
    with_database(settings_from(config), lambda connection: desired_state.forget(connection, gateway))
    print(f"{gateway} is forgotten; its readings stay")


@rollout.command("start")
def start(
    file: StatePath,
    gateway: Gateways = ALL_GATEWAYS,
    waves: Annotated[str, typer.Option(help="gateways of each wave and those before it")] = WAVES,
    success: Annotated[float, typer.Option(min=0, max=100, help="percent that must have applied it")] = 95,
    failures: Annotated[float, typer.Option(min=0, max=100, help="percent of failures above which it ends")] = 2,
    silence: Annotated[str, typer.Option(help="a wave that takes longer is paused")] = "30m",
    soak: Annotated[str, typer.Option(help="a wave takes at least so long")] = "0s",
    force: Force = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Send gateways a desired state in waves.

    Example: gatepost-fleet rollout start state.yaml --waves 1,10%,100% --soak 1h
    """
    plan = RolloutPlan([], success / 100, failures / 100, _duration(silence), _duration(soak))
    _started(_start(config, file, gateway, waves, plan, force), as_json)


@rollout.command("list")
def list_rollouts(
    ended: Annotated[int, typer.Option(min=0, help="how many ended ones to show")] = desired_state.ENDED_SHOWN,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List rollouts that run, and the newest that ended.

    Also paused ones, with their progress and reports.

    Example: gatepost-fleet rollout list
    """
    lines = with_database(settings_from(config), lambda connection: desired_state.show_rollouts(connection, ended))
    if as_json:
        print(json.dumps(lines))
        return
    for line in lines:
        told = ", ".join(f"{count} {status}" for status, count in sorted(line["reports"].items()))
        waves, state = f"wave {line['wave']} of {len(line['waves'])}", ending(line["state"], line["reports"])
        print(f"{line['id']:<8} {state:<8} {waves:<12} {told or 'nothing sent'} {line['reason']}".rstrip())


@rollout.command("pause")
def pause(rollout: RolloutId, config: Config = DEFAULT_CONFIG) -> None:
    """Pause a rollout: nothing more of it is sent until it is resumed."""
    _change(config, rollout, "pause")


@rollout.command("resume")
def resume(rollout: RolloutId, config: Config = DEFAULT_CONFIG) -> None:
    """Resume a rollout that was paused, by a person or by silence."""
    _change(config, rollout, "resume")


@rollout.command("abort")
def abort(rollout: RolloutId, config: Config = DEFAULT_CONFIG) -> None:
    """End a rollout: gateways that applied it keep it. To go back, roll out the older file."""
    _change(config, rollout, "abort")


@labels.command("set")
def set_labels(
    gateway: str,
    label: Annotated[list[str] | None, typer.Argument(help="name=value; none removes all")] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Set the labels of a gateway; they replace the earlier ones.

    Example: gatepost-fleet labels set ward-7 site=north floor=2
    """
    found = {}
    for each in label or ():
        name, equals, value = each.partition("=")
        if not equals or not name:
            fail(f"{each!r} is not name=value")
        found[name] = value
    with_database(settings_from(config), lambda connection: desired_state.set_labels(connection, gateway, found))


def _start(config: Path, file: Path, gateways: list[str], waves: str, plan: RolloutPlan, force: bool) -> StartedRollout:
    settings, state = settings_from(config), _state(file)
    if settings.key is None:
        fail(f"{config} names no `key`; `gatepost-fleet key PATH` makes one")
    try:
        key = SigningKey.load(settings.key_id, Path(settings.key))
    except KeyUnusable as error:
        fail(str(error))
    return with_database(
        settings, lambda connection: desired_state.start_rollout(connection, key, state, gateways, waves, plan, force)
    )


def _started(started: StartedRollout, as_json: bool) -> None:
    if as_json:
        print(json.dumps(started._asdict()))
        return
    waves = ", ".join(map(str, started.waves))
    print(f"{started.id}: version {started.version}, gateways in waves: {waves}; `gatepost-fleet run` sends it")


def _change(config: Path, name: str, action: str) -> None:
    with_database(settings_from(config), lambda connection: desired_state.change_rollout(connection, name, action))


def _state(path: Path) -> StateFile:
    try:
        return read_state(path)
    except StateFileWrong as error:
        fail(str(error))


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,7})([smhd])", text)
    if match is None:
        fail(f"{text!r} is no duration such as 30m")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
