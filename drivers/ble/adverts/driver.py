"""Driver `ble-advertisement`: sensors and beacons that broadcast what they measure; nothing is ever connected."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from gatepost.drivers.ble.adverts.advert_history import AdvertHistory
from gatepost.drivers.ble.adverts.bthome_objects import AIR, KINDS, OTHER, STATE
from gatepost.drivers.ble.adverts.cipher import MISSING_PACKAGE, available
from gatepost.drivers.ble.adverts.decoder import REPEAT_AFTER, AdvertDecoder, Clock
from gatepost.drivers.ble.adverts.formats import FORMATS, names
from gatepost.drivers.driver import CommandFailed, DeviceIO, Driver, WrongDevice
from gatepost.drivers.metrics import METRICS
from gatepost.drivers.options import DriverOptions, OptionProblem

ENCRYPTED_FORMATS = frozenset(form.name for form in FORMATS if form.seals)
TRIGGERED_FORMATS = frozenset(("mi-scale",))  # speaks only when somebody steps on it

FIRST_CHECK, LONGEST_CHECK = 20.0, 3600.0  # seconds until something should have been understood
UNKNOWN_AFTER = 60.0  # seconds after which a device that speaks nothing known is called another one

_NUMBERS = dict.fromkeys(kind.value for kind in KINDS.values() if kind.place in (AIR, OTHER))
_STATES = dict.fromkeys(kind.value for kind in KINDS.values() if kind.place == STATE)
_MORE = ("movement", "sequence", "adverts", "uptime", "temperature_remote", "humidity_remote", "battery_remote")
_TABLE = (
    *("temperature_probe", "temperature_ambient", *(f"temperature_probe_{number}" for number in range(1, 7))),
    *("probe", "formaldehyde", "voc_index", "radon", "radiation_rate", "radiation_total", "radiation_duration"),
    *("tank_level_raw", "quality", "interval", "age", "status", "impedance_2"),
    *("consumed", "state_of_charge", "time_to_go", "solar_power", "yield_today", "load_current"),
)
_EVENTS = ("button", "dimmer", "dimmer_steps")


class AdvertOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """Options of `ble-advertisement`: the format, and the key of a sensor that encrypts."""

    format: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9_-]{1,48}$",
            description="a format of docs/supported-devices.md, or one of your own; auto: the first that fits",
        ),
    ] = "auto"
    key: Annotated[
        str,
        Meta(
            pattern=r"^([0-9A-Fa-f]{24}|[0-9A-Fa-f]{32})?$",
            description="the sensor's own key (bind key): 32 hex digits, 24 for some old Xiaomi ones; never shown",
            extra={"secret": True},
        ),
    ] = ""
    repeat: Annotated[
        float,
        Meta(ge=0, le=86400, description="seconds after which an unchanged value without a number is reported again"),
    ] = REPEAT_AFTER

    def problems(self) -> list[OptionProblem]:
        if self.format != "auto" and self.format not in names():
            hint = "`gatepost scan ble` names it; your own formats are in conf.d/adverts/"
            return [OptionProblem(f"there is no format {self.format}", ("format",), hint=hint)]
        if not self.key:
            return []
        if not available():
            return [OptionProblem(f"a key cannot be used: {MISSING_PACKAGE}", ("key",))]
        if self.format != "auto" and self.format not in ENCRYPTED_FORMATS:
            return [OptionProblem(f"no effect: {self.format} is never encrypted", ("key",), ("format",), warning=True)]
        return []

    def __repr__(self) -> str:
        key = "***" if self.key else ""
        return f"AdvertOptions(format={self.format!r}, key={key!r}, repeat={self.repeat!r})"


class BleAdvertisement(Driver):
    """BTHome v2, RuuviTag, ATC and pvvx, Govee, Mi scales, Eddystone, iBeacon."""

    name = "ble-advertisement"
    title = "Sensors and beacons that broadcast: BTHome v2, RuuviTag, ATC / pvvx, Govee, Mi scale, Eddystone, iBeacon"
    transport = "ble"
    advertisement: ClassVar[bool] = True  # the link listens and never connects
    metrics = ("environment", "state", "event", "presence", "body_weight", "body_composition", "heart_rate")
    values = tuple(
        dict.fromkeys(
            (
                *(value.name for name in metrics for value in METRICS[name].values),
                *_NUMBERS,
                *_MORE,
                *_TABLE,
                *_STATES,
                *_EVENTS,
            )
        )
    )
    default_interval = 1.0
    keeps_records = True  # weighings
    options_type = AdvertOptions
    example_options: ClassVar[dict[str, Any]] = {"format": "auto"}
    source = "docs/drivers.md, ble-advertisement, which names the specification of each format"

    def __init__(self, options: Any = None, clock: Clock = time.monotonic) -> None:
        super().__init__(options)
        self.streams = self.options.format not in TRIGGERED_FORMATS
        self._clock = clock
        self._history = AdvertHistory()
        self._decoder: AdvertDecoder | None = None

    def decoder(self) -> AdvertDecoder:
        self._decoder = AdvertDecoder(
            self._clock,
            wanted=self.options.format,
            key=bytes.fromhex(self.options.key),
            again=self.options.repeat,
            history=self._history,
            bookmarks=lambda: self.bookmarks,
            on_sleepy=self._sleepy,
        )
        return self._decoder

    async def run_session(self, io: DeviceIO) -> None:
        """Until something was understood. A sensor whose key is missing or wrong, or that speaks nothing known, would
        else be online and give nothing for ever."""
        decoder, patience, waited = self._decoder, FIRST_CHECK, 0.0
        while decoder is not None and not decoder.understood:
            try:
                await io.wait(lambda item: True, patience)
            except TimeoutError:
                waited += patience
                patience = min(patience * 2, LONGEST_CHECK)
                if decoder.locked_out:
                    raise CommandFailed("wrong-key", decoder.locked_out) from None
                if decoder.stranger and self.options.format == "auto" and waited >= UNKNOWN_AFTER:
                    raise WrongDevice(decoder.stranger) from None

    def _sleepy(self) -> None:
        self.streams = False

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        from gatepost.drivers.ble.twin.devices.catalogue import ADVERTISEMENT, SEALED, make

        options = options or AdvertOptions()
        name = ADVERTISEMENT if options.format == "auto" else options.format
        if options.key and name in (ADVERTISEMENT, *SEALED):
            return make(name, seed, key=bytes.fromhex(options.key))
        return make(name, seed)
