"""Routes of the stick: what a broker is owed as messages, sending those of another gateway, receipts."""

from __future__ import annotations

from gatepost.agent.api.handlers import carried
from gatepost.agent.api.http.router import Route
from gatepost.agent.api.schemas import requests
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt

BROKER = "/api/v1/brokers/{name}"

CARRIED_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{BROKER}/owed",
        carried.owed,
        "What a broker is owed, to be carried to another gateway",
        "ranges of the log, and the key of this export's receipts",
        role="operator",
    ),
    Route(
        "GET",
        f"{BROKER}/owed/messages",
        carried.messages,
        "Messages of stored readings as this broker would be sent them",
        '{"upto", "ranges", "readings": [{"seq", "messages"}], "left_out"}',
        query=requests.OwedPage,
        role="operator",
        patient=True,
    ),
    Route(
        "POST",
        f"{BROKER}/carried",
        carried.send,
        "Send readings of another gateway's parcel through a broker",
        "what is done of the parcel",
        body=requests.CarriedReadings,
        time=60.0,
        role="operator",
    ),
    Route(
        "POST",
        f"{BROKER}/receipts",
        carried.take_receipt,
        "A receipt: what it names was delivered by another gateway",
        '{"readings", "delivered"}',
        body=DeliveryReceipt,
        role="operator",
    ),
)
