"""Advertisements of one sensor -> readings: the early filter, the right format, no repetitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.ble.adverts.advert_history import AdvertHistory, PayloadHistory
from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_of
from gatepost.drivers.ble.adverts.formats import AdvertFilter, AdvertFormat
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import short
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults, Reading, Reply

AGAIN = 10.0  # seconds after which an unchanged payload without a number is a new reading

KEY_TROUBLE = frozenset(("no_key", "decrypt_failed", "no_address", "not_encrypted"))
ENOUGH = 3  # payloads that were refused, before it is said that all of them will be

TEXTS = {
    "no_key": "the sensor encrypts what it says: set its key in the option `key`",
    "decrypt_failed": "what the sensor says cannot be decrypted: is the option `key` the key of this sensor?",
    "no_address": "decrypting needs the sensor's address, which this system does not tell",
    "not_encrypted": "the sensor speaks in plain although a key is set: somebody else may be speaking in its name",
    "replayed": "an encrypted payload that is older than one that was heard already",
    "unknown_object": "an object that this version of the agent does not know, and all after it",
    "truncated": "a payload that is cut short",
}

Clock = Callable[[], float]


class AdvertDecoder:
    """Never raises on what it is fed. `clock` gives monotonic seconds.

    `bookmarks()` are the stored marks of weighings; `on_sleepy` hears that the sensor speaks only when triggered.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        wanted: str = "auto",
        key: bytes = b"",
        again: float = AGAIN,
        memory: AdvertHistory | None = None,
        bookmarks: Callable[[], dict[str, Any]] = dict,
        on_sleepy: Callable[[], None] = lambda: None,
    ) -> None:
        self.faults = Faults()
        self._clock = clock
        self._filter = AdvertFilter(wanted)
        self._choose = wanted == "auto"
        self._cipher = AdvertCipher(key) if key else None
        self._again = again
        self._memory = memory or AdvertHistory()
        self._bookmarks = bookmarks
        self._on_sleepy = on_sleepy
        self._told_unknown = False
        self._unknown_adverts = 0
        self.understood = False  # anything, since it was made

    def feed(self, advert: Any) -> list[Reading | Reply]:
        if not isinstance(advert, ReceivedAdvert):
            self.faults.add("not-an-advert", "something else than an advertisement")
            return []
        payloads = self._filter.payloads(advert)
        if not payloads:
            self._unknown(advert)
            return []
        now = self._clock()
        memory = self._memory
        out: list[Reading | Reply] = []
        for form, data in memory.fresh(payloads):
            place = memory.place(form, data)
            if place.repeats(data, now, self._again) or (self._choose and memory.drowned(form, now)):
                continue
            if form.fits(data):
                out += self._payload(form, data, place, advert, now)
                continue
            place.pass_over(data, now)  # another use of the same UUID or company id
            if not memory.knows:
                self._unknown(advert)
        return out

    def _payload(
        self, form: AdvertFormat, data: bytes, place: PayloadHistory, advert: ReceivedAdvert, now: float
    ) -> list[Reading | Reply]:
        try:
            heard = self._heard(form, data, place, advert, now)
        except FrameError as wrong:
            place.pass_over(data, now)
            self.faults.add(wrong.kind, TEXTS.get(wrong.kind, f"a payload that is not of the format {form.name}"))
            return []
        self.understood = True
        self._memory.spoke(form, now)
        if place.same(heard, now):
            place.data = data
            return []
        place.take(data, heard, now)
        if heard.fault:
            self.faults.add(heard.fault, TEXTS[heard.fault])
        if heard.sleepy:
            self._on_sleepy()
        return self._news(heard, now)

    def _heard(
        self, form: AdvertFormat, data: bytes, place: PayloadHistory, advert: ReceivedAdvert, now: float
    ) -> DecodedAdvert:
        if self._cipher is not None and form.seals and not form.sealed(data):
            raise FrameError("not_encrypted")
        heard = form.hear(data, AdvertSender(mac_of(advert.address), advert.name, advert.rssi, self._cipher))
        if place.old(heard, now):
            raise FrameError("replayed")
        return heard

    def _news(self, heard: DecodedAdvert, now: float) -> list[Reading | Reply]:
        memory = self._memory
        bookmarks = self._bookmarks()
        out: list[Reading | Reply] = [item for item in heard.readings if not memory.taken(item, bookmarks)]
        if heard.states and memory.changed(heard.states, now):
            out.append(Reading("state", dict(heard.states)))
        if memory.untold(heard.told):
            out.append(Reply("status", dict(heard.told)))
        return out

    @property
    def locked_out(self) -> str:
        """Why no payload can be decrypted, as it seems; empty when one was understood, or too few were heard."""
        refused = {kind: count for kind, count in self.faults if kind in KEY_TROUBLE}
        if self.understood or sum(refused.values()) < ENOUGH:
            return ""
        return TEXTS[max(refused, key=lambda kind: refused[kind])]

    @property
    def stranger(self) -> str:
        """What it sends that nobody knows, when it sends nothing else; empty when something was understood."""
        if self.understood or self._unknown_adverts < ENOUGH or self.faults.total > 1:
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
        self.faults.add("unknown_format", f"no known format in what it sends ({', '.join(places[:8])})")
