"""Routes of the stick: a broker's backlog as messages, sending another gateway's, receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gatepost.agent.api.handlers.brokers import get_broker, no_broker
from gatepost.agent.api.handlers.messages import check_may_publish
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.schemas.requests import CarriedReadings, OwedPage
from gatepost.agent.core.errors import BadInput, NotConnected
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import CarriedProgress, OwedMessages, OwedRanges, ReceiptTaken
    from gatepost.agent.uplink.carried.backlog_export import BacklogExport


async def owed(request: ApiRequest) -> OwedRanges:
    return cast("OwedRanges", await _export(request).owed())


async def messages(request: ApiRequest) -> OwedMessages:
    query: OwedPage = request.query
    if query.hi <= query.lo:
        raise BadInput("hi: must be greater than lo")
    return cast("OwedMessages", await _export(request).page(query.urgent, query.lo, query.hi, query.limit))


async def send(request: ApiRequest) -> CarriedProgress:
    body: CarriedReadings = request.body
    name = request.path["name"]
    broker = get_broker(request, name)
    for topic in {message.topic for reading in body.readings for message in reading}:
        check_may_publish(request, topic)
    state = broker.as_dict()
    if state["state"] != "connected":
        raise NotConnected(f"{name} is not connected: {state['reason'] or state['state']}", state["hint"])
    progress = await request.app.brokers.backlog_import().send(broker, body.parcel, body.start, body.readings)
    return cast("CarriedProgress", progress)


async def take_receipt(request: ApiRequest) -> ReceiptTaken:
    receipt: DeliveryReceipt = request.body
    delivered = await _export(request).take_receipt(receipt)
    request.app.audit.record(
        "receipt",
        by=request.source,
        broker=receipt.broker,
        export=receipt.export,
        number=receipt.number,
        sent_by=receipt.by,
        readings=receipt.readings,
    )
    return {"readings": receipt.readings, "delivered": delivered}


def _export(request: ApiRequest) -> BacklogExport:
    name = request.path["name"]
    export = request.app.brokers.backlog_export(name)
    if export is None:
        raise no_broker(name)
    return export
