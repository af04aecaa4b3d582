"""Routes of the stick: what a broker is owed as messages, sending those of another gateway, receipts."""

from __future__ import annotations

from gatepost.agent.api.handlers import carried
from gatepost.agent.api.http.router import Route, operate
from gatepost.agent.api.schemas import requests
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt

BROKER = "/api/v1/brokers/{name}"

CARRIED_ROUTES: tuple[Route, ...] = (
    operate("GET", f"{BROKER}/owed", carried.owed, "What a broker is owed, to be carried to another gateway"),
    operate(
        "GET",
        f"{BROKER}/owed/messages",
        carried.messages,
        "Messages of stored readings as this broker would be sent them",
        query=requests.OwedPage,
        patient=True,
    ),
    Route(
        "POST",
        f"{BROKER}/carried",
        carried.send,
        "Send readings of another gateway's parcel through a broker",
        body=requests.CarriedReadings,
        time=60.0,
        role="operator",
    ),
    operate(
        "POST",
        f"{BROKER}/receipts",
        carried.take_receipt,
        "A receipt: what it names was delivered by another gateway",
        body=DeliveryReceipt,
    ),
)
