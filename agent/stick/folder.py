"""Folder of parcels and receipts on a stick: each file is written whole or not at all, and flushed before it counts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.errors import StickWrong
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.stick.parcel import LARGEST, ParcelHeader, SealedParcel, decoded
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt

NAME = "gatepost"
PARCEL, RECEIPT, END = ".parcel", ".receipt", ".end"
RESERVE = 1 << 20  # octets that are left free for receipts


class StickFolder:
    """`gatepost/` on a stick: EXPORT-NUMBER.parcel, a .receipt beside each that was sent, and EXPORT.end, which counts
    the parcels of an export that was completed."""

    def __init__(self, stick: Path) -> None:
        """Raises StickWrong where there is no such folder."""
        if not stick.is_dir():
            raise StickWrong(f"{stick} is no folder", "name the folder where the stick is mounted")
        self.path = stick / NAME

    def parcels(self) -> Iterator[Path]:
        yield from self._files(PARCEL)

    def read(self, path: Path) -> SealedParcel:
        """Raises StickWrong for one that is not whole, OSError."""
        content = read_regular(path, LARGEST + 1)
        if len(content) > LARGEST:
            raise StickWrong("it is too large for a parcel", "look at what it is")
        return decoded(content)

    def write(self, header: ParcelHeader, content: bytes) -> None:
        """Durable when it returns. Raises OSError."""
        self.path.mkdir(exist_ok=True)
        write_atomic(self.path / f"{header.export}-{header.number:05}{PARCEL}", content)

    def space(self) -> int:
        """Octets that parcels may still take. Raises OSError."""
        return max(0, shutil.disk_usage(self.path.parent).free - RESERVE)

    def receipts(self) -> Iterator[tuple[Path, DeliveryReceipt]]:
        for path in self._files(RECEIPT):
            receipt = self.receipt(path.with_suffix(PARCEL))
            if receipt is not None:
                yield path, receipt

    def receipt(self, parcel: Path) -> DeliveryReceipt | None:
        """Of this parcel; None where there is none that can be read."""
        try:
            return msgspec.json.decode(read_regular(parcel.with_suffix(RECEIPT)), type=DeliveryReceipt)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def write_receipt(self, parcel: Path, receipt: DeliveryReceipt) -> None:
        write_atomic(parcel.with_suffix(RECEIPT), msgspec.json.encode(receipt))

    def finish(self, export: str, numbers: list[int]) -> None:
        """The export is complete, with parcels of these numbers."""
        write_atomic(self.path / f"{export}{END}", msgspec.json.encode(numbers))

    def header(self, path: Path) -> ParcelHeader | None:
        """Of a parcel that need not be whole."""
        with path.open("rb") as file:
            _, head = file.readline(1000), file.readline(1 << 20)
        try:
            return msgspec.json.decode(head, type=ParcelHeader)
        except msgspec.MsgspecError:
            return None

    def forget(self, path: Path) -> None:
        """A parcel, named by its own path or its receipt's, leaves the stick with its receipt."""
        export, number = _parts(path)
        numbers = self._numbers(export)
        if numbers is not None and number in numbers:
            numbers.remove(number)
            if numbers:
                self.finish(export, numbers)
            else:
                (self.path / f"{export}{END}").unlink(missing_ok=True)
        path.with_suffix(PARCEL).unlink(missing_ok=True)
        path.with_suffix(RECEIPT).unlink(missing_ok=True)

    def missing(self) -> list[str]:
        """Names of parcels that completed exports had and that are not here."""
        names = []
        for path in self._files(END):
            for number in self._numbers(path.stem) or ():
                parcel = self.path / f"{path.stem}-{number:05}{PARCEL}"
                if not parcel.exists():
                    names.append(parcel.name)
        return names

    def unfinished(self, exports: set[str]) -> set[str]:
        """Of these exports those whose end is not here."""
        return {export for export in exports if self._numbers(export) is None}

    def sweep(self) -> None:
        """Remove what was being written when the stick was pulled out."""
        if self.path.is_dir():
            for path in self.path.glob(".*.*"):
                if re.fullmatch(r"\.[0-9a-f]+(-\d+)?\.(parcel|receipt|end)\.[0-9a-f]{8}", path.name):
                    path.unlink(missing_ok=True)

    def _files(self, suffix: str) -> Iterator[Path]:
        if self.path.is_dir():
            yield from sorted(path for path in self.path.iterdir() if _is_ours(path, suffix))

    def _numbers(self, export: str) -> list[int] | None:
        try:
            return msgspec.json.decode(read_regular(self.path / f"{export}{END}"), type=list[int])
        except (FileNotFoundError, msgspec.MsgspecError):
            return None


def _is_ours(path: Path, suffix: str) -> bool:
    pattern = r"[0-9a-f]+" if suffix == END else r"[0-9a-f]+-\d+"
    return path.suffix == suffix and re.fullmatch(pattern, path.stem) is not None and path.is_file()


def _parts(path: Path) -> tuple[str, int]:
    export, _, number = path.stem.partition("-")
    return export, int(number)
