"""The documents name files of this repository as they are."""

from __future__ import annotations

import re

from tests.project.checkout import ROOT

FOLDERS = "agent|drivers|tools|config|systemd|tests"


def test_every_path_in_the_documents_exists() -> None:
    missing = []
    for page in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"):
        paths = re.findall(rf"`((?:{FOLDERS})/[^`\s<>*{{}}]*)`", page.read_text("utf-8"))
        missing += [f"{page.name}: {path}" for path in paths if not (ROOT / path).exists()]
    assert missing == []
