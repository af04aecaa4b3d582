"""Match of drivers to the octets received with one setting of a port. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gatepost.drivers.driver import Decoder, SerialSettings
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.scan.candidates import LINES, DriverCandidate
from gatepost.drivers.scan.text_options_guesser import OptionsGuess, guess, text_share

SURE, LIKELY = "sure", "likely"
KEPT = 65536  # octets that are kept for a look at the text
ENOUGH = 2.0  # readings without a fault
MANY, CLEAN, PASSABLE = 10.0, 0.95, 0.6  # with faults: so many readings, such a share of what was said
VAGUE = 0.3  # what a reading counts that has neither a unit nor a curve: much looks like a bare number
REMARK = 8  # octets for each reply that tells who it is, where nobody asked: else it is by chance
TOLD = 2.0  # what an answer to a question counts
SAMPLE = 60  # letters


class DriverMatch(NamedTuple):
    """A driver that understands what was heard. `share` is that of the good in all it found."""

    driver: str
    certainty: str
    line: SerialSettings
    options: dict[str, Any]
    readings: int
    faults: int
    weight: float
    share: float

    @property
    def rank(self) -> tuple[bool, bool, float, float]:
        return (self.certainty == SURE, self.driver != LINES, round(self.share, 2), self.weight)


class _Trial:
    """One candidate and what it made of it."""

    def __init__(self, candidate: DriverCandidate, options: dict[str, Any], asked: bool) -> None:
        self.candidate = candidate
        self.readings = 0
        self._options = options
        self._asked = asked
        self._weight = 0.0
        self._plain = 0  # readings that count in full
        self._told = 0
        self._octets = 0
        self._decoder: Decoder | None = candidate.make().decoder()

    def feed(self, data: bytes) -> None:
        if self._decoder is None:
            return
        self._octets += len(data)
        try:
            items = self._decoder.feed(data)
        except Exception:  # a driver of another package: it does not fit
            self._decoder = None
            return
        for item in items:
            self._count(item)

    def _count(self, item: Reading | Reply) -> None:
        if isinstance(item, Reading):
            self.readings += 1
            plain = bool(item.units) or item.waveform is not None
            self._plain += plain
            self._weight += 1.0 if plain else VAGUE
        elif item.kind in self.candidate.driver.scan_hints.identifying_replies:
            self._told += 1

    def verdict(self) -> DriverMatch | None:
        if self._decoder is None:
            return None
        faults = self._decoder.faults.total
        weight = self._weight
        if self._told and (self._asked or self._octets <= REMARK * self._told):
            weight += TOLD if self._asked else 1.0
        if weight < 1.0:
            return None
        good = self.readings + self._told
        share = good / (good + faults)
        if share < PASSABLE:
            return None
        proof = self._plain + (TOLD if self._told and self._asked else 0.0)
        sure = (proof >= ENOUGH and not faults) or (proof >= MANY and share >= CLEAN)
        driver = self.candidate.driver.name
        certainty = SURE if sure else LIKELY
        return DriverMatch(driver, certainty, self.candidate.line, self._options, self.readings, faults, weight, share)


class DriverMatcher:
    """For one hearing. `text` is the line setting under which text may be for the driver `lines`; None = it is not
    asked. `asked`: what is heard is the answer to a question of the only candidate, whose `options` then hold."""

    def __init__(
        self,
        candidates: Iterable[DriverCandidate],
        text: SerialSettings | None = None,
        *,
        asked: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._trials = [_Trial(candidate, options or {}, asked) for candidate in candidates]
        self._text = text
        self._kept = b""
        self.octets = 0

    def feed(self, data: bytes) -> None:
        self.octets += len(data)
        self._kept = (self._kept + data)[:KEPT]
        for trial in self._trials:
            trial.feed(data)

    def verdicts(self) -> list[DriverMatch]:
        """The best first."""
        found = [verdict for trial in self._trials if (verdict := trial.verdict()) is not None]
        lines = self._lines()
        if lines is not None:
            found.append(lines)
        return sorted(found, key=lambda verdict: verdict.rank, reverse=True)

    @property
    def sure(self) -> bool:
        """Whether listening on would change nothing."""
        best = self.verdicts()[:1]
        return bool(best) and best[0].certainty == SURE

    @property
    def sample(self) -> str:
        """The newest whole line where it is text; else nothing."""
        if text_share(self._kept) < CLEAN:
            return ""
        lines = self._kept.replace(b"\r", b"\n").split(b"\n")
        whole = [line for line in lines[1:-1] if line.strip()] or [line for line in lines if line.strip()]
        return whole[-1].decode("latin-1").strip()[:SAMPLE] if whole else ""

    @property
    def readable(self) -> float:
        """The share of text in what was heard."""
        return text_share(self._kept)

    def _lines(self) -> DriverMatch | None:
        if self._text is None:
            return None
        found: OptionsGuess | None = guess(self._kept)
        if found is None:
            return None
        certainty = SURE if found.lines >= 3 and not found.faults else LIKELY
        share = found.readings / (found.readings + found.faults)
        return DriverMatch(
            LINES, certainty, self._text, found.options, found.readings, found.faults, float(found.readings), share
        )
