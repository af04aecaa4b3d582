"""The example of docs/interfaces.md is run as it stands there."""

from __future__ import annotations

import asyncio
import re

from tests.project.checkout import ROOT


def example():
    text = (ROOT / "docs" / "interfaces.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


async def test_the_example_of_the_documentation(app, remote, capsys):
    await app.take(spo2=93)
    program = example()
    assert program.count("http://127.0.0.1:8765") == 1
    program = program.replace("http://127.0.0.1:8765", remote.url)
    token = await remote.token("operator")
    await asyncio.to_thread(exec, program, {"token": token})
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["oximeter-1 online", "cuff-3 offline"]
    assert "{'spo2': 93} {'spo2': '%'}" in said[2]
    assert said[3] == "done"
