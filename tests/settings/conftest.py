"""Settings are read from real files; the drivers are two small ones of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from gatepost.agent.settings import LoadedSettings, load
from gatepost.drivers.driver import Command, Decoder, Driver, Registry, Twin
from gatepost.drivers.options import DriverOptions, OptionProblem


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    scale: float = 1.0


class PrinterOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["json", "csv"] = "json"
    metric: str = "reading"
    columns: list[str] = []
    fields: dict[str, Column] = {}
    pause: Annotated[float, Meta(ge=0, le=60, extra={"unit": "duration"})] = 1.0
    marker: int | str | None = None

    def __post_init__(self) -> None:
        if self.format == "csv" and not self.columns:
            raise ValueError("format csv needs `columns`")


class Printer(Driver):
    name = "printer"
    title = "prints"
    options_type = PrinterOptions

    def decoder(self) -> Decoder:
        raise NotImplementedError

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        raise NotImplementedError


class Clip(Printer):
    name = "clip"
    metrics = ("pulse_oximetry",)
    options_type = msgspec.defstruct("ClipOptions", [], forbid_unknown_fields=True, frozen=True)
    commands = (Command("sync_time", "set its clock"),)


class Radio(Clip):
    name = "radio"
    transport = "ble"


class Beacon(Clip):
    name = "beacon"
    transport = "ble"
    advertisement = True


class Wire(Clip):
    name = "wire"
    transport = "w1"


class NewClip(Clip):
    name = "clip-7"


class RuledOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    low: int = 1
    high: int = 10
    word: str = "all"

    def problems(self) -> list[OptionProblem]:
        found = []
        if self.low > self.high:
            found.append(OptionProblem("`low` is above `high`", ("low",), ("low", "high")))
        if not self.word:
            found.append(OptionProblem("`word` is empty: write all", ("word",), hint="write all"))
        if self.low == 0:
            found.append(OptionProblem("`low` has no effect", ("low",), warning=True))
        return found


class Ruled(Printer):
    name = "ruled"
    options_type = RuledOptions

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        return () if options.word == "all" else (options.word,)


class Raises(Printer):
    name = "raises"

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        raise RuntimeError


def _broken() -> type[Driver]:
    raise ImportError("no module named wonder")


@pytest.fixture
def registry() -> Registry:
    kinds: tuple[type[Driver], ...] = (Printer, Clip, NewClip, Ruled, Raises, Radio, Beacon, Wire)
    return Registry({**{kind.name: (lambda kind=kind: kind) for kind in kinds}, "broken": _broken})


Load = Callable[..., LoadedSettings]


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Load:
    """Writes the main file (and drops by name, and own drops by name) and loads."""

    def _read(
        main: str | bytes | None = None,
        drops: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> LoadedSettings:
        if main is not None:
            (tmp_path / "gatepost.yaml").write_bytes(main.encode() if isinstance(main, str) else main)
        for directory, files in (("conf.d", drops), ("own", own)):
            for name, text in (files or {}).items():
                (tmp_path / directory).mkdir(exist_ok=True)
                (tmp_path / directory / name).write_text(text)
        return load(tmp_path / "gatepost.yaml", env or {}, registry, tmp_path / "own")

    return _read


def told(loaded: LoadedSettings) -> list[str]:
    """`line:column code key`, warnings with a leading `w`."""
    return [
        f"{'w ' if problem.severity == 'warning' else ''}{problem.line}:{problem.column} {problem.code} {problem.key}"
        for problem in loaded.problems
    ]


MARK = "\u00bb"  # stands before the place that a problem must name


def marked(text: str) -> tuple[str, str]:
    """The text without its mark, and the `line:column` of the mark."""
    before = text[: text.index(MARK)]
    line = before.count("\n") + 1
    return text.replace(MARK, ""), f"{line}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"
