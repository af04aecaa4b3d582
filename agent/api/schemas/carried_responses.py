"""Response schemas of the stick's routes."""

from __future__ import annotations

from typing import TypedDict

from gatepost.agent.uplink.carried.carried_message import CarriedMessage, CarriedRange


class OwedRanges(TypedDict):
    """What a broker is owed as ranges [lo, hi) of the log; `key` signs the receipts for this export."""

    broker: str
    gateway: str
    format: str
    export: str
    key: str
    normal: list[list[int]]
    urgent: list[list[int]]


class OwedReading(TypedDict):
    seq: int
    messages: list[CarriedMessage]


class OwedMessages(TypedDict):
    """`ranges` (urgent or not, first, end, id of the last row) are complete; none contains the `left_out` rows, which
    cannot be written as messages."""

    upto: int
    ranges: list[CarriedRange]
    readings: list[OwedReading]
    left_out: int


class CarriedProgress(TypedDict):
    """Progress of a parcel: ranges of indexes; index and reason of what the broker refused for good."""

    done: list[list[int]]
    refused: list[tuple[int, str]]


class ReceiptTaken(TypedDict):
    """`readings` of which the broker was still owed `delivered` (about, where counting took too long)."""

    readings: int
    delivered: int
