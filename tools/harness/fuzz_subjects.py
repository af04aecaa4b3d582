"""Subjects of fuzzing: every decoder of the installed drivers, alone and in conversation, and every codec that test
vectors name. A subject takes pieces of octets and says what is wrong, or nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gatepost.drivers.driver import Driver, Registry
from gatepost.drivers.mqtt.message import MqttMessage
from gatepost.drivers.mqtt.topics import OWN
from gatepost.drivers.reading import Reading
from gatepost.drivers.testing import driver_kit
from gatepost.drivers.testing.contract_rules import unfinished
from gatepost.drivers.testing.vectors import adapters
from tools.harness.fuzz_octets import burst, cut

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
SECONDS = 30.0  # of a session that gives the good traffic
MOST_HELD = driver_kit.MOST_HELD
REFUSALS = ValueError  # and so FrameError: how a codec refuses
CODECS = ("serial-frame", "ble-frame", "ble-stream", "serial-line", "serial-stream", "gatt", "advert")


class Subject:
    """`name`; `corpus`: pieces of good traffic; `start` makes it fresh; `feed` and `judge` say what is wrong."""

    name = ""
    corpus: list[bytes] = []  # noqa: RUF012  # each has its own
    items = 0  # readings, or accepted inputs
    held = 0
    _decoder: Any
    _names: Collection[str] = ()  # of its values, where they are known

    def start(self) -> None:
        raise NotImplementedError

    def feed(self, piece: bytes) -> str:
        raise NotImplementedError

    def judge(self) -> str:
        """After a burst: what it holds, and whether good traffic is decoded."""
        raise NotImplementedError

    def complaint(self, piece: Any, seen: Callable[[Any], None] = lambda item: None) -> str:
        """What is wrong with what the decoder makes of a piece; `seen` takes each thing that is right."""
        try:
            found = self._decoder.feed(piece)
        except Exception as error:
            return f"raised {error!r}"
        self.items += len(found)
        for item in found:
            if wrong := driver_kit.complaint(item, self._names):
                return f"gave what {wrong}: {item!r:.200}"
            seen(item)
        return ""

    def fails(self, pieces: list[bytes]) -> bool:
        """Whether it is wrong after these pieces, from fresh."""
        self.start()
        return any(self.feed(piece) for piece in pieces) or bool(self.judge())


class Payloads(Subject):
    """A decoder that takes whole payloads of MQTT: each piece is one, of every kind in turn."""

    def __init__(self, kind: type[Driver]) -> None:
        self.name = kind.name
        self._driver = kind()
        twin = kind.twin(None, 0)
        self.corpus = [twin.tick() for _ in range(30)]
        self.start()

    def start(self) -> None:
        self._decoder = self._driver.decoder()

    def feed(self, piece: bytes) -> str:
        complaints = (self.complaint(MqttMessage(topic, piece)) for topic in OWN)
        return next(filter(None, complaints), "")

    def judge(self) -> str:
        self.held = max(self.held, driver_kit.held(self._decoder))
        good = self._decoder.feed(MqttMessage("data", self.corpus[0]))
        return "" if good else "good traffic is not decoded any more"


class Octets(Subject):
    """A decoder that takes octets, alone."""

    def __init__(self, kind: type[Driver]) -> None:
        self.name = kind.name
        self._make = driver_kit.maker(kind)
        self._driver = self._make()
        self.corpus = driver_kit.enough(driver_kit.traffic(self._make, SECONDS))
        self._needed = driver_kit.expected(self._driver, self.corpus)
        self.alone = self._needed > 0
        self._names = self._driver.value_names(self._driver.options)
        self._once = self._driver.keeps_records  # what it has given, it does not give again
        self._marked = 0
        self.start()

    def start(self) -> None:
        self._decoder = self._make().decoder()
        self._marked = 0

    def feed(self, piece: bytes) -> str:
        return self.complaint(piece, self._seen)

    def _seen(self, item: Any) -> None:
        self._marked += isinstance(item, Reading) and item.bookmark is not None

    def judge(self) -> str:
        held = driver_kit.held(self._decoder)
        self.held = max(self.held, held)
        if held > MOST_HELD:
            return f"holds {held} octets"
        found = self._marked
        for piece in (*self.corpus, *self.corpus):
            try:
                items = self._decoder.feed(piece)
            except Exception as error:
                return f"raised {error!r} on good traffic"
            found += driver_kit.amount(items)
        if found < self._needed:
            return f"decoded {found} readings and samples of good traffic, expected {self._needed}"
        if self._once:
            self.start()
        return ""


class Talk(Subject):
    """A driver in conversation with a device that answers and says nothing but what it is fed."""

    def __init__(self, kind: type[Driver]) -> None:
        self.name = f"{kind.name} (talking)"
        self._make = driver_kit.maker(kind)
        self.corpus = driver_kit.enough(driver_kit.traffic(self._make, SECONDS))
        self._seconds = next((seconds for seconds in (3.0, 10.0) if self._clean(seconds).readings), SECONDS)
        self._pieces: list[bytes] = []

    def start(self) -> None:
        self._pieces = []

    def feed(self, piece: bytes) -> str:
        self._pieces.append(piece)
        return ""

    def judge(self) -> str:
        """The session is played here: what it was fed is what the device says, then it is itself again."""
        driver = self._make()
        try:
            first, second = driver_kit.in_virtual_time(self._sessions(driver))
        except Exception as error:
            return f"raised {error!r}"
        self._pieces = []
        for done in (first, second):
            if (
                done.outcome is not None
                and not isinstance(done.outcome, driver_kit.ENDINGS)
                and not _told(done.outcome)
            ):
                return f"its conversation ended with {done.outcome!r}"
        self.items += len(second.readings)
        return "" if second.readings else "gave no reading in the session after"

    def _clean(self, seconds: float) -> driver_kit.VirtualSession:
        driver = self._make()
        return driver_kit.session(driver, driver.twin(driver.options, 1), seconds)

    async def _sessions(self, driver: Driver) -> tuple[driver_kit.VirtualSession, driver_kit.VirtualSession]:
        twin = driver.twin(driver.options, 1)
        hostile = Hostile(self._pieces)
        first = await driver_kit.play(driver, hostile, len(self._pieces) * hostile.interval / 2 + 5)
        await asyncio.sleep(60)
        return first, await driver_kit.play(driver, twin, self._seconds)


class Hostile:
    """Says what it was given, by itself and for an answer."""

    interval = 0.05

    def __init__(self, pieces: list[bytes]) -> None:
        self._left: Iterator[bytes] = iter(pieces)

    def tick(self) -> bytes:
        return next(self._left, b"")

    def hear(self, data: bytes) -> bytes:
        return next(self._left, b"")


def _told(outcome: Exception) -> bool:
    return hasattr(outcome, "reason")


class Codec(Subject):
    """A codec of the vectors: it refuses, or gives the same for the same. It keeps nothing."""

    def __init__(self, kind: str, name: str, vectors: list[dict[str, Any]]) -> None:
        self.name = f"{kind} {name}"
        self._decode = adapters()[kind][name]
        self._kind = kind
        self._piece = 16 if name == "omron-channels" else 7  # octets of the first piece of a stream
        self._vectors = vectors or [{}]
        self.corpus = [_octets(vector) for vector in vectors] or [bytes(range(20))]
        self._turn = 0
        self._before = self._all()

    def start(self) -> None:
        return

    def feed(self, piece: bytes) -> str:
        self._turn += 1
        result = self._result(piece, self._vectors[self._turn % len(self._vectors)])
        if isinstance(result, Exception) and not isinstance(result, REFUSALS):
            return f"raised {result!r}"
        self.items += not isinstance(result, Exception)
        return ""

    def judge(self) -> str:
        return "" if self._all() == self._before else "gives something else for good values than before"

    def _all(self) -> list[str]:
        found = (self._result(piece, vector) for piece, vector in zip(self.corpus, self._vectors, strict=True))
        return [repr(result) for result in found]

    def _result(self, piece: bytes, vector: dict[str, Any]) -> Any:
        try:
            match self._kind:
                case "serial-line":
                    return self._decode(piece.decode("latin-1"))
                case "serial-stream" | "ble-stream":
                    return self._decode([piece[: self._piece], piece[self._piece :]])
                case "gatt":
                    return self._decode(piece, vector.get("context", {}))
                case "advert":
                    return self._decode({**vector, "input_hex": piece.hex()})
                case _:
                    return self._decode(piece)
        except Exception as error:
            return error


class Gatt(Subject):
    """The decoder of a BLE driver: values of characteristics, or advertisements. A piece is one of them."""

    def __init__(self, kind: type[Driver]) -> None:
        self.name = kind.name
        self._make = driver_kit.maker(kind)
        self._names = self._make().value_names(self._make().options)
        vectors = [vector for vector in all_vectors() if "input_hex" in vector or "chunks" in vector]
        wanted = "advert" if "advert" in kind.name else "gatt"
        self._vectors = [vector for vector in vectors if vector["kind"] == wanted]
        brings = getattr(kind, "brings", ())
        if brings:  # characteristics of a maker: values of all makers, on each of them in turn
            values = [vector for vector in vectors if vector["kind"] in ("gatt", "ble-frame", "ble-stream")]
            places = [{"uuid": stream, "service": each.service} for each in brings for stream in each.streams]
            turns = enumerate(values)
            self._vectors = [{**vector, "kind": "gatt", **places[turn % len(places)]} for turn, vector in turns]
        self.corpus = [_octets(vector) for vector in self._vectors]
        self._turn = 0
        self._needed = 0
        self.start()
        found = self._good()
        if wanted == "gatt" and not kind.keeps_records and not brings:  # those give again what they have given
            self._needed = driver_kit.amount(found) - unfinished(found)
        self.start()

    def start(self) -> None:
        self._decoder = self._make().decoder()

    def _good(self) -> list[Any]:
        pairs = zip(self._vectors, self.corpus, strict=True)
        return [item for vector, piece in pairs for item in self._decoder.feed(self._wrapped(vector, piece))]

    def feed(self, piece: bytes) -> str:
        self._turn += 1
        return self.complaint(self._wrapped(self._vectors[self._turn * 31 % len(self._vectors)], piece))

    def judge(self) -> str:
        self.held = max(self.held, driver_kit.held(self._decoder))
        if self.held > 4 * MOST_HELD:
            return f"holds {self.held} octets"
        found = driver_kit.amount(self._good())
        return f"decoded {found} of good values, expected {self._needed}" if found < self._needed else ""

    @staticmethod
    def _wrapped(vector: dict[str, Any], piece: bytes) -> Any:
        from gatepost.drivers.ble.peripheral import GattValue, ReceivedAdvert
        from gatepost.drivers.ble.uuids import uuid

        if vector["kind"] == "gatt":
            return GattValue(uuid(vector["uuid"]), piece, service=vector.get("service", ""))
        address, name = vector.get("mac") or "AA:BB:CC:DD:EE:FF", vector.get("local_name") or ""
        beside = tuple(uuid(each) for each in vector.get("service_uuids", ()))
        if "manufacturer_id" in vector:
            return ReceivedAdvert(
                address, name, manufacturer_data={int(vector["manufacturer_id"]): piece}, services=beside
            )
        data = {uuid(vector.get("service_data_uuid", "fcd2")): piece}
        return ReceivedAdvert(address, name, service_data=data, services=beside)


def _octets(vector: dict[str, Any]) -> bytes:
    if "text" in vector:
        return str(vector["text"]).encode("latin-1", "replace")
    if "chunks" in vector:
        return bytes.fromhex("".join(chunk if isinstance(chunk, str) else chunk[-1] for chunk in vector["chunks"]))
    return bytes.fromhex(vector.get("input_hex", ""))


def all_vectors() -> list[dict[str, Any]]:
    files = (*sorted(VECTORS.glob("*.json")), *sorted((VECTORS / "ble-devices").glob("*.json")))
    return [vector for file in files for vector in json.loads(file.read_text("utf-8"))["vectors"]]


def subjects() -> dict[str, Callable[[], list[Subject]]]:
    """By name, made when they are asked for."""
    registry = Registry.installed()
    out: dict[str, Callable[[], list[Subject]]] = {}
    for name in registry.names:
        kind = registry.get(name)
        if kind.transport == "mqtt":
            out[name] = lambda kind=kind: [Payloads(kind)]
            continue
        out[name] = (lambda kind=kind: [Gatt(kind)]) if kind.transport == "ble" else (lambda kind=kind: _serial(kind))
    by_name: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for vector in all_vectors():
        named = vector.get("protocol") or vector.get("uuid") or vector.get("format") or ""
        by_name.setdefault((vector["kind"], str(named).lower()), []).append(vector)
    for kind in CODECS:
        seen = set()
        for name, decode in adapters().get(kind, {}).items():
            what = (decode.func, decode.args, *decode.keywords.items()) if isinstance(decode, partial) else decode
            if what in seen:  # the same under another name
                continue
            seen.add(what)
            good = by_name.get((kind, name), [])
            out[f"{kind} {name}"] = lambda kind=kind, name=name, good=good: [Codec(kind, name, good)]
    return out


def _serial(kind: type[Driver]) -> list[Subject]:
    alone = Octets(kind)
    talks = kind.run_session is not Driver.run_session
    return ([alone] if alone.alone else []) + ([Talk(kind)] if talks or not alone.alone else [])


def pieces(subject: Subject, rng: random.Random, size: int) -> list[bytes]:
    """A burst for this subject. Codecs and characteristics get values of the length that theirs have."""
    data = burst(subject.corpus, rng, size)
    if isinstance(subject, Codec | Gatt):
        return cut(data, rng, 2 * max(map(len, subject.corpus)) + 4)
    return cut(data, rng)
