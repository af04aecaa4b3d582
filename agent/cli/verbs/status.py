"""`gatepost status`: the agent on one screen."""

from __future__ import annotations

from typing import Any

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected
from gatepost.agent.cli.support.formatting import ago, count, size, span
from gatepost.agent.cli.support.output import say, say_json, state, table
from gatepost.agent.cli.verbs.brokers import address, owed
from gatepost.agent.cli.verbs.devices import BELOW, PATHS, rows

LABEL = 10


def status_verb(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Show the agent on one screen.

    Clock, store, settings, devices, brokers and what they are owed.

    \b
    Example:
      gatepost status
      gatepost status --socket /tmp/trial/api.sock --json
    """
    answer = connected(socket, config).status()
    if json:
        say_json(answer)
        return
    _head(answer)
    if answer["devices"]:
        say()
        devices = [row[:6] + row[7:] for row in rows(answer["devices"])]
        table(("device", "status", "driver", "port", "readings", "last", "why"), devices, ("status",), BELOW, PATHS)
    if answer["brokers"]:
        say()
        columns = ("broker", "state", "address", "delivered", "owed", "oldest", "why")
        table(columns, map(_broker, answer["brokers"]), ("state",), ("why", "delivered", "address"))


def _head(answer: dict[str, Any]) -> None:
    gateway, clock, store = answer["gateway"], answer["clock"], answer["store"]
    up = f"up {span(answer['uptime'])}" if answer.get("uptime") is not None else ""
    say("  ".join(part for part in (f"gateway   {gateway['id']}", answer.get("version") or "", up) if part))
    mark = state("synchronised") if clock["synchronised"] else state("unsynchronised")
    say(f"clock     {mark}, {clock['now'][:19]}Z")
    figures = f"{size(store.get('bytes'))}, {count(store.get('stored'))} stored since the start"
    figures += f", {count(store['queue'])} waiting" if store.get("queue") else ""
    say(f"store     {state(store['state'])}, {figures}", LABEL)
    settings = answer.get("settings") or {}
    say(f"settings  {settings_line(settings)}", LABEL)
    if told := trial_line(settings, answer.get("fleet") or {}):
        say(f"trial     {told}", LABEL)
    for part in ("api", "listener"):
        if trouble := (answer.get(part) or {}).get("trouble"):
            say(f"{part:<9} {state('not served')}: {trouble} (gatepost doctor)", LABEL)
    if answer.get("fleet"):
        say(f"fleet     {fleet_line(answer['fleet'])}", LABEL)


def settings_line(settings: dict[str, Any]) -> str:
    """Whether the files hold, and how the last reload ended."""
    last = settings.get("reload")
    if settings.get("last_good"):
        wrong = count(len(settings.get("problems") or []), "problem")
        return f"{state('LAST GOOD ONES')}: {wrong} in the files (gatepost check)"
    if not last:
        return "read at the start"
    if last.get("applied"):
        return f"{state('applied')} {ago(last.get('at'))}"
    problems = last.get("problems") or []
    problems = [text for text in problems if ": warning: " not in text] or problems  # as check counts errors
    why = problems[0] if len(problems) == 1 else count(len(problems), "problem")
    see = "`gatepost reload` tries again" if last.get("tried") else "see `gatepost check`"
    return f"{state('refused')} {ago(last.get('at'))}: {why}; those before are in force ({see})"


UNDONE = {  # reasons for which a trial ended
    "not-confirmed": "not confirmed",
    "restarted": "not confirmed before the agent ended",
    "not-applied": "it could not be put into force",
    "asked": "as somebody asked",
}


def trial_line(settings: dict[str, Any], fleet: dict[str, Any]) -> str:
    """The change on trial, or how the last one was undone; nothing once other settings were read after that."""
    trial, last, reload = settings.get("trial"), settings.get("last_trial"), settings.get("reload") or {}
    if trial:
        alone = trial["by"].startswith("fleet:") and not fleet.get("manual")
        kept = "kept by itself when all is well" if alone else "gatepost confirm"
        return f"{state('on trial')} by {trial['by']}, goes back in {span(trial['left'])}: {kept}"
    if not last or last["state"] != "reverted" or last["ended"] < (reload.get("at") or ""):
        return ""
    return f"{state('undone')} {ago(last['ended'])}: {UNDONE.get(last['reason'], last['reason'])}"


def fleet_line(fleet: dict[str, Any]) -> str:
    """Which desired state is in force, and what became of a newer one."""
    version, decided = fleet.get("version"), fleet.get("decided")
    if decided is None:
        return f"no desired state yet, by broker {fleet['broker']}"
    in_force = f"desired state {version} in force" if version else "no desired state in force"
    if decided == version:
        return f"{in_force}, {state('applied')} {ago(fleet.get('at'))}"
    problems = fleet.get("problems") or []
    why = problems[0]["message"] if problems else fleet.get("reason")
    newer = f"{decided} {state(str(fleet['status']))} {ago(fleet.get('at'))}"
    return f"{in_force}; {newer}{f': {why}' if why else ''}"


def _broker(broker: dict[str, Any]) -> tuple[Any, ...]:
    lanes = broker.get("delivered_by_lane") or {}
    delivered = ", ".join(f"{count(number)} {lane}" for lane, number in lanes.items() if number)
    delivered = delivered or "nothing yet"
    return (broker["name"], broker["state"], address(broker), delivered, *owed(broker), broker.get("reason"))
