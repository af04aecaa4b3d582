"""Titles of drivers without loading them."""

from __future__ import annotations

import subprocess
import sys

from gatepost.drivers.driver import Registry

LOADS = "import sys; from gatepost.drivers.driver import Registry as R; R.installed().titles(); print(*sys.modules)"


def test_every_driver_has_its_own_title():
    titles, registry = Registry.installed().titles(), Registry.installed()
    assert titles == {name: registry.get(name).title for name in registry.names}


def test_titles_load_no_driver():
    told = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True, timeout=60)
    drivers = [name for name in told.stdout.split() if name.startswith("gatepost.drivers.") and "driver" in name[17:]]
    assert drivers == ["gatepost.drivers.driver"]
