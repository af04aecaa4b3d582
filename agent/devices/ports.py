"""What the devices room needs of its neighbours: a link to hardware, and the store's front door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from agent.clock import Stamp
from agent.settings.model import Device
from drivers.driver import Driver, Line

OnData = Callable[[bytes], None]
OnLost = Callable[[Exception | None], None]


class Link(Protocol):
    """The way to one device, opened again after it was lost. Every await is bounded.

    Failures carry `reason` (an enum), `message` and `hint`. Bytes and the loss are told on the event loop, not after
    `close`.
    """

    @property
    def can_pause(self) -> bool: ...

    async def open(self, timeout: float) -> None: ...

    def pause(self) -> None:
        """Take nothing more from the device until `resume`."""
        ...

    def resume(self) -> None: ...

    async def send(self, data: bytes, timeout: float) -> None: ...

    async def close(self, timeout: float) -> None:
        """Also after a failed or cancelled `open`; never raises for a port that is gone."""
        ...

    def counters(self) -> dict[str, int]:
        """What the hardware counted, by kind, for people to see."""
        ...


Connect = Callable[[Device, Driver, OnData, OnLost], Link]


class Store(Protocol):
    """The part of the log that devices speak to."""

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        """The number under which what repeats from reading to reading is kept."""
        ...

    def append(self, series: int, stamp: Stamp, body: bytes, urgent: bool = False) -> int:
        """The sequence number that it will have; 0 = the queue is full and nothing was kept."""
        ...

    def lost(self, device: str, count: int, reason: str) -> None: ...

    async def room(self) -> None: ...

    async def stored(self, seq: int) -> None: ...

    def reading_id(self, seq: int) -> str: ...

    async def state_get(self, key: str) -> Any | None: ...

    async def state_put(self, key: str, value: Any) -> None: ...


class Limits(NamedTuple):
    """Bounds in seconds; tests shorten them."""

    open: float = 15.0  # a port that vanished in mid-open blocked for 5 s
    send: float = 5.0
    farewell: float = 0.5  # for all of it
    close: float = 1.0
    stop: float = 1.8  # a whole device, farewell and close included
    first_retry: float = 0.5
    last_retry: float = 30.0
    good: float = 30.0  # a link that held so long starts its backoff anew


def serial_link(device: Device, driver: Driver, on_data: OnData, on_lost: OnLost) -> Link:
    """A serial port with the driver's line settings where the device's settings say nothing else."""
    from drivers.serial.link import SerialLink

    assert device.port is not None
    return SerialLink(
        device.port, line_of(device, driver), rts=device.rts, dtr=device.dtr, on_data=on_data, on_lost=on_lost
    )


def line_of(device: Device, driver: Driver | type[Driver]) -> Line:
    ours = driver.line
    return Line(
        baudrate=ours.baudrate if device.baudrate is None else device.baudrate,
        bytesize=ours.bytesize if device.bytesize is None else device.bytesize,
        parity=ours.parity if device.parity is None else device.parity,
        stopbits=ours.stopbits if device.stopbits is None else device.stopbits,
        flow=ours.flow if device.flow is None else device.flow,
    )


LINKS: dict[str, Connect] = {"serial": serial_link}
