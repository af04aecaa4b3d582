"""History of one sensor: tells repetitions from new payloads and refuses old encrypted ones.

It outlives the decoder, so that a link that is opened again repeats nothing. It is bounded.
"""

from __future__ import annotations

from typing import Any

from gatepost.drivers.ble.adverts.decoded_advert import DecodedAdvert
from gatepost.drivers.ble.adverts.formats import AdvertPayload, AnyFormat
from gatepost.drivers.reading import Reading

SAME_STAMP = 4.0  # seconds: another payload under the same number is the same measurement
SAME_NUMBER = 600.0  # seconds after which even the same number with the same payload is a new measurement
RESTART_SILENCE = 300.0  # seconds of silence after which a counter may begin anew
STATE_AGAIN = 300.0  # seconds after which a state that did not change is told again
MOST_STATES = 64
MOST_MARKS = 8
MOST_PLACES = 64


class PayloadHistory:
    """History of the payloads of one kind. `at`: when the last one was taken that was no repetition."""

    __slots__ = ("at", "counter", "counter_at", "data", "stamp")

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.at = 0.0
        self.stamp: int | None = None
        self.counter: int | None = None
        self.counter_at = 0.0

    def repeats(self, data: bytes, now: float, again: float) -> bool:
        """True if it is the payload before; `again`: seconds after which one without a number counts anew."""
        numbered = self.stamp is not None or self.counter is not None
        return data == self.data and now - self.at < (SAME_NUMBER if numbered else again)

    def old(self, decoded: DecodedAdvert, now: float) -> bool:
        """True if an encrypted payload was sent before what was heard already."""
        if decoded.counter is None or self.counter is None or now - self.counter_at >= RESTART_SILENCE:
            return False
        return (decoded.counter - self.counter) % decoded.span >= decoded.span // 2

    def same(self, decoded: DecodedAdvert, now: float) -> bool:
        """True if it is the measurement before, whatever its octets."""
        if decoded.counter is not None and decoded.counter == self.counter and now - self.counter_at < RESTART_SILENCE:
            return True
        return decoded.stamp is not None and decoded.stamp == self.stamp and now - self.at < SAME_STAMP

    def pass_over(self, data: bytes, now: float) -> None:
        """Nothing could be made of it; not the same again, then."""
        self.data, self.at = data, now

    def take(self, data: bytes, decoded: DecodedAdvert, now: float) -> None:
        self.data, self.at, self.stamp = data, now, decoded.stamp
        if decoded.counter is not None:
            self.counter, self.counter_at = decoded.counter, now


class AdvertHistory:
    """History of one device: its payloads, its states, its last weighing, and the format that it uses."""

    def __init__(self) -> None:
        self._places: dict[tuple[str | int, int], PayloadHistory] = {}
        self._last: dict[str | int, bytes] = {}
        self._states: dict[str, tuple[bool, float]] = {}
        self._marks: dict[str, Any] = {}
        self._status: dict[str, Any] = {}
        self._format: AnyFormat | None = None
        self._format_at = 0.0

    def place(self, form: AnyFormat, data: bytes) -> PayloadHistory:
        """History of the payloads of this kind."""
        key = (form.key, form.variant(data))
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                del self._places[next(iter(self._places))]
            place = self._places[key] = PayloadHistory()
        return place

    def fresh(self, payloads: list[AdvertPayload]) -> list[AdvertPayload]:
        """Payloads to be decoded. BlueZ repeats earlier payloads beside new ones: beside a payload that changed,
        one that did not is no news."""
        last = self._last
        changed = [payload for payload in payloads if last.get(payload.form.key) != payload.data]
        for form, data in changed:
            last[form.key] = data
        return changed or payloads

    def outranked(self, form: AnyFormat, now: float) -> bool:
        """True if another format is preferred: the first sensor format heard, while it is; sensors before beacons."""
        first = self._format
        return first is not None and first.name != form.name and now - self._format_at < RESTART_SILENCE

    @property
    def knows_format(self) -> bool:
        """True if a sensor format was ever heard."""
        return self._format is not None

    def saw_format(self, form: AnyFormat, now: float) -> None:
        if not form.presence:
            self._format, self._format_at = form, now

    def changed(self, states: dict[str, bool], now: float) -> bool:
        """True if a state changed, is new, or was not told for long; they count as told then."""
        before = self._states
        news = any(
            name not in before or before[name][0] != on or now - before[name][1] >= STATE_AGAIN
            for name, on in states.items()
        )
        if news:
            for name, on in states.items():
                if name in before or len(before) < MOST_STATES:
                    before[name] = (on, now)
        return news

    def new_status(self, status: dict[str, Any]) -> bool:
        """True if something of it is news for the device's status; it counts as told then."""
        before, self._status = self._status, {**self._status, **status}
        return before != self._status

    def taken(self, reading: Reading, bookmarks: dict[str, Any]) -> bool:
        """True if what this reading is marked with was given before; it counts as given then."""
        if reading.bookmark is None:
            return False
        name, value = reading.bookmark
        if self._marks.get(name, bookmarks.get(name)) == value:
            return True
        self._marks.pop(name, None)
        if len(self._marks) >= MOST_MARKS:
            del self._marks[next(iter(self._marks))]
        self._marks[name] = value
        return False
