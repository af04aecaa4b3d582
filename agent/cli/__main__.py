"""`python -m gatepost.agent.cli`: the command without its installed script."""

from __future__ import annotations

import sys

from gatepost.agent.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
