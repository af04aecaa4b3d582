"""docs/supported-devices.md is what the drivers and the formats say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    """When it is not: tools/devices."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "devices", "--check"], timeout=60, check=False)
    assert done.returncode == 0
