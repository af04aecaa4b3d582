"""Decoder of one sensor: advertisements -> readings, by the fitting format and without repetitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.ble.adverts.advert_history import AdvertHistory, PayloadHistory
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_of
from gatepost.drivers.ble.adverts.formats import AnyFormat, advert_filter
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import short
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults, Reading, Reply

REPEAT_AFTER = 10.0  # seconds after which an unchanged payload without a number is a new reading

KEY_TROUBLE = frozenset(("no_key", "decrypt_failed", "no_address", "not_encrypted"))
REFUSALS_TO_TELL = 3  # payloads that were refused, before it is said that all of them will be

FAULT_TEXTS = {
    "no_key": "the sensor encrypts its advertisements: set its key in the option `key`",
    "decrypt_failed": "the advertisements cannot be decrypted: check that `key` is the key of this sensor",
    "no_address": "decryption needs the sensor's address, which this system hides",
    "not_encrypted": "the advertisement is not encrypted although a key is set: another sender may use its address",
    "replayed": "an encrypted payload older than one received before",
    "unknown_object": "an object unknown to this version of the agent, and all after it",
    "truncated": "a truncated payload",
    "unnamed": "the model cannot be told without the device's name, which was not heard yet",
    "out_of_range": "a value that cannot be, such as a battery above 100 %: another model may send this payload",
}

Clock = Callable[[], float]


class AdvertDecoder:
    """Decoder of advertisements. Never raises on what it is fed. `clock` gives monotonic seconds.

    `bookmarks()` are the stored marks of weighings; `on_sleepy` hears that the sensor speaks only when triggered.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        wanted: str = "auto",
        key: bytes = b"",
        again: float = REPEAT_AFTER,
        history: AdvertHistory | None = None,
        bookmarks: Callable[[], dict[str, Any]] = dict,
        on_sleepy: Callable[[], None] = lambda: None,
    ) -> None:
        self.faults = Faults()
        self._clock = clock
        self._filter = advert_filter(wanted)
        self._choose = wanted == "auto"
        self._cipher = AdvertCipher(key) if key else None
        self._again = again
        self._history = history or AdvertHistory()
        self._bookmarks = bookmarks
        self._on_sleepy = on_sleepy
        self._told_unknown = False
        self._unknown_adverts = 0
        self.understood = False  # anything, since it was made

    def feed(self, advert: Any) -> list[Reading | Reply]:
        if not isinstance(advert, ReceivedAdvert):
            self.faults.add("not-an-advert", "something else than an advertisement")
            return []
        history, payloads = self._history, self._filter.payloads(advert)
        if not payloads:
            # Another use of a UUID or company id by a sensor that is known is no news.
            known = history.knows_format and self._filter.has_place(advert)
            if not (known or self._filter.is_idle(advert)):
                self._unknown(advert)
            return []
        now = self._clock()
        out: list[Reading | Reply] = []
        for form, data in history.fresh(payloads):
            place = history.place(form, data)
            if place.repeats(data, now, self._again) or (self._choose and history.outranked(form, now)):
                continue
            out += self._payload(form, data, place, advert, now)
        return out

    def _payload(
        self, form: AnyFormat, data: bytes, place: PayloadHistory, advert: ReceivedAdvert, now: float
    ) -> list[Reading | Reply]:
        try:
            decoded = self._interpret(form, data, place, advert, now)
        except FrameError as wrong:
            place.pass_over(data, now)
            self.faults.add(wrong.kind, FAULT_TEXTS.get(wrong.kind, f"a payload that is not of the format {form.name}"))
            return []
        self.understood = True
        self._history.saw_format(form, now)
        if place.same(decoded, now):
            place.data = data
            return []
        place.take(data, decoded, now)
        if decoded.fault:
            self.faults.add(decoded.fault, FAULT_TEXTS[decoded.fault])
        if decoded.sleepy:
            self._on_sleepy()
        return self._news(decoded, now)

    def _interpret(
        self, form: AnyFormat, data: bytes, place: PayloadHistory, advert: ReceivedAdvert, now: float
    ) -> DecodedAdvert:
        if self._cipher is not None and form.seals and not form.sealed(data):
            raise FrameError("not_encrypted")
        decoded = form.interpret(data, AdvertSender(mac_of(advert.address), advert.name, advert.rssi, self._cipher))
        if place.old(decoded, now):
            raise FrameError("replayed")
        return decoded

    def _news(self, decoded: DecodedAdvert, now: float) -> list[Reading | Reply]:
        history = self._history
        bookmarks = self._bookmarks()
        out: list[Reading | Reply] = [item for item in decoded.readings if not history.taken(item, bookmarks)]
        if decoded.states and history.changed(decoded.states, now):
            out.append(Reading("state", dict(decoded.states)))
        if history.new_status(decoded.status):
            out.append(Reply("status", dict(decoded.status)))
        return out

    @property
    def locked_out(self) -> str:
        """Reason why apparently no payload can be decrypted; empty when one was understood, or too few were heard."""
        refused = {kind: count for kind, count in self.faults if kind in KEY_TROUBLE}
        if self.understood or sum(refused.values()) < REFUSALS_TO_TELL:
            return ""
        return FAULT_TEXTS[max(refused, key=lambda kind: refused[kind])]

    @property
    def stranger(self) -> str:
        """Unknown formats that it sends, when it sends nothing else; empty when something was understood."""
        if self.understood or self._unknown_adverts < REFUSALS_TO_TELL or self.faults.total > 1:
            return ""
        return self.faults.last

    def _unknown(self, advert: ReceivedAdvert) -> None:
        """Said once: what it sends where nothing is known."""
        if not (advert.service_data or advert.manufacturer_data):
            return
        self._unknown_adverts += 1
        if self._told_unknown:
            return
        self._told_unknown = True
        places = [short(service) for service in advert.service_data]
        places += [f"company {company:04x}" for company in advert.manufacturer_data]
        self.faults.add("unknown_format", f"no known format in its advertisements ({', '.join(places[:8])})")
