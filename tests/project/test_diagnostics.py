"""Diagnostic checks: each id of the catalogue is made by a check and explained in docs/operations.md."""

from __future__ import annotations

import re

from gatepost.agent.diagnostics import catalogue
from tests.project.checkout import ROOT


def test_every_id_is_explained_with_its_severity() -> None:
    section = (ROOT / "docs/operations.md").read_text().partition("## Findings")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", section, re.MULTILINE))
    assert rows == catalogue.CATALOGUE


def test_every_check_is_used_and_no_finding_is_made_beside_them() -> None:
    files = [*(ROOT / "agent/diagnostics").glob("*_checks.py"), ROOT / "agent/cli/verbs/doctor.py"]
    source = "\n".join(path.read_text() for path in files)
    unused = [ident for ident in catalogue.CATALOGUE if f'"{ident}"' not in source]
    assert unused == []
    assert not re.search(r"(?<![\w.])Finding\(", source)
