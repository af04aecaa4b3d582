"""Health before and after a change: each broker and device that was well must be well again over what is new."""

from __future__ import annotations

from gatepost.agent.core.views import BrokerView, DeviceView, ViewedBrokers, ViewedDevices
from gatepost.agent.fleet.record import problem
from gatepost.agent.settings.model import Settings

SPEAKS_AGAIN = 3.0  # times its usual gap within which a device that speaks by itself has spoken again


class HealthComparison:
    """Comparison of the running parts with how they were when it was made; `applied` once the change is in force."""

    def __init__(self, brokers: ViewedBrokers, devices: ViewedDevices) -> None:
        self._brokers = brokers
        self._devices = devices
        self._brokers_before = {view["name"] for view in _broker_views(brokers) if view["condition"] == "ok"}
        self._devices_before = {view["id"]: view for view in devices.views() if view["condition"] != "error"}
        self._decoded: dict[str, int] = {}
        self._within = 0.0

    def applied(self, within: float) -> None:
        """What comes from now on comes over the new settings; for so long they are on trial."""
        self._within = within
        self._decoded = {view["id"]: view["decoded"] for view in self._devices.views()}

    def problems(self, settings: Settings) -> list[dict[str, str]]:
        """What was well and is not, as far as it is still wanted."""
        found = []
        brokers = {view["name"]: view for view in _broker_views(self._brokers)}
        for name in sorted(self._brokers_before & brokers.keys()):
            wanted = settings.brokers.get(name)
            if wanted is not None and wanted.active and brokers[name]["condition"] != "ok":
                found.append(problem("broker-not-well", f"brokers.{name}", brokers[name]["reason"] or "not connected"))
        for view in self._devices.views():
            before = self._devices_before.get(view["id"])
            if before is not None and not self._is_well(before, view):
                message = view["message"] or view["reason"] or ""
                if not message:
                    message = "nothing understood from it yet" if view["status"] == "online" else view["status"]
                found.append(problem("device-not-well", f"devices.{view['id']}", message))
        return found

    def _is_well(self, before: DeviceView, now: DeviceView) -> bool:
        if now["condition"] == "error" or now["status"] == "starting":
            return False
        gap = before["usual_gap"]
        if before["condition"] != "ok" or gap is None:
            return True  # one that sleeps between its measurements may be asleep again
        if now["condition"] != "ok":
            return not now["monitoring"]
        soon = gap * SPEAKS_AGAIN <= self._within
        decoded = now["decoded"]  # from 0 again where it was started anew meanwhile
        return not soon or (decoded > 0 and decoded != self._decoded.get(now["id"]))


def _broker_views(brokers: ViewedBrokers) -> list[BrokerView]:
    return [broker.as_dict() for broker in brokers.views()]
