"""`gatepost replay`: a recording through the driver, without an agent and without a device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import msgspec
import typer

from gatepost.agent.cli.support.agent_access import Json
from gatepost.agent.cli.support.driver_options import parse_driver_options
from gatepost.agent.cli.support.formatting import count, quantity
from gatepost.agent.cli.support.output import complain, say, say_line
from gatepost.agent.cli.verbs.drivers import unknown
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.named_files import open_given

if TYPE_CHECKING:
    from gatepost.drivers.driver import Driver
    from gatepost.drivers.reading import Reading, Reply
    from gatepost.drivers.recording import RecordedMoment, RecordingHeader


def replay_verb(
    file: Annotated[Path, typer.Argument(help="The recording.")],
    driver: Annotated[str | None, typer.Option("--driver", help="Use this driver instead of the recorded one.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the driver; also secrets, like a key."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also show the raw bytes in both directions.")] = False,
    json: Json = False,
) -> None:
    """Play a recording through its driver.

    Prints the readings that the driver decodes, as fast as it can.

    \b
    Example:
      gatepost replay oximeter.rec
      gatepost replay oximeter.rec --driver contec-cms50-v7 --json
    """
    try:
        with open_given(file) as lines:
            _replay(lines, driver, option or [], raw, json)
    except BrokenPipeError:  # of the output, whose reader has seen enough
        raise
    except OSError as error:
        raise GatepostError(f"{file}: {error.strerror}") from error


def _replay(lines: BinaryIO, driver: str | None, pairs: list[str], raw: bool, json: bool) -> None:
    from gatepost.drivers.recording import RecordingWrong, read

    try:
        header, moments = read(lines)
        made = _driver(header, driver, pairs)
        readings, heard = _play(made, moments, raw, json)
    except RecordingWrong as wrong:
        raise GatepostError(f"the recording cannot be played: {wrong}") from None
    faults = dict(made.faults)
    if json:
        say_line({"summary": {"heard": heard, "readings": readings, "faults": faults}})
        return
    say(f"{made.driver.name}: {count(readings, 'reading')}, heard {count(heard, 'time')}")
    for kind, number in faults.items():
        complain(f"{kind}: {number}")
    if faults and made.last_fault:
        complain(f"the newest: {made.last_fault}")


class _Player:
    """The driver, with a fresh decoder for each opening of the link, as the agent has it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.faults: dict[str, int] = {}
        self.last_fault = ""
        self._decoder = driver.decoder()

    def reopen(self) -> None:
        self.end()
        self._decoder = self.driver.decoder()

    def said(self, data: bytes) -> None:
        """For a decoder that cannot tell an answer without the question."""
        hear = getattr(self._decoder, "said", None)
        if hear is not None:
            hear(data)

    def feed(self, chunk: Any) -> list[Reading | Reply]:
        return self._decoder.feed(chunk)

    def end(self) -> None:
        for kind, number in self._decoder.faults:
            self.faults[kind] = self.faults.get(kind, 0) + number
        self.last_fault = self._decoder.faults.last or self.last_fault


def _play(player: _Player, moments: Iterator[RecordedMoment], raw: bool, json: bool) -> tuple[int, int]:
    readings = heard = 0
    for moment in moments:
        if raw:
            _show_raw(moment, json)
        if moment.note == "opened":
            player.reopen()
        if moment.said is not None:
            player.said(moment.said)
        if moment.heard is None:
            continue
        heard += 1
        for item in player.feed(moment.heard):
            readings += _show(moment.at, item, json)
    player.end()
    return readings, heard


def _show(at: float, item: Reading | Reply, json: bool) -> int:
    """Prints it; 1 for a reading."""
    from gatepost.drivers.reading import Reading

    told = {name: value for name, value in msgspec.to_builtins(item).items() if value not in (None, {}, (), [])}
    kind = "reading" if isinstance(item, Reading) else "reply"
    if json:
        say_line({"t": round(at, 6), kind: told})
    elif isinstance(item, Reading):
        wave = item.waveform
        shown = [quantity(name, value, item.units.get(name)) for name, value in item.values.items()]
        shown += [f"{len(wave.samples)} samples at {wave.rate_hz:g} Hz"] if wave else []
        notes = [*([item.quality] if item.quality != "good" else []), *item.flags]
        when = f" [{item.device_time}]" if item.device_time else ""
        say(f"{at:10.3f}  {item.metric}{when}  {', '.join(shown)}  {', '.join(notes)}".rstrip())
    else:
        fields = ", ".join(quantity(name, value, None) for name, value in item.fields.items())
        say(f"{at:10.3f}  ({item.kind}) {fields}")
    return int(kind == "reading")


def _show_raw(moment: RecordedMoment, json: bool) -> None:
    from gatepost.drivers.recording import line

    text = line(moment).decode().strip()
    if json:
        say_line({"raw": msgspec.json.decode(text)})
    else:
        say(f"{moment.at:10.3f}  {text}")


def _driver(header: RecordingHeader, name: str | None, pairs: list[str]) -> _Player:
    from gatepost.drivers.driver import Registry

    registry = Registry.installed()
    name = name or header.driver
    if name not in registry:
        raise unknown(name, registry)
    kind = registry.get(name)
    options: dict[str, Any] = dict(header.options) if name == header.driver else {}
    options.update(parse_driver_options(kind, pairs))
    try:
        made = kind(msgspec.convert(options, kind.options_type))
    except (msgspec.ValidationError, ValueError) as error:
        hint = f"`gatepost drivers {name}` explains the options; secrets are not in a recording, give them by --option"
        raise GatepostError(f"{name}: {error}", hint) from None
    made.bookmarks = dict(header.bookmarks) if name == header.driver else {}
    return _Player(made)
