from __future__ import annotations

import time

import msgspec

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.diagnostics.agent_checks import findings
from gatepost.agent.diagnostics.finding import space
from gatepost.agent.settings.model import (
    ApiSettings,
    ApiTls,
    DeviceSettings,
    ListenerSettings,
    ListenerTls,
    TlsSettings,
)
from tests.uplink.broker import Authority


async def told(app):
    return {(finding.severity, finding.about): finding for finding in await findings(app)}


def well(app):
    """Nothing is the matter any more."""
    app.devices.by_id["cuff-3"].state.update(status="online", last_reading="2024-11-18T00:00:00Z", message="", hint="")
    app.brokers.by_name["lab"].state.update(state="connected", reason="")


async def test_all_is_well(app):
    well(app)
    assert await findings(app) == []


async def test_worst_first(app):
    app.clock.synchronised = False
    weights = [finding.severity for finding in await findings(app)]
    assert weights == ["problem", "problem", "warning"]


async def test_a_device_with_its_reason_and_what_to_do(app):
    finding = (await told(app))["problem", "device cuff-3"]
    assert finding.what == "/dev/ttyUSB9 is not there"
    assert finding.why == ""
    assert finding.do == "plug it in"
    app.devices.by_id["cuff-3"].state["status"] = "error"
    assert ("problem", "device cuff-3") in await told(app)


async def test_a_device_that_comes_by_itself_is_waited_for_where_it_connects(app):
    state = app.devices.by_id["cuff-3"].state
    state.update(driver="mqtt", reason="lost", message="its connection ended: the connection was lost", hint="")
    assert "`gatepost listener`" in (await told(app))["problem", "device cuff-3"].do
    state["faults_recent"] = 3
    assert "`gatepost listener --refused`" in (await told(app))["problem", "device cuff-3"].do
    state["faults_recent"] = 0
    state["message"] = "its connection ended: its token was revoked"
    assert "token create --device cuff-3" in (await told(app))["problem", "device cuff-3"].do
    state["reason"] = "broker"
    assert "`gatepost brokers`" in (await told(app))["problem", "device cuff-3"].do


async def test_a_device_that_is_open_and_silent(app):
    well(app)
    app.devices.by_id["oximeter-1"].state["last_reading"] = None
    finding = (await told(app))["warning", "device oximeter-1"]
    assert "no reading has come" in finding.what
    assert finding.why == "bad-line: 2"
    assert "gatepost drivers lines" in finding.do


async def test_a_device_that_carries_others_needs_no_readings(app):
    well(app)
    app.devices.by_id["oximeter-1"].state["last_reading"] = None
    behind = DeviceSettings(driver="mqtt", options={"via": "oximeter-1"})
    app.settings = msgspec.structs.replace(app.settings, devices={**app.settings.devices, "behind": behind})
    assert await findings(app) == []


async def test_a_device_whose_readings_nobody_wants(app):
    well(app)
    app.devices.by_id["oximeter-1"].state["monitoring"] = False
    assert (await told(app))["note", "device oximeter-1"].do == (
        "`gatepost send oximeter-1 start_monitoring` starts it again"
    )


async def test_a_device_of_the_listener_without_a_token(app):
    well(app)
    devices = {
        "plug-3": DeviceSettings(driver="mqtt"),
        "behind": DeviceSettings(driver="mqtt", options={"via": "plug-3"}),
        "elsewhere": DeviceSettings(driver="mqtt", options={"from": "lab"}),
        "old": DeviceSettings(driver="mqtt", options={"password": "a word of its own"}),
    }
    listener = ListenerSettings(listen="127.0.0.1:1883")
    app.settings = msgspec.structs.replace(app.settings, devices=devices, listener=listener)
    (finding,) = await findings(app)
    assert (finding.id, finding.about) == ("device-no-token", "device plug-3")
    assert "token create --device plug-3" in finding.do
    assert await findings(app, {"plug-3"}) == []
    state = app.devices.by_id["cuff-3"].state  # it says itself that the token has gone: that is told once
    state.update(status="offline", reason="token revoked", driver="mqtt", hint="")
    state["message"] = "its connection ended: its token was revoked"
    app.settings = msgspec.structs.replace(app.settings, devices={"cuff-3": DeviceSettings(driver="mqtt")})
    assert [finding.id for finding in await findings(app)] == ["device-absent"]
    well(app)
    app.settings = msgspec.structs.replace(app.settings, devices=devices)
    listener = msgspec.structs.replace(listener, tls=ListenerTls(cert="c", key="k", client_ca="ca"))
    app.settings = msgspec.structs.replace(app.settings, listener=listener)
    assert await findings(app) == []


async def test_a_broker_that_is_away_and_what_waits_for_it(app):
    well(app)
    await app.take()
    app.brokers.by_name["lab"].state.update(state="waiting", reason="no route to host", hint="look at the cable")
    finding = (await told(app))["problem", "broker lab"]
    assert "1 reading waiting for it" in finding.what
    assert (finding.why, finding.do) == ("no route to host", "look at the cable")


async def test_a_broker_that_was_disconnected_on_purpose(app):
    well(app)
    app.brokers.by_name["lab"].state.update(state="disconnected")
    assert (await told(app))["note", "broker lab"].do == "`gatepost brokers connect lab`"


async def test_a_connection_that_is_lost_again_and_again(app):
    well(app)
    state = app.brokers.by_name["lab"].state
    state["losses"] = 2
    assert await findings(app) == []
    state["losses"] = 3
    finding = (await told(app))["problem", "broker lab"]
    assert (finding.id, "3 times" in finding.what) == ("broker-unsteady", True)
    assert f"'gatepost-{app.settings.gateway.id}'" in finding.do
    state.update(state="waiting", reason="the broker closed the connection")
    assert (await told(app))["problem", "broker lab"].why == "the broker closed the connection"


async def test_a_backlog_that_drains(app):
    well(app)
    await app.take()
    assert await findings(app) == []
    app.clock.pass_seconds(120)
    finding = (await told(app))["note", "broker hospital"]
    assert "1 reading not upstream yet" in finding.what


async def test_dead_letters_and_gaps(app):
    well(app)
    app.store.lost("oximeter-1", 5, "queue-full")
    seq = int((await app.take()).rsplit(":", 1)[1])
    app.store.dead_letter("lab", seq, 0x99, "payload format invalid")
    await app.take()
    found = await told(app)
    assert "5 readings lost" in found["warning", "store"].what
    assert found["warning", "store"].why == "queue-full"
    assert "refused 1 reading for good" in found["warning", "broker lab"].what
    assert found["warning", "broker lab"].why == "payload format invalid"
    app.clock.pass_seconds(2 * 86_400)  # an old loss is history
    assert ("warning", "store") not in await told(app)


async def test_a_gap_whose_time_is_damaged_hides_no_finding(app):
    times = [1 << 62, -(1 << 60), app.clock.now().wall]
    for at, when in enumerate(times):
        await app.store.database.write("gap_add", (when, "queue-full", None, None, at + 1, 0, *[None] * 4))
    assert "3 readings lost" in (await told(app))["warning", "store"].what


async def test_a_disk_that_fills_up(app):
    well(app)
    app.settings = msgspec.structs.replace(
        app.settings, store=msgspec.structs.replace(app.settings.store, reserve=1 << 60)
    )
    assert "MB are free" in (await told(app))["problem", "disk"].what


def test_little_space_is_not_told_as_none():
    assert [space(octets) for octets in (0, 512_000, 9_999_999, 10_000_000, 64_000_000_000)] == [
        "0 kB",
        "512 kB",
        "9999 kB",
        "10 MB",
        "64000 MB",
    ]


async def test_a_state_directory_that_is_gone(app):
    well(app)
    gateway = msgspec.structs.replace(app.settings.gateway, state_dir="/nowhere/at/all")
    app.settings = msgspec.structs.replace(app.settings, gateway=gateway)
    assert "cannot be examined" in (await told(app))["problem", "disk"].what


async def test_settings_that_were_refused(app):
    well(app)
    problems = [f"/x.yaml:{line}:1: a: wrong" for line in range(5)]
    app.last_reload = {"applied": False, "at": rfc3339(0), "reason": "SIGHUP", "changed": [], "problems": problems}
    finding = (await told(app))["problem", "settings"]
    assert "/x.yaml:0:1" in finding.why
    assert finding.why.endswith("and 2 more")
    app.last_reload = {**app.last_reload, "applied": True}
    assert await findings(app) == []


async def test_nothing_configured(app):
    app.settings = msgspec.structs.replace(app.settings, brokers={}, devices={})
    app.devices.by_id.clear()
    app.brokers.by_name.clear()
    assert [finding.what for finding in await findings(app)] == ["no device is configured", "no broker is configured"]


async def test_a_database_that_was_rebuilt(app):
    well(app)
    app.store.repairs = 1
    assert "rebuilt" in (await told(app))["warning", "store"].what


async def test_the_last_good_settings_in_use(app, http):
    well(app)
    told = app.status()
    told["settings"] |= {"last_good": True, "problems": ["/x.yaml:3:1: a: wrong"]}
    app.status = lambda: told
    finding = {(one.severity, one.about): one for one in await findings(app)}["problem", "settings"]
    assert "last good settings are used" in finding.what
    assert finding.why == "/x.yaml:3:1: a: wrong"
    lines = (await http.get("/api/v1/settings")).json()["settings"]
    assert {line["origin"] for line in lines} == {"last good settings"}


async def test_a_log_that_is_full_and_a_loss_say_what_to_do(app):
    well(app)
    app.store.lost("oximeter-1", 5, "queue-full")
    await app.take()
    app.store.retention.state = "dropping"
    found = [finding for finding in await findings(app) if finding.about == "store"]
    assert [finding.severity for finding in found] == ["problem", "warning"]
    assert "the log is full" in found[0].what
    assert "reconnect the broker" in found[0].do
    assert "store.max_size" in found[0].do
    assert "gatepost backlog --gaps" in found[1].do


async def test_a_device_whose_port_is_open_is_not_called_absent(app):
    well(app)
    state = app.devices.by_id["oximeter-1"].state
    state.update(status="offline", reason="silent", message="nothing came for 15 s", hint="is it switched on?")
    finding = (await told(app))["problem", "device oximeter-1"]
    assert (finding.what, finding.why) == ("its port is open, and it says nothing", "nothing came for 15 s")
    assert "not there" not in finding.what + finding.why


async def test_a_device_that_went_quiet(app):
    well(app)
    state = app.devices.by_id["oximeter-1"].state
    state.update(quiet_for=4.9, usual_gap=0.1)
    assert await findings(app) == []
    state.update(quiet_for=40.0, usual_gap=10.0)
    assert await findings(app) == []
    state.update(quiet_for=180.0, usual_gap=1.0)
    finding = (await told(app))["warning", "device oximeter-1"]
    assert finding.what == "nothing came for 3 min"
    assert "every 1.0 s" in finding.why
    assert "cable" in finding.do
    state["port"] = None  # over Bluetooth or MQTT
    finding = (await told(app))["warning", "device oximeter-1"]
    assert finding.why.startswith("it is connected, ")
    assert "cable" not in finding.do
    state.update(quiet_for=180.0, usual_gap=None)
    assert await findings(app) == []


async def test_a_device_that_is_not_understood(app):
    well(app)
    state = app.devices.by_id["oximeter-1"].state
    state.update(readings=0, decoded=3, faults={"bad-line": 100, "lost": 7})
    state.update(decoder_faults={"bad-line": 100}, faults_recent=100, last_fault="a line with fewer columns")
    finding = (await told(app))["warning", "device oximeter-1"]
    assert "100 lines or messages could not be understood, 3 could" in finding.what
    assert finding.why == "bad-line: 100; the newest: a line with fewer columns"
    assert "format" in finding.do
    state.update(faults_recent=0, last_fault="bad-line")
    assert await findings(app) == []  # that is history
    state.update(faults_recent=100)
    assert (await told(app))["warning", "device oximeter-1"].why == "bad-line: 100"
    state.update(faults_recent=0)
    assert await findings(app) == []  # that is history
    state.update(decoded=1000, faults_recent=100)
    state.update(last_reading=rfc3339(app.clock.now().wall))
    assert await findings(app) == []
    app.clock.pass_seconds(600)
    finding = (await told(app))["warning", "device oximeter-1"]
    assert "100 lines or messages could not be understood recently, the last reading is 10 min old" in finding.what


async def test_a_device_that_sleeps_is_no_finding(app):
    well(app)
    state = app.devices.by_id["oximeter-1"].state
    state.update(status="offline", reason="asleep", message="it disconnected after sending its measurement")
    assert not [about for _, about in await told(app) if about == "device oximeter-1"]


async def test_a_change_that_could_not_be_put_into_force_is_no_mistake_of_the_files(app):
    well(app)
    problem = "api.listen: 127.0.0.1:80 cannot be listened at: in use; choose another api.listen"
    app.last_reload = {"applied": False, "at": rfc3339(0), "reason": "SIGHUP", "problems": [problem], "tried": True}
    finding = (await told(app))["problem", "settings"]
    assert finding.why == problem
    assert "`gatepost reload` tries again" in finding.do
    assert "check" not in finding.do


async def test_a_listener_that_is_not_served(app):
    well(app)
    app.listener.trouble = "listener.listen: 127.0.0.1:1883 cannot be listened at: in use"
    finding = (await told(app))["problem", "gateway"]
    assert (finding.id, finding.why) == ("listener-not-served", app.listener.trouble)


async def test_a_change_on_trial_asks_for_a_word_unless_the_fleet_keeps_it(app):
    well(app)
    app.trial_told = {"by": "fleet:6", "left": 12.4, "changed": ["logging.level"], "state": "trying"}
    app.fleet_told = {"status": "refused", "version": 5, "decided": 7, "manual": True}
    finding = next(one for one in await findings(app) if one.id == "settings-on-trial")
    assert "goes back in 12 s" in finding.what
    assert "`gatepost confirm` keeps it" in finding.do
    app.fleet_told = {"status": "trying", "manual": False}
    assert await findings(app) == []


async def test_certificates_that_end(app, tmp_path):
    well(app)
    authority = Authority(tmp_path)
    files = {name: authority.issue(name, days=days) for name, days in (("year", 365), ("week", 7), ("gone", -1))}
    tls = {name: {"cert": str(cert), "key": str(key)} for name, (cert, key) in files.items()}
    app.clock.wall = round(time.time() * 1e6)

    async def ids(api, broker):
        hospital = msgspec.structs.replace(app.settings.brokers["hospital"], tls=TlsSettings(**tls[broker]))
        brokers = {**app.settings.brokers, "hospital": hospital}
        app.settings = msgspec.structs.replace(app.settings, brokers=brokers, api=ApiSettings(tls=ApiTls(**tls[api])))
        return {(one.id, one.about): one for one in await findings(app) if one.id.startswith("certificate")}

    assert await ids("year", "year") == {}
    found = await ids("gone", "week")
    assert found.keys() == {("certificate-expired", "gateway"), ("certificate-ends-soon", "broker hospital")}
    assert found["certificate-expired", "gateway"].what == "the certificate of the API ended 24 h ago"
    assert found["certificate-ends-soon", "broker hospital"].why.startswith(str(files["week"][0]))
    ended = rfc3339(round((time.time() - 3600) * 1e6))
    app.api_told = {"trouble": "", "certificate_ends": ended}  # it was renewed, and not loaded yet
    (one,) = (await ids("year", "year")).values()
    assert (one.id, "takes it over" in one.do) == ("certificate-expired", True)
    files["year"][0].write_text("not there yet")  # what was loaded before is in use
    (one,) = (await ids("year", "year")).values()
    assert (one.id, "then `gatepost reload`" in one.do) == ("certificate-expired", True)
    port = f"listen://0.0.0.0:2575?allow=10.0.0.0/8&cert={files['week'][0]}&key={files['week'][1]}"
    monitor = DeviceSettings(driver="hl7-monitor", port=port)
    app.settings = msgspec.structs.replace(app.settings, devices={"monitor": monitor})
    found = [one.about for one in await findings(app) if one.id == "certificate-ends-soon"]
    assert found == ["device monitor"]
