"""A conversation with a simulated device, in no time."""

from __future__ import annotations

from gatepost.drivers.reading import Reading


class Killed(Exception):
    """The agent is gone."""


class TwinExchange:
    """An Exchange whose far end is a twin: its answers, and what it says meanwhile (unless it waits to be asked), go
    through the decoder.

    What the decoder gave is in `given`; `marks` are those of the readings, as the store would keep them: `stored` makes
    them last. After `dies_after` marked readings everything ends with Killed.
    """

    def __init__(self, driver, twin, ticks: bool = True) -> None:
        self.driver, self.twin = driver, twin
        self.decoder = driver.decoder()
        self.sent: list[bytes] = []
        self.given: list = []
        self.marks: dict = {}
        self.known: dict = {}
        self.progressed: list[tuple] = []
        self.stores = 0
        self.dies_after: int | None = None  # readings with a mark
        self._ticks = ticks
        self._heard: list = []

    @property
    def readings(self) -> list[Reading]:
        return [item for item in self.given if isinstance(item, Reading)]

    def _take(self, data: bytes) -> list:
        items = self.decoder.feed(data)
        for item in items:
            mark = getattr(item, "bookmark", None)
            if mark is not None and self.dies_after is not None:
                if not self.dies_after:
                    raise Killed
                self.dies_after -= 1
            self.given.append(item)
            if mark is not None:
                self.marks[mark[0]] = mark[1]
        return items

    async def send(self, data: bytes) -> None:
        assert self.driver.violation(data) is None, "a forbidden word"
        self.sent.append(data)
        answer = self.twin.hear(data)
        self._heard = self._take(answer) if answer else []

    def feed(self, data) -> None:
        self._heard += self._take(data)

    async def stored(self, timeout: float = 30.0) -> None:
        self.stores += 1

    def update_status(self, **known) -> None:
        self.known |= known

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self.progressed.append((what, done, total))

    async def wait(self, match, timeout: float):
        for _ in range(int(timeout / self.twin.interval) + 1 if self._ticks else 1):
            while self._heard:
                found = match(self._heard.pop(0))
                if found is not None:
                    return found
            said = self.twin.tick() if self._ticks else b""
            self._heard = self._take(said) if said else []
        raise TimeoutError
