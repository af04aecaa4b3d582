"""Messages of gateways: a topic and octets -> readings, reports, or why they are refused. Sans-I/O, never raises."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any, NamedTuple

import orjson

SCHEMA = 1
MAX_UNPACKED = 4 * 1024 * 1024  # octets of a batch (gateways make 128 KiB); more is refused before it is unpacked whole
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
MAX_SEQ = 2**63 - 1
REPORTS = ("status", "events", "reported", "account")
OUTCOMES = ("trying", "applied", "refused", "reverted", "superseded", "unsigned", "stale")
ASKED = "asked"  # kind of a report: the gateway asks for its desired state


class Reading(NamedTuple):
    """One reading. Its key is (gateway, epoch, number); `payload` its JSON text as it is stored."""

    gateway: str
    epoch: str
    seq: int
    device: str
    patient: str | None
    metric: str
    time: datetime
    clock: str | None
    replayed: bool
    payload: str


class Report(NamedTuple):
    """What a gateway says of itself; `kind` is one of REPORTS or ASKED. An event has an id as readings have."""

    kind: str
    gateway: str
    body: dict[str, Any]
    epoch: str = ""
    seq: int = 0


class RefusedMessage(NamedTuple):
    """A message that is no reading: kept for people to look at, and acknowledged, or it would come again for ever."""

    topic: str
    why: str
    payload: bytes


Parsed = Reading | Report | RefusedMessage


def parse(topic: str, payload: bytes) -> list[Parsed]:
    """What a message holds; nothing for topics that are not kept (commands, responses, statuses of devices)."""
    levels = topic.split("/")
    gateway = levels[1] if levels[0] == "gateways" and len(levels) > 2 else None
    if levels[-1] == "data":
        return _readings(topic, gateway, payload)
    if gateway is not None and len(levels) == 3 and levels[2] in REPORTS:
        return [_report(topic, gateway, levels[2], payload)]
    if gateway is not None and levels[2:] == ["desired", "get"]:
        return [_report(topic, gateway, ASKED, payload)]
    return []


def _readings(topic: str, gateway: str | None, payload: bytes) -> list[Parsed]:
    try:
        whole = orjson.loads(unpacked(payload))
        members = whole.get("readings", [whole])
        if not isinstance(members, list):
            raise ValueError("`readings` is no list")
    except Exception as error:
        return [RefusedMessage(topic, _why(error), payload)]
    found: list[Parsed] = []
    bad, why = [], ""
    for member in members:
        try:
            found.append(_reading(gateway, member))
        except Exception as error:
            bad.append(member)
            why = why or _why(error)
    if bad:  # together: a message of millions of nothing must not become as many rows
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        found.append(RefusedMessage(topic, why + more, orjson.dumps(bad if len(bad) > 1 else bad[0])))
    return found


def _reading(gateway: str | None, body: Any) -> Reading:
    if body["schema"] != SCHEMA:
        raise ValueError(f"schema {body['schema']!r} is not known here")
    owner, epoch, seq = _id(body, gateway)
    return Reading(
        owner,
        epoch,
        seq,
        _text(body["device_id"]),
        None if body.get("patient_id") is None else _text(body["patient_id"]),
        _text(body["metric_type"]),
        _moment(body["timestamp"]),
        None if body.get("clock") is None else _text(body["clock"]),
        body.get("replayed") is True,
        _json(body),
    )


def _report(topic: str, gateway: str, kind: str, payload: bytes) -> Parsed:
    try:
        body = orjson.loads(payload)
        if not isinstance(body, dict):
            raise ValueError("it is no JSON object")
        _json(body)
        if kind == "account":
            _check_account(body)
        elif kind == "reported":
            _check_reported(body)
        elif kind == ASKED:
            body = {"have": _count(body.get("have") or 0, "have")}
        if kind != "events":
            return Report(kind, gateway, body)
        owner, epoch, seq = _id(body, gateway)
        return Report(kind, owner, body, epoch, seq)
    except Exception as error:
        return RefusedMessage(topic, _why(error), payload)


def _id(body: Any, gateway: str | None) -> tuple[str, str, int]:
    """The gateway is that of the topic. One that was given another id has the first one in its ids for ever."""
    first_owner, epoch, number = _text(body["id"]).rsplit(":", 2)
    seq = int(number)
    if not first_owner or not epoch or not 0 < seq <= MAX_SEQ:
        raise ValueError(f"{body['id']!r} is no id of a reading")
    owner = _text(body["gateway_id"])
    if not owner or gateway not in (None, owner):
        raise ValueError("it speaks for another gateway than its topic names")
    return owner, epoch, seq


def unpacked(payload: bytes) -> bytes:
    """Gzip and zstd are known by their first octets. ValueError where too much would come out."""
    if payload[:2] == GZIP:
        reader = zlib.decompressobj(31)
        octets = reader.decompress(payload, MAX_UNPACKED)
        if not reader.eof:
            raise ValueError(f"more than {MAX_UNPACKED} octets, or cut off")
        return octets
    if payload[:4] == ZSTD:
        try:
            import zstandard
        except ImportError:
            raise ValueError("compressed with zstd, and the package zstandard is not installed") from None
        with zstandard.ZstdDecompressor().stream_reader(payload) as stream:
            octets = bytes(stream.read(MAX_UNPACKED + 1))
        if len(octets) > MAX_UNPACKED:
            raise ValueError(f"more than {MAX_UNPACKED} octets")
        return octets
    return payload


def _check_account(body: dict[str, Any]) -> None:
    _text(body["epoch"]), _text(body["broker"])
    first, last, sent = (_count(body[name], name) for name in ("from_seq", "upto_seq", "sent"))
    skipped, *_ = (_count(body.get(name, 0), name) for name in ("skipped", "gaps", "owed"))
    if first > last:
        raise ValueError("from_seq is above upto_seq")
    # Gaps are counted at their first number, and may reach beyond `upto_seq`.
    if sent + skipped > last - first + 1:
        raise ValueError("it counts more readings than there are numbers from from_seq to upto_seq")


def _check_reported(body: dict[str, Any]) -> None:
    if body.get("version") is not None:
        _count(body["version"], "version")
    if body["status"] not in OUTCOMES:
        raise ValueError(f"{body['status']!r} is no state of a desired state")


def _count(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < MAX_SEQ:
        raise ValueError(f"{name} is no count")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment


def _json(body: Any) -> str:
    text = orjson.dumps(body).decode()
    if "\\u0000" in text:
        raise ValueError("it holds a NUL, which PostgreSQL cannot store")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a member that must be text is none")
    return value


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, zlib.error):
        return "it is no whole gzip"
    return f"{error or type(error).__name__}"[:200]
