"""A running agent of fakes around a real store: what the API asks for, in memory and steerable."""

from __future__ import annotations

import asyncio
import functools
import time
from random import Random

import msgspec
import orjson

from gatepost.agent.audit.log import AuditLog
from gatepost.agent.commands.model import CommandResponse
from gatepost.agent.core.conditions import broker_condition, device_condition
from gatepost.agent.core.errors import NotConnected
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.builtin_commands import GENERIC
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.agent.listener.on_demand import OFF
from gatepost.agent.listener.refused_messages import RefusedMessages
from gatepost.agent.process.log_ring import LogRing
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.loading import SettingsLoader
from gatepost.agent.settings.model import (
    ApiSettings,
    BrokerSettings,
    DeviceSettings,
    GatewaySettings,
    SecretRef,
    Settings,
)
from gatepost.agent.settings.problem import Origin
from gatepost.agent.settings.trial.changes import SettingsChanges
from gatepost.agent.settings.trial.trial import SettingsTrial
from gatepost.agent.store.store import Store
from gatepost.agent.uplink.broker_discovery import BrokerDiscovery
from gatepost.agent.uplink.carried.backlog_export import BacklogExport
from gatepost.agent.uplink.carried.backlog_import import BacklogImport
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.message_log import MessageLog
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.topic_subscriptions import TopicSubscriptions
from gatepost.drivers.driver import Registry
from gatepost.drivers.recording import RecordingHeader
from tests.support.clock import HandClock
from tests.support.waiting import until

START = 1_731_928_000_000_000  # microseconds: 2024-11-18


installed = functools.cache(Registry.installed)  # looks through every distribution


class FakeView:
    def __init__(self, members=(), **state):
        self.state = {**dict(members), **state}

    def as_dict(self):
        return dict(self.state)


DEVICE = {
    "title": "Any device that prints lines",
    "decoder_faults": {},
    "faults_recent": 0,
    "last_fault": "",
    "desired": {"monitoring": True},
    "orders": {},
    "thresholds": {},
    "bytes": 0,
    "decoded": 0,
    "unreported": 0,
    "dropped": 0,
    "reconnects": 0,
    "next_retry_in": None,
    "quiet_for": None,
    "usual_gap": None,
    "label": "Oximeter 1",
    "room": "Bed 4",
    "brokers": None,
}
BROKER = {
    "since": "2024-11-18T00:00:00Z",
    "hint": "",
    "active": True,
    "endpoint": None,
    "protocol": None,
    "connects": 0,
    "losses": 0,
    "attempts": 0,
    "next_attempt_in": None,
    "offline_since": None,
    "in_flight": 0,
    "sent": 0,
    "delivered": 0,
    "delivered_by_lane": {},
    "refused": 0,
    "dead_letters": 0,
    "not_routed": 0,
    "skipped": 0,
    "refused_topics": {},
    "label": None,
    "format": "devices",
    "suspect": None,
}


class FakeDevice(FakeView):
    """Of one that speaks without a pause; judged as real ones are."""

    def as_dict(self):
        state, seen = self.state, self.state["readings"] > 0
        monitoring = state["monitoring"]
        found = device_condition(state["status"], state["reason"], monitoring=monitoring, streams=True, seen=seen)
        return {**state, "condition": found}


class FakeBroker(FakeView):
    requeued = 0

    def as_dict(self):
        refuses = bool(self.state.get("refused_topics"))
        return {**self.state, "condition": broker_condition(self.state["state"], self.state["attempts"], refuses)}

    @property
    def name(self):
        return self.state["name"]

    def requeue(self):
        self.requeued += 1

    async def connect(self):
        if self.state["state"] == "refused":
            raise NotConnected("the broker refuses this gateway", "see its password")
        self.state["state"] = "connected"

    async def disconnect(self):
        self.state["state"] = "disconnected"


class FakeDevices:
    def __init__(self):
        self.tapes = {}
        self.taped = False
        self.by_id = {
            "oximeter-1": FakeDevice(
                DEVICE,
                id="oximeter-1",
                driver="lines",
                port="/dev/ttyUSB0",
                status="online",
                since="2024-11-18T00:00:00Z",
                reason=None,
                message="",
                hint="",
                readings=3,
                last_reading="2024-11-18T00:00:01Z",
                faults={"bad-line": 2},
                every=1.0,
                monitoring=True,
            ),
            "cuff-3": FakeDevice(
                DEVICE,
                id="cuff-3",
                driver="lines",
                port="/dev/ttyUSB9",
                status="offline",
                since="2024-11-18T00:00:00Z",
                reason="missing",
                message="/dev/ttyUSB9 is not there",
                hint="plug it in",
                readings=0,
                last_reading=None,
                faults={},
                every=0.0,
                monitoring=True,
            ),
        }

    def get(self, device):
        view = self.by_id.get(device)
        return None if view is None else view.as_dict()

    def views(self):
        return [view.as_dict() for view in self.by_id.values()]

    def recorder(self, device):
        return RecordingHeader("contec-cms50d-plus", device), self.tapes.setdefault(
            device, DeviceRecorder(time.monotonic, self.on_tape)
        )

    def on_tape(self, used):
        self.taped = used

    def commands(self, device):
        return {command.name: command for command in GENERIC}


class FakeBrokers:
    def __init__(self, app):
        self.app = app
        self.by_name = {
            "hospital": FakeBroker(BROKER, name="hospital", state="connected", url="mqtt://h:1883", reason=""),
            "lab": FakeBroker(
                BROKER, name="lab", state="refused", url="mqtt://l:1883", reason="bad user name or password"
            ),
        }

    def get(self, name):
        return self.by_name.get(name)

    def views(self):
        return list(self.by_name.values())

    def backlog_export(self, name):
        app, broker = self.app, self.by_name.get(name)
        if broker is None:
            return None
        context = UplinkContext(
            app.store, app.clock, Random(1), app.events, "ward-7", None, None, dict, on_command=None, on_connected=None
        )
        settings = app.settings.brokers[name]
        return BacklogExport(name, settings, BrokerRoutes(name, [], {}), context, broker.requeue)

    def backlog_import(self):
        return BacklogImport(self.app.store, self.app.clock)


class FakeDesk:
    """Answers by the command's name; keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.waiting = asyncio.Event()

    async def handle(self, request):
        body = orjson.loads(request.payload)
        self.asked.append((request, body))
        status, result, error = "done", {"echo": body.get("parameters")}, None
        match body["command"]:
            case "explode":
                raise RuntimeError("secret-of-the-house")
            case "hang":
                await self.waiting.wait()
            case "dance":
                status, result = "rejected", None
                error = {"key": "unknown-command", "message": "there is no command dance", "hint": "status, ping"}
            case "late":
                status, result = "rejected", None
                error = {"key": "device-offline", "message": "it is not there", "hint": ""}
            case "break":
                status, result, error = "failed", None, {"key": "io", "message": "it broke", "hint": "look"}
            case "last":
                status, result = "accepted", None
        return CommandResponse(
            body["id"], request.target, body["command"], status, result, error, "2024-11-18T00:00:02Z"
        )


class FakeListener:
    """No device speaks MQTT, but one may be hung up on."""

    def __init__(self):
        self.connected = {}
        self.refusals = RefusedMessages(time.monotonic)
        self.trouble = ""

    def as_dict(self):
        return dict(OFF)

    def refused(self):
        return self.refusals.as_list()

    def hang_up(self, device):
        return self.connected.pop(device, 0)


class FakeApp:
    """Made with `await FakeApp.start(directory)`; `take` stores a reading."""

    def __init__(self, directory):
        self.clock = HandClock(wall=START, mono=0, step=1000)
        self.events = EventBus()
        self.log_ring = LogRing()
        self.devices = FakeDevices()
        self.brokers = FakeBrokers(self)
        self.listener = FakeListener()
        self.api_told = None
        self.dispatcher = FakeDesk()
        self.reloads = []
        self.outcome = {"applied": True, "changed": ["devices.cuff-3"], "problems": []}
        self.last_reload = self.trial_told = self.last_trial_told = self.fleet_told = None
        self.settings = Settings(
            gateway=GatewaySettings(id="ward-7", state_dir=str(directory)),
            api=ApiSettings(socket=str(directory / "run" / "api.sock")),
            store=msgspec.structs.replace(Settings().store, commit_interval=0.01, reserve=0),
            brokers={
                "hospital": BrokerSettings(url="mqtt://h:1883", password="open-sesame"),
                "lab": BrokerSettings(url="mqtt://l:1883", password=SecretRef(credential="lab")),
            },
            devices={
                "oximeter-1": DeviceSettings(driver="lines", port="/dev/ttyUSB0", patient="P-001"),
                "cuff-3": DeviceSettings(driver="lines", port="/dev/ttyUSB9"),
            },
        )
        self.registry = installed()
        self.current = self
        self.editor = SettingsEditor(
            SettingsLoader(directory / "gatepost.yaml", {}, self.registry, directory / "conf.d"), self
        )
        self.trial_audit = []
        self.trial = SettingsTrial(directory, self.clock, self.events, self, self.reload, self.editor.turn)
        self.trial.on_ended.append(self.editor.remove_unused_secrets)
        self.editor.check_free = self.trial.check_free
        self.changes = SettingsChanges(self.editor, self.trial)
        self.subscriptions = TopicSubscriptions()
        self.message_log = MessageLog(self.clock, self.events)
        self.discovery = BrokerDiscovery(self.clock.monotonic)
        self.origins = {("brokers", "hospital", "url"): Origin("/etc/gatepost/gatepost.yaml", 7, 5)}
        self._tasks = []

    @classmethod
    async def start(cls, directory):
        app = cls(directory)
        app.store = await Store.open(
            directory / "gatepost.db", "ward-7", app.settings.store, app.clock, app.events, Random(1)
        )
        app.store.backlog.set_brokers(app.settings.brokers)
        app._tasks = [asyncio.create_task(run()) for run in app.store.background_tasks().values()]
        await until(lambda: app.store.writer.commits)  # brokers' positions are written first: figures start from rest
        app.audit = await AuditLog.open(
            directory / "audit.log", app.clock, app.store.key_value.get, app.store.key_value.put
        )
        return app

    async def stop(self):
        await self.audit.close()
        self.store.finish()
        writer, *others = self._tasks
        await asyncio.wait_for(writer, 10)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.store.close()

    async def take(self, device="oximeter-1", metric="pulse_oximetry", urgent=False, patient="P-001", **values):
        common = {"metric_type": metric, "units": {"spo2": "%"}, "quality": "good", "flags": []}
        series = self.store.series(device, patient, common)
        seq = self.store.append(series, self.clock.now(), orjson.dumps(values or {"spo2": 97}), urgent)
        await self.store.stored(seq)
        return self.store.reading_id(seq)

    def record(self, what, **fields):
        """The audit log of the trial."""
        self.trial_audit.append((what, fields))

    async def reload(self, reason):
        self.reloads.append(reason)
        return self.outcome

    def status(self):
        return {
            "version": "0.1.0",
            "started": "2024-11-18T00:00:00Z",
            "uptime": 7384.0,
            "settings": {
                "files": ["/etc/gatepost/gatepost.yaml"],
                "reload": self.last_reload,
                "trial": self.trial_told,
                "last_trial": self.last_trial_told,
            },
            "listener": {"trouble": self.listener.trouble},
            "api": self.api_told,
            "fleet": self.fleet_told,
        }
