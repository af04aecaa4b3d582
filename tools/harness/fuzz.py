"""Fuzzing of every decoder: random octets, and good traffic damaged, spliced and cut: no exception, bounded memory, and
the next good message is decoded. A failure is made small and written to a file that `--replay` plays again."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.harness.fuzz_octets import BURST, minimal
from tools.harness.fuzz_subjects import Subject, pieces, subjects
from tools.harness.helper import end_cleanly_when_asked

MB = 1_000_000
KEPT = 8  # bursts after which a subject starts afresh, so that what made it fail is known
TELL = 5.0  # seconds between two lines of progress


class Outcome(NamedTuple):
    name: str
    octets: int
    seconds: float  # of CPU
    items: int
    held: int
    wrong: str  # empty = nothing
    file: Path | None


def run(subject: Subject, octets: int, seed: int, folder: Path) -> Outcome:
    """So many octets, or until something is wrong."""
    rng = random.Random(f"{subject.name} {seed}")
    began, told = time.process_time(), time.perf_counter()
    fed = 0
    since: list[bytes] = []
    subject.start()
    number = 0
    while fed < octets:
        if number % KEPT == 0:
            subject.start()
            since = []
        number += 1
        for piece in pieces(subject, rng, min(BURST, octets - fed)):
            fed += len(piece)
            since.append(piece)
            wrong = subject.feed(piece)
            if wrong:
                break
        else:
            wrong = subject.judge()
        if wrong:
            seconds = time.process_time() - began
            file = _reproducer(subject, since, wrong, seed, folder)
            return Outcome(subject.name, fed, seconds, subject.items, subject.held, wrong, file)
        if time.perf_counter() - told > TELL:
            told = time.perf_counter()
            print(f"  {subject.name}: {fed / MB:.1f} of {octets / MB:g} MB", file=sys.stderr, flush=True)
    return Outcome(subject.name, fed, time.process_time() - began, subject.items, subject.held, "", None)


def _reproducer(subject: Subject, since: list[bytes], wrong: str, seed: int, folder: Path) -> Path:
    small = minimal(list(since), subject.fails) if subject.fails(list(since)) else since
    folder.mkdir(parents=True, exist_ok=True)
    word = "".join(letter if letter.isalnum() else "-" for letter in subject.name)
    file = folder / f"fuzz-{word}-{seed}.json"
    found = {"subject": subject.name, "seed": seed, "wrong": wrong, "pieces": [piece.hex() for piece in small]}
    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return file


def replay(file: Path) -> int:
    """0 when it is right now."""
    found = json.loads(file.read_text("utf-8"))
    known = subjects().get(found["subject"].removesuffix(" (talking)"), list)
    for subject in known():
        if subject.name == found["subject"]:
            wrong = subject.fails([bytes.fromhex(piece) for piece in found["pieces"]])
            print(f"{subject.name}: {'still wrong: ' + found['wrong'] if wrong else 'right now'}")
            return int(wrong)
    print(f"{found['subject']}: there is no such decoder", file=sys.stderr)
    return 2


def matches(name: str, wanted: list[str]) -> bool:
    """Whether it is, or begins with, one of these."""
    return any(name == one or name.startswith(f"{one} ") for one in wanted)


def _all(work: list[tuple[str, int, int, Path]], jobs: int) -> Iterator[list[Outcome]]:
    if jobs <= 1:
        yield from map(_one, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:  # its end ends the processes, whatever they are at
        yield from pool.imap(_one, work)


def _one(work: tuple[str, int, int, Path]) -> list[Outcome]:
    name, octets, seed, folder = work
    return [run(subject, octets, seed, folder) for subject in subjects()[name]()]


def table(outcomes: list[Outcome], head: bool = True) -> str:
    lines = [] if not head else [f"{'decoder':<44}{'MB':>8}{'MB/s':>8}{'readings':>12}{'held':>8}  "]
    for one in outcomes:
        speed = one.octets / MB / max(one.seconds, 1e-9)
        state = "ok" if not one.wrong else f"WRONG: {one.wrong:.100}"
        lines.append(f"{one.name:<44}{one.octets / MB:>8.1f}{speed:>8.2f}{one.items:>12,}{one.held:>8,}  {state}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="DRIVER", help='a driver, or a codec ("gatt 2a37"); default all')
    parser.add_argument("--megabytes", type=float, default=10.0, help="octets for each decoder, in millions (10)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed feeds the same octets (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--out", type=Path, default=Path(), help="where files of failures go (here)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play such a file again")
    parser.add_argument("--list", action="store_true", help="what there is, one a line")
    asked = parser.parse_args(arguments)
    if asked.replay:
        return replay(asked.replay)
    if asked.list:
        print("\n".join(subjects()))
        return 0
    names = [name for name in subjects() if matches(name, asked.names)] if asked.names else list(subjects())
    for one in asked.names:
        if not any(matches(name, [one]) for name in names):
            parser.error(f"there is no {one!r}; tools/fuzz --list")
    work = [(name, round(asked.megabytes * MB), asked.seed, asked.out) for name in names]
    outcomes: list[Outcome] = []
    for found in _all(work, asked.jobs):
        outcomes += found
        for one in found:
            print(table([one], head=False), file=sys.stderr, flush=True)
            if one.wrong:
                print(f"  {one.wrong}\n  tools/fuzz --replay {one.file}", file=sys.stderr, flush=True)
    print(table(outcomes))
    failed = sum(bool(one.wrong) for one in outcomes)
    print(f"{len(outcomes)} decoders, {failed} wrong, seed {asked.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    end_cleanly_when_asked()
    sys.exit(main())
