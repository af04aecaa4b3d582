"""docs/map.md is what tools/map writes."""

from __future__ import annotations

import subprocess
import sys

from tests.project.checkout import ROOT


def test_the_map_is_current():
    page = subprocess.run([sys.executable, ROOT / "tools/map", "--print"], capture_output=True, text=True, check=True)
    assert (ROOT / "docs/map.md").read_text() == page.stdout, "run tools/map"
