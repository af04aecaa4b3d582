"""Near end of a PTY in raw mode, with a link to the far end at a stable path: where a simulated device speaks."""

from __future__ import annotations

import os
import tty
from pathlib import Path


class PtyPort:
    """`pending`: octets that the far end has not taken yet."""

    def __init__(self, link: Path) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self.slave)
        link.unlink(missing_ok=True)
        link.symlink_to(self.path)
        self.pending = b""

    def push(self) -> bool:
        """Writes what is pending; True when nothing is left."""
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.master, self.pending) :]
        except BlockingIOError:
            return False
        return True
