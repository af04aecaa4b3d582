"""Options of driver `lines`, and the rules between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from gatepost.drivers.options import DriverOptions, MetricName, OptionProblem
from gatepost.drivers.serial.lines.fields import LineField, first_token, target_name
from gatepost.drivers.serial.lines.patterns import compile_pattern
from gatepost.drivers.serial.lines.waveforms import LineWaveform
from gatepost.drivers.ucum import unit_problem
from gatepost.drivers.waveforms import LOST

LONGEST_LINE = 1_000_000  # octets

# Options that mean something to some formats only.
_ONLY: dict[str, tuple[str, ...]] = {
    "columns": ("csv",),
    "pattern": ("regex",),
    "delimiter": ("csv", "keyvalue"),
    "separator": ("keyvalue",),
}


class LinesOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """Options of `lines`; docs/drivers.md explains each."""

    format: Annotated[
        Literal["json", "keyvalue", "csv", "regex"], Meta(description="the form of a line, whatever it holds")
    ] = "json"
    metric: MetricName = "reading"
    columns: Annotated[list[str], Meta(description='csv: the names of the columns in order; "" skips one')] = field(
        default_factory=list
    )
    pattern: Annotated[
        str, Meta(description="regex: a regular expression with named groups, such as T=(?P<temperature>[-0-9.]+)")
    ] = ""
    delimiter: Annotated[
        str | None,
        Meta(description="csv: between columns (default a comma); keyvalue: between pairs (default blanks, commas, ;)"),
    ] = None
    separator: Annotated[str | None, Meta(description="keyvalue: between a name and its value (default =, else :)")] = (
        None
    )
    fields: Annotated[
        dict[str, LineField], Meta(description="what becomes of a member, by its name or by JSON pointer (/data/0/t)")
    ] = field(default_factory=dict)
    others: Annotated[
        Literal["keep", "drop"], Meta(description="members that `fields` does not name: keep them as they are, or drop")
    ] = "keep"
    waveform: Annotated[
        LineWaveform | None,
        Meta(description="each line is a moment of curves: its `fields` are samples, sent in blocks"),
    ] = None
    device_time: Annotated[
        str | None, Meta(description="the member that holds the device's own clock, a name or a JSON pointer")
    ] = None
    device_time_format: Annotated[
        str | None,
        Meta(description="form of that clock as for strptime (default ISO 8601, or a number of seconds since 1970)"),
    ] = None
    first_line: Annotated[
        Literal["mark", "keep", "skip"],
        Meta(description="the first line after opening, which may be cut: mark it as uncertain, keep it, or skip it"),
    ] = "mark"
    encoding: Annotated[str, Meta(description="how the octets spell text: utf-8, latin-1, cp437")] = "utf-8"
    line_end: Annotated[str | None, Meta(description="what ends a line (default CR, LF or CR LF)")] = None
    max_line: Annotated[
        int,
        Meta(
            description="octets of the longest line; a longer one is dropped",
            extra_json_schema={"minimum": 1, "maximum": LONGEST_LINE},
        ),
    ] = 4096

    def problems(self) -> list[OptionProblem]:
        found = [*_of_form(self), *_of_fields(self), *_of_waveform(self), *_of_time(self), *_of_text(self)]
        for name, formats in _ONLY.items():
            if getattr(self, name) and self.format not in formats:
                message = f"`{name}` has no effect on format {self.format}"
                hint = f"it is for format {' and '.join(formats)}"
                found.append(OptionProblem(message, (name,), (name, "format"), hint, warning=True))
        return found

    def value_names(self) -> tuple[str, ...]:
        """What the values can be called; () = the device decides."""
        if self.waveform is not None:
            return (LOST,)
        sources = self.sources()
        if self.others == "keep":
            if not sources:
                return ()
            plain = [name for name in sources if name not in self.fields and name != self.device_time]
        else:
            plain = []
        return (*plain, *(target_name(source, member) for source, member in self.fields.items()))

    def sources(self) -> list[str]:
        """The names of a line's members where the options fix them, else none."""
        if self.format == "csv":
            return [name for name in self.columns if name]
        if self.format == "regex":
            try:
                return list(compile_pattern(self.pattern).groupindex)
            except ValueError:
                return []
        return []


def _of_form(options: LinesOptions) -> Iterator[OptionProblem]:
    """`columns`, `pattern`, `delimiter`."""
    names = [name for name in options.columns if name]
    if options.format == "csv" and not names:
        yield OptionProblem(
            "format csv needs `columns`, the names in their order", _place("columns", options), ("format", "columns")
        )
    if len(names) != len(set(names)):
        yield OptionProblem("`columns` has a name twice", ("columns",), ("columns",))
    if options.format == "regex":
        wrong = _no_pattern(options.pattern)
        if wrong:
            message = f"`pattern` is no regular expression: {wrong}"
            yield OptionProblem(message, ("pattern",), ("pattern",))
        elif not options.sources():
            message = "format regex needs a `pattern` with named groups: (?P<temperature>[0-9.]+)"
            yield OptionProblem(message, _place("pattern", options), ("format", "pattern"))
    for name in ("delimiter", "separator", "line_end"):
        if getattr(options, name) == "":
            yield OptionProblem(f"`{name}` cannot be empty", (name,), (name,))
    if options.format == "csv" and options.delimiter and len(options.delimiter) != 1:
        yield OptionProblem("`delimiter` of format csv is one character", ("delimiter",), ("delimiter", "format"))


def _of_fields(options: LinesOptions) -> Iterator[OptionProblem]:
    targets: dict[str, str] = {}
    for source, member in options.fields.items():
        target = target_name(source, member)
        if target in targets:
            message = f"two of `fields` have the same name {target!r}: {targets[target]!r} and {source!r}"
            yield OptionProblem(message, ("fields", source), ("fields",))
        targets.setdefault(target, source)
        wrong = _no_pattern(member.invalid_pattern or "")
        if wrong:
            message = f"`fields.{source}.invalid_pattern` is no regular expression: {wrong}"
            yield OptionProblem(message, ("fields", source, "invalid_pattern"), ("fields",))
        yield from unit_problem(member.unit, ("fields", source, "unit"))
        yield from _unknown_source(options, source, ("fields", source))
    if options.others == "drop" and not options.fields:
        message = "others: drop without `fields` leaves nothing to report"
        yield OptionProblem(message, ("others",), ("others", "fields"), "name what to keep in `fields`")


def _of_waveform(options: LinesOptions) -> Iterator[OptionProblem]:
    if options.waveform is None:
        return
    if not options.fields:
        message = "`waveform` needs `fields`: which members are samples"
        yield OptionProblem(message, ("waveform",), ("waveform", "fields"))
    if options.device_time is not None:
        message = "`device_time` has no effect on a waveform"
        yield OptionProblem(message, ("device_time",), ("device_time", "waveform"), warning=True)


def _of_time(options: LinesOptions) -> Iterator[OptionProblem]:
    if options.device_time is not None:
        yield from _unknown_source(options, options.device_time, ("device_time",))
    elif options.device_time_format is not None:
        message = "`device_time_format` has no effect without `device_time`"
        path = ("device_time_format",)
        yield OptionProblem(message, path, ("device_time", *path), "name the member", warning=True)
    if options.device_time_format is None:
        return
    try:
        datetime.strptime("", options.device_time_format)  # noqa: DTZ007  # only its form is looked at
    except (ValueError, re.error) as wrong:
        if "does not match" not in str(wrong):
            message = f"`device_time_format` is no format of strptime: {wrong}"
            yield OptionProblem(message, ("device_time_format",), ("device_time_format",))


def _of_text(options: LinesOptions) -> Iterator[OptionProblem]:
    """`encoding`, `line_end`, `max_line`."""
    try:
        b"a".decode(options.encoding, "replace")
        "a".encode(options.encoding)
    except (LookupError, ValueError):
        message = f"`encoding` {options.encoding!r} is not known"
        yield OptionProblem(message, ("encoding",), ("encoding",), "for example utf-8 or latin-1")
    else:
        try:
            (options.line_end or "").encode(options.encoding)
        except UnicodeError:
            message = f"`line_end` cannot be written in {options.encoding}"
            yield OptionProblem(message, ("line_end",), ("line_end", "encoding"))
    if not 1 <= options.max_line <= LONGEST_LINE:
        message = f"`max_line` is 1 to {LONGEST_LINE} octets, found {options.max_line}"
        yield OptionProblem(message, ("max_line",), ("max_line",))


def _unknown_source(options: LinesOptions, source: str, path: tuple[str, ...]) -> Iterator[OptionProblem]:
    """A member that no line can have."""
    known = options.sources()
    name = first_token(source)
    if known and name not in known:
        what, key = ("column", "columns") if options.format == "csv" else ("group", "pattern")
        from difflib import get_close_matches  # 0.2 MiB for a mistake

        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"`{key}` has {', '.join(known)}"
        yield OptionProblem(f"there is no {what} {name!r} for `{path[0]}`", path, (path[0], key, "format"), hint)


def _place(name: str, options: LinesOptions) -> tuple[str, ...]:
    """At the option when something was written there, else at all of them."""
    return (name,) if getattr(options, name) else ()


def _no_pattern(text: str) -> str:
    """Why it is no regular expression; empty when it is one."""
    try:
        compile_pattern(text)
    except ValueError as wrong:
        return str(wrong)
    return ""
