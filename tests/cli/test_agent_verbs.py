from __future__ import annotations

import json
import re

import msgspec
import pytest

from gatepost.agent.cli.verbs.send import tell
from gatepost.agent.cli.verbs.subscribe import _wanted as wanted
from gatepost.agent.settings.model import CommandSettings
from gatepost.agent.store.command_ledger import LedgerEntry


def test_status_on_one_screen(gatepost, agent):
    agent.take()
    shown = gatepost("status")
    assert shown.code == 0
    for part in (
        "ward-7",
        "0.1.0",
        "2 h 3 min",
        "synchronised",
        "stored since the start",
        "oximeter-1",
        "online",
        "hospital",
        "refused",
    ):
        assert part in shown.out
    assert "/dev/ttyUSB9 is not there" in shown.out
    assert "row" not in shown.out  # numbers jump after a repair, and counting would read the whole file
    assert "\x1b" not in shown.out
    assert "P-001" not in shown.out


def test_the_example_of_a_command_is_what_send_takes(gatepost, agent, monkeypatch):
    view = {"name": "read_now", "title": "Weigh", "example": {"stable": True, "unit": "kg"}}
    found = {"id": "cuff-3", "driver": "mqtt", "port": None, "status": "online", "commands": [view]}
    monkeypatch.setattr("gatepost.client.GatewayClient.device", lambda *_: found)
    shown = gatepost("devices", "cuff-3").out
    assert "such as stable=true unit=kg" in shown
    assert "  driver    mqtt\n" in shown


def test_status_says_that_the_newest_settings_were_refused(gatepost, agent):
    agent.app.last_reload = {
        "applied": False,
        "at": "2024-11-18T00:00:00Z",
        "reason": "file change",
        "changed": [],
        "problems": [
            "/x.yaml:2:1: brokers.b.password: warning: a secret in plain text",
            "/x.yaml:3:1: devices.a.prt: unknown key; did you mean port?",
        ],
    }
    assert "refused" in gatepost("status").out
    assert "devices.a.prt" in gatepost("status").out
    shown = gatepost("doctor")
    assert shown.code == 1
    assert "devices.a.prt" in shown.out


def test_status_says_what_could_not_be_put_into_force_and_what_is_not_served(gatepost, agent):
    agent.app.listener.trouble = "listener.listen: 127.0.0.1:1883 cannot be listened at: in use"
    problem = "api.listen: 127.0.0.1:80 cannot be listened at: in use; choose another api.listen"
    agent.app.last_reload = {"applied": False, "at": "2024-11-18T00:00:00Z", "problems": [problem], "tried": True}
    shown = gatepost("status").out
    assert "choose another api.listen" in shown
    assert "gatepost check" not in shown
    assert "not served: listener.listen: 127.0.0.1:1883" in shown


def test_status_says_what_is_on_trial_and_that_it_was_undone(gatepost, agent):
    agent.app.trial_told = {"by": "cli", "left": 12.2, "state": "trying", "changed": ["logging.level"]}
    assert "on trial by cli, goes back in 12 s: gatepost confirm" in gatepost("status").out
    agent.app.trial_told = None
    ended = {"state": "reverted", "reason": "not-confirmed", "ended": "2024-11-18T00:00:01Z"}
    agent.app.last_trial_told = ended
    agent.app.last_reload = {"applied": True, "at": "2024-11-18T00:00:00Z"}
    assert "ago: not confirmed" in gatepost("status").out
    agent.app.last_reload = {"applied": True, "at": "2024-11-18T00:00:02Z"}
    assert "undone" not in gatepost("status").out


JSON = {
    ("status",): "devices",
    ("devices",): "devices",
    ("devices", "oximeter-1"): "commands",
    ("brokers",): "brokers",
    ("brokers", "disconnect", "hospital"): "state",
    ("readings",): "readings",
    ("backlog",): "backlog",
    ("send", "oximeter-1", "ping"): "status",
    ("reload",): "applied",
    ("doctor",): "findings",
    ("config", "--running"): "settings",
    ("version",): "gatepost",
    ("drivers",): "drivers",
    ("drivers", "lines"): "options",
}


@pytest.mark.parametrize("verb", JSON, ids=" ".join)
def test_json_of_every_verb(gatepost, agent, verb):
    agent.take()
    shown = gatepost(*verb, "--json")
    assert JSON[verb] in json.loads(shown.out)
    assert shown.err == ""
    assert "open-sesame" not in shown.out


def test_devices_say_why(gatepost, agent):
    shown = gatepost("devices").out
    assert "offline (missing)" in shown
    assert "/dev/ttyUSB9 is not there" in shown
    one = gatepost("devices", "cuff-3").out
    assert "plug it in" in one
    assert "set_interval(interval): " in one
    assert "start_monitoring([interval], [duration]): " in one
    assert "such as interval=30 duration=3600" in one
    assert gatepost("devices", "nobody").code == 1
    agent.app.devices.by_id["cuff-3"].state["reason"] = "asleep"
    for verb in (("devices",), ("status",), ("devices", "cuff-3")):
        assert "offline (asleep)" in gatepost(*verb).out


def test_commands_that_the_settings_do_not_allow_are_marked(gatepost, agent):
    commands = CommandSettings(allow={"oximeter-*": ["ping", "set_interval"]})
    agent.app.settings = msgspec.structs.replace(agent.app.settings, commands=commands)
    lines = gatepost("devices", "oximeter-1").out.splitlines()
    marked = {line.split()[1].split("(")[0]: line.endswith("(not allowed: see commands.allow)") for line in lines[4:]}
    assert (marked["set_interval"], marked["read_now"]) == (False, True)


def test_devices_say_that_a_command_stopped_them(gatepost, agent):
    agent.app.devices.by_id["oximeter-1"].state["monitoring"] = False
    for verb in (("devices",), ("status",), ("devices", "oximeter-1")):
        assert "reporting stopped by a command; `gatepost send oximeter-1 start_monitoring`" in gatepost(*verb).out


def test_devices_say_who_stopped_them_when_that_is_known(gatepost, agent):
    agent.app.devices.by_id["oximeter-1"].state.update(
        monitoring=False,
        reason="monitoring-stopped",
        message="reporting was stopped by a command (cli)",
        hint="start it",
    )
    told = "reporting was stopped by a command (cli); `gatepost send oximeter-1 start_monitoring`"
    assert told in gatepost("devices").out
    assert "to do     start it" in gatepost("devices", "oximeter-1").out
    agent.app.devices.by_id["cuff-3"].state["monitoring"] = False
    assert "start_monitoring" not in gatepost("devices").out.splitlines()[2]


def test_how_long_and_how_often_in_plain_words(gatepost, agent):
    one = gatepost("devices", "oximeter-1").out
    assert re.match(r"oximeter-1: online for \d+ d", one)
    assert "a reading every 1 s" in one
    assert "every reading" in gatepost("devices", "cuff-3").out


def test_brokers_and_their_control(gatepost, agent):
    agent.take()
    shown = gatepost("brokers").out
    assert "mqtt://h:1883" in shown
    assert "bad user name or password" in shown
    one = gatepost("brokers", "hospital").out
    assert one.startswith("hospital: connected ")
    assert "mqtt://h:1883" in one
    assert json.loads(gatepost("brokers", "hospital", "--json").out)["name"] == "hospital"
    assert gatepost("brokers", "nobody").code == 1
    agent.app.brokers.by_name["hospital"].state["reason"] = "it is switched off"
    assert gatepost("brokers", "disconnect", "hospital").out == "hospital is disconnected\n"
    agent.app.brokers.by_name["hospital"].state["reason"] = ""
    assert agent.app.brokers.by_name["hospital"].state["state"] == "disconnected"
    assert gatepost("brokers", "connect", "hospital").out == "hospital is connected\n"
    failed = gatepost("brokers", "connect", "lab")
    assert failed.code == 1
    assert "see its password" in failed.err
    assert gatepost("brokers", "connect", "nobody").code == 1


def test_an_address_that_stands_in_is_the_one_that_is_shown(gatepost, agent):
    hospital = agent.app.brokers.by_name["hospital"].state
    hospital.update(endpoint="mqtt://h:1883")
    assert "failover" not in gatepost("brokers").out
    hospital.update(endpoint="mqtt://standby:1883")
    shown = gatepost("brokers").out
    assert "mqtt://standby:1883 (failover)" in shown
    assert "mqtt://h:1883" not in shown
    assert "mqtt://standby:1883 (failover)" in gatepost("status").out
    hospital.update(url="mqtt://h", endpoint="mqtt://h:1883")
    assert "failover" not in gatepost("brokers").out


def test_backlog(gatepost, agent):
    agent.take()
    agent.take(urgent=True)
    rows = [line.split() for line in gatepost("backlog").out.splitlines()]
    assert rows[0] == ["BROKER", "READINGS", "URGENT", "OLDEST"]
    assert [row[:3] for row in rows[1:]] == [["hospital", "2", "1"], ["lab", "2", "1"]]


def test_gaps_and_dead_letters(gatepost, agent):
    assert gatepost("backlog", "--gaps").out == "nothing was lost\n"
    assert gatepost("backlog", "--dead-letters").out == "no broker refused anything for good\n"
    agent.lose("oximeter-1", 5, "queue-full")
    agent.refuse("lab", 0x99, "payload format invalid")
    agent.refuse("lab", 0x97, "quota exceeded")
    gaps = gatepost("backlog", "--gaps").out.splitlines()
    assert gaps[0].split()[:4] == ["TIME", "READINGS", "REASON", "DEVICE"]
    assert gaps[1].split()[-5:] == ["5", "queue-full", "oximeter-1", "every", "one"]
    letters = gatepost("backlog", "--dead-letters").out.splitlines()
    assert ["payload format invalid" in letters[1], "quota exceeded" in letters[2]] == [True, True]
    assert len(gatepost("backlog", "--dead-letters", "--limit", 1).out.splitlines()) == 2
    assert len(json.loads(gatepost("backlog", "--dead-letters", "-n", 1, "--json").out)["dead_letters"]) == 1
    assert json.loads(gatepost("backlog", "--gaps", "--json").out)["gaps"][0]["count"] == 5
    assert gatepost("backlog", "--gaps", "--dead-letters").code == 2


def test_send_prints_the_answer(gatepost, agent):
    shown = gatepost("send", "oximeter-1", "set_interval", "interval=30", "name=a=b", 'list=[1, "x"]', "--token", "t")
    assert shown.code == 0
    assert shown.out.startswith("oximeter-1 set_interval: done")
    [(request, body)] = agent.app.dispatcher.asked
    assert (request.source, request.target) == ("cli", "oximeter-1")
    assert body["parameters"] == {"interval": 30, "name": "a=b", "list": [1, "x"]}
    assert body["token"] == "t"


def test_send_status_tells_what_a_person_wants_first(capfd):
    view = {"id": "a", "status": "offline", "condition": "idle", "driver": "nonin", "readings": 7, "reason": "asleep"}
    view |= {"message": "it sleeps", "hint": "", "since": "2026-11-20T10:30:00Z", "decoded": 9, "usual_gap": None}
    tell({"id": "x", "device_id": "a", "command": "status", "status": "done", "result": view})
    shown = capfd.readouterr().out
    assert shown.startswith("a status: done\na: offline (asleep)")
    assert "it sleeps" in shown
    assert "usual_gap" not in shown
    gateway = {"gateway_id": "gw", "version": "0.2.0", "started": "", "uptime": 7300.0, "settings": {}, "fleet": None}
    result = gateway | {"store": "ok", "devices": {"a": "online", "b": "error"}}
    tell({"id": "x", "device_id": None, "command": "status", "status": "done", "result": result})
    assert capfd.readouterr().out.splitlines() == [
        "gateway status: done",
        "  gateway: gw, version 0.2.0, up 2 h 1 min",
        "  settings: read at the start",
        "  store: ok",
        "  devices: a online, b error",
    ]


def test_send_to_the_gateway(gatepost, agent):
    assert gatepost("send", "gateway", "ping").code == 0
    assert agent.app.dispatcher.asked[0][0].target is None


@pytest.mark.parametrize("command", ["dance", "break", "late"])
def test_send_fails_when_the_command_does(gatepost, agent, command):
    shown = gatepost("send", "oximeter-1", command)
    assert shown.code == 1
    assert shown.err
    told = json.loads(gatepost("send", "oximeter-1", command, "--json").out)
    assert told["status"] in ("rejected", "failed")
    assert told["error"]["key"]


def test_send_with_a_parameter_that_is_none_is_usage(gatepost, agent):
    assert gatepost("send", "oximeter-1", "ping", "interval").code == 2
    assert agent.app.dispatcher.asked == []


def test_send_waits_for_a_command_that_lasts(gatepost, agent):
    """The ledger has the outcome by the time of the first look."""
    desk, store, clock = agent.app.dispatcher, agent.app.store, agent.app.clock
    handle = desk.handle

    async def lasting(request):
        response = await handle(request)
        entry = LedgerEntry(id=response.id, target="oximeter-1", source="cli", command="last", digest=b"")
        await store.ledger.begin(entry, clock.now())
        final = {"id": response.id, "device_id": "oximeter-1", "command": "last", "status": "failed"}
        final |= {"result": None, "error": {"key": "io", "message": "it broke", "hint": ""}}
        await store.ledger.finish(response.id, "failed", clock.now().wall, json.dumps(final).encode())
        return response

    desk.handle = lasting
    shown = gatepost("send", "oximeter-1", "last", "--timeout", "20")
    assert shown.code == 1
    assert "it broke" in shown.err


def test_send_does_not_wait_for_ever(gatepost, agent):
    shown = gatepost("send", "oximeter-1", "hang", "--timeout", "0.2")
    assert shown.code == 1
    assert "no answer within 0.2 s" in shown.err
    assert "may still be carried out" in shown.err


def test_reload_that_is_refused_is_78(gatepost, agent):
    assert "devices.cuff-3" in gatepost("reload").out
    agent.app.outcome = {"applied": False, "changed": [], "problems": ["/x.yaml:3:1: a: wrong; hint"]}
    shown = gatepost("reload")
    assert shown.code == 78
    assert "/x.yaml:3:1: a: wrong; hint" in shown.out
    assert gatepost("reload", "--json").code == 78


def test_reload_fails_where_a_certificate_cannot_be_used(gatepost, agent):
    agent.app.outcome = {"applied": True, "changed": [], "problems": ["api.tls: not its key"], "unserved": True}
    shown = gatepost("reload")
    assert (shown.code, "api.tls: not its key" in shown.out) == (1, True)


def test_doctor_explains_what_is_not_upstream(gatepost, agent):
    agent.take()
    agent.app.clock.synchronised = False
    shown = gatepost("doctor")
    assert shown.code == 1
    assert "broker lab: it refuses this gateway; 1 reading waiting" in shown.out
    assert "bad user name or password" in shown.out
    assert "device cuff-3: /dev/ttyUSB9 is not there" in shown.out
    assert "plug it in" in shown.out
    assert "the clock is not synchronised" in shown.out
    assert shown.out.index("problem: device cuff-3") < shown.out.index("warning: ")


def test_doctor_is_content_when_all_is_well(gatepost, agent):
    agent.app.devices.by_id["cuff-3"].state.update(status="online", last_reading="2024-11-18T00:00:00Z")
    agent.app.brokers.by_name["lab"].state["state"] = "connected"
    shown = gatepost("doctor", "--socket", agent.socket)
    assert (shown.code, shown.out) == (0, "all is well\n")


def test_the_answer_of_read_now_tells_each_value_once_with_its_unit(capfd):
    result = {"metric_type": "body_weight", "values": {"weight": 67.8}, "units": {"weight": "[lb_av]"}, "flags": []}
    result |= {"weight": 67.8, "seat": None}
    tell({"device_id": "a", "command": "read_now", "status": "done", "result": result})
    lines = capfd.readouterr().out.splitlines()
    assert lines == ["a read_now: done", "  body_weight: weight 67.8 lb", "  flags: none", "  seat: -"]


def test_messages_that_were_too_fast_are_counted(capsys):
    assert list(wanted([{"event": "lost", "data": {"count": 3}}], "hospital", "ward/#")) == []
    assert "3 messages went by" in capsys.readouterr().err
