"""A simulated device and the decoder of its driver, with nothing between them."""

from __future__ import annotations

from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profiles.blood_pressure import BleBloodPressure
from gatepost.drivers.ble.profiles.cgm import BleCgm
from gatepost.drivers.ble.profiles.decoder import BleDecoder
from gatepost.drivers.ble.profiles.environment import BleEnvironment
from gatepost.drivers.ble.profiles.glucose import BleGlucose
from gatepost.drivers.ble.profiles.heart_rate import BleHeartRate
from gatepost.drivers.ble.profiles.polar import BlePolarH10
from gatepost.drivers.ble.profiles.pulse_oximeter import BlePulseOximeter
from gatepost.drivers.ble.profiles.thermometer import BleThermometer
from gatepost.drivers.ble.profiles.weight_scale import BleWeightScale
from gatepost.drivers.ble.twin.devices.catalogue import make
from gatepost.drivers.reading import Reading, Reply

KINDS = {
    kind.name: kind
    for kind in (
        BleBloodPressure,
        BleCgm,
        BleEnvironment,
        BleGlucose,
        BleHeartRate,
        BlePolarH10,
        BlePulseOximeter,
        BleThermometer,
        BleWeightScale,
    )
}


class Heard:
    """The twin of a driver, connected and subscribed to; what its driver's decoder makes of it."""

    def __init__(self, name: str, seed: int = 0, driver: str = "", **settings) -> None:
        self.twin = make(name, seed, **settings)
        self.decoder: BleDecoder = KINDS[driver or name]().decoder()
        self.raw: list[tuple[str, bytes]] = []
        self.items: list[Reading | Reply] = []
        self.hung_up = 0
        self.connect()

    def connect(self) -> None:
        self.twin.attach(self._sink, self._hang_up)
        for characteristic in self.twin:
            if characteristic.streams:
                self.twin.subscribe(characteristic, True)

    def _sink(self, characteristic, data) -> None:
        self.raw.append((characteristic.uuid, data))
        self.items += self.decoder.feed(
            GattValue(characteristic.uuid, data, characteristic.handle, characteristic.service)
        )

    def _hang_up(self) -> None:
        self.hung_up += 1
        self.twin.detach()

    def run(self, seconds: float) -> Heard:
        """So long; a sleeper is connected again when it shows itself."""
        for _ in range(round(seconds / self.twin.interval)):
            self.twin.tick()
            if not self.twin.connected and self.twin.shown:
                self.connect()
        self.items += self.decoder.feed(GattValue("", b""))
        return self

    def readings(self, metric: str) -> list[Reading]:
        return [item for item in self.items if isinstance(item, Reading) and item.metric == metric]
