"""One port, from its opening to the verdict: who speaks there, with which line settings. Blocks for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gatepost.drivers.driver import Registry, ScanProbe, SerialSettings
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.scan.blocking_port import BlockingPort
from gatepost.drivers.scan.candidates import LINES, DriverCandidate, all_of, by_line, line_keys
from gatepost.drivers.scan.driver_matcher import SURE, DriverMatch, DriverMatcher

SLOT = 1.5  # seconds at each line setting of a port that speaks: a device that speaks once a second is heard
LONGEST_SLOT = 5.0  # where a person has more patience
ANSWER_TIMEOUT = 0.7  # seconds for the answer to a question
PROBE_TRIES = 2  # the first may stand behind what the device did not understand before
RECOGNISED, SPEAKS, SILENT = "recognised", "speaks", "silent"


class PortFinding(NamedTuple):
    """What became of a port. `state`: recognised, speaks (and no driver understands it), silent, or the reason why it
    could not be heard (drivers/serial/port/link_errors.py). `sample` is a line of text that it said."""

    state: str
    verdicts: tuple[DriverMatch, ...] = ()  # the best first, each driver once
    octets: int = 0
    sample: str = ""
    message: str = ""
    hint: str = ""


class PortProbe:
    """`seconds`: how long a port may be silent. With `ask` the questions of the drivers are asked where listening did
    not tell. `step` hears what is being done, `over` ends it early."""

    def __init__(
        self,
        port: str,
        registry: Registry,
        seconds: float,
        *,
        ask: bool = False,
        step: Callable[[str], None] = lambda what: None,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.port = port
        self._groups = by_line(registry)
        self._text = registry.get(LINES).line if LINES in registry else None
        self._seconds = seconds
        self._ask = ask
        self._step = step
        self._over = over
        self._octets = 0
        self._readable = 0.0
        self._sample = ""
        self._verdicts: list[DriverMatch] = []

    def run(self) -> PortFinding:
        """Never raises for what the port does; the port is closed again."""
        first = next(iter(self._groups), SerialSettings())
        try:
            with BlockingPort(self.port, first, self._over) as ear:
                self._listen(ear)
                if self._ask and not self._sure:
                    self._questions(ear)
        except LinkFailed as failed:
            best = self._best()
            if not best:
                return PortFinding(failed.reason.value, (), self._octets, self._sample, failed.message, failed.hint)
        best = self._best()
        state = RECOGNISED if best else SPEAKS if self._octets else SILENT
        return PortFinding(state, best, self._octets, self._sample)

    @property
    def _sure(self) -> bool:
        return any(verdict.certainty == SURE for verdict in self._verdicts)

    def _best(self) -> tuple[DriverMatch, ...]:
        ranked = sorted(self._verdicts, key=lambda verdict: verdict.rank, reverse=True)
        once: dict[str, DriverMatch] = {}
        for verdict in ranked:
            once.setdefault(verdict.driver, verdict)
        return tuple(once.values())

    def _listen(self, ear: BlockingPort) -> None:
        """Until it speaks; then with each setting, those of a PTY or a socket being all the same."""
        groups = [(self._text, all_of(self._groups))] if ear.plain else list(self._groups.items())
        for number, (line, candidates) in enumerate(groups):
            if number and line is not None:
                ear.tune(line)
            judge = DriverMatcher(candidates, line if self._text is not None else None)
            self._step("listening" if number == 0 or line is None else named(line))
            self._hear(ear, judge, first=number == 0)
            if self._sure or not self._octets or self._over():
                return

    def _hear(self, ear: BlockingPort, judge: DriverMatcher, first: bool) -> None:
        if first:
            ear.hear(self._seconds, judge.feed, lambda: judge.octets > 0)
        if not first or (judge.octets and not judge.sure):
            ear.hear(self._slot(ear), judge.feed, lambda: judge.sure)
        self._take(judge)

    def _slot(self, ear: BlockingPort) -> float:
        return max(SLOT, self._seconds if ear.plain else min(self._seconds / 2, LONGEST_SLOT))

    def _questions(self, ear: BlockingPort) -> None:
        for candidate in all_of(self._groups):
            driver = candidate.make()
            for question in driver.scan_hints.probes:
                if driver.violation(question.request) is not None or self._over():
                    continue
                self._step(f"asking as {driver.name}")
                self._put(ear, candidate, question)
                if self._sure:
                    return

    def _put(self, ear: BlockingPort, candidate: DriverCandidate, question: ScanProbe) -> None:
        if ear.line != candidate.line:
            ear.tune(candidate.line)
        for _ in range(PROBE_TRIES):
            judge = DriverMatcher([candidate], asked=True, options=question.options)
            ear.say(question.request)
            ear.hear(ANSWER_TIMEOUT, judge.feed, partial(getattr, judge, "sure"))
            self._take(judge)
            if judge.verdicts() or self._over():
                return

    def _take(self, judge: DriverMatcher) -> None:
        self._octets += judge.octets
        self._verdicts += judge.verdicts()
        if judge.readable > self._readable:
            self._readable, self._sample = judge.readable, judge.sample


def named(line: SerialSettings) -> str:
    """For people: `9600 8N1`."""
    return f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits:g}"


def settings(verdict: DriverMatch, registry: Registry) -> dict[str, object]:
    """What the settings of a device say that was found so, but for its port."""
    entry: dict[str, object] = {"driver": verdict.driver}
    entry |= line_keys(verdict.line, registry.get(verdict.driver).line)
    if verdict.options:
        entry["options"] = verdict.options
    return entry
