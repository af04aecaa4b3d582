"""axe-core in the page, where npm can install it: the rules of WCAG 2.1 A and AA. Without it the own checks remain."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

VERSION = "4.10.3"
FOLDER = Path(__file__).parents[2] / "build" / "axe"
RUN = """
const done = arguments[arguments.length - 1];
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
const told = ({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`);
axe.run(document, { runOnly: tags }).then(({ violations }) => done(violations.flatMap(told)));
"""


@cache
def source() -> str:
    """The text of axe-core, or nothing: no npm, or no registry."""
    script = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file() and (npm := shutil.which("npm")):
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", f"axe-core@{VERSION}"]
        try:
            subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return ""
    return script.read_text("utf-8") if script.is_file() else ""


async def axe(browser) -> list[str]:
    """Violations on the page as it is now."""
    if not source():
        return []
    await browser.run(source() + "; return true")
    return await browser.run_async(RUN)
