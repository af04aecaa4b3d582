"""The documents name files of this repository as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project.checkout import ROOT

FOLDERS = "agent|drivers|tools|config|systemd|tests"


def test_every_path_in_the_documents_exists() -> None:
    missing = []
    for page in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"):
        paths = re.findall(rf"`((?:{FOLDERS})/[^`\s<>*{{}}]*)`", page.read_text("utf-8"))
        missing += [f"{page.name}: {path}" for path in paths if not (ROOT / path).exists()]
    assert missing == []


def named_metrics(text: str) -> set[str]:
    return set(re.findall(r"\b(?:gatepost|process)_[a-z_]+\b", text))


def alerts() -> str:
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    return operations.partition("## Alerts")[2].partition("```yaml\n")[2].partition("```")[0]


def test_every_metric_is_explained_and_alerts_name_no_other() -> None:
    section = (ROOT / "docs/interfaces.md").read_text("utf-8").partition("### Metrics for Prometheus")[2]
    made = re.findall(r'"((?:gatepost|process)_[a-z_]+)"', (ROOT / "agent/api/handlers/metrics.py").read_text("utf-8"))
    assert named_metrics(section.partition("\n### ")[0]) == set(made)
    assert named_metrics(alerts()) <= set(made)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="not installed: sudo apt-get install prometheus")
def test_promtool_takes_the_alerts(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(alerts())
    words = ["promtool", "check", "rules", "alerts.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "11 rules found" in done.stdout) == (0, True), done.stdout + done.stderr
