"""The wheel: one name at its top, with everything that the folders hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.project.checkout import ROOT

PARTS = ("agent", "drivers", "pyproject.toml", "README.md", "LICENSE")


def test_the_wheel_holds_gatepost_and_nothing_else(tmp_path: Path) -> None:
    """Of a copy: a build leaves folders behind."""
    source = tmp_path / "source"
    source.mkdir()
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"gatepost"}
    packed = {name.removeprefix("gatepost/") for name in names if name.startswith("gatepost/")}
    for folder in ("agent", "drivers"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".sql", ".html", ".js", ".css", ".svg", ".typed"):
                name = path.relative_to(ROOT).as_posix()
                # agent/client is gatepost.client
                assert name.replace("agent/client/", "client/", 1) in packed, name
