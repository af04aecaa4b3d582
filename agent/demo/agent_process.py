"""An agent that ends with its parent: `python -m gatepost.agent.demo.agent_process PARENT ARGUMENT...`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2): kept across the exec below


def main(parent: int, arguments: list[str]) -> None:
    """Set here, after the fork and the first exec, because nothing else runs in this process yet."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "prctl"):  # Linux
        library.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it ended before that was asked for
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", "gatepost.agent.cli", *arguments])  # noqa: S606 - a shell would be the one that ends


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
