"""The bill of materials says of each lock what stands in it: every package, version and hash, and nothing twice."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.project.checkout import ROOT

LOCKS = sorted(path.stem for path in (ROOT / "tools/locks").glob("*.txt"))


def bill(lock: str) -> dict:
    command = [sys.executable, str(ROOT / "tools/sbom"), lock]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


@pytest.mark.parametrize("lock", LOCKS)
def test_it_holds_what_the_lock_holds(lock: str) -> None:
    text = (ROOT / f"tools/locks/{lock}.txt").read_text()
    found = bill(lock)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", found["serialNumber"])
    components = found["components"]
    assert [f"{each['name']}=={each['version']}" for each in components] == re.findall(
        r"^([A-Za-z0-9._-]+==[^\s;\\]+)", text, re.MULTILINE
    )
    hashes = [file["hashes"][0]["content"] for each in components for file in each["externalReferences"]]
    assert sorted(hashes) == sorted(re.findall(r"sha256:([0-9a-f]{64})", text))
    assert all(each["externalReferences"] for each in components)
    refs = {each["bom-ref"] for each in components}
    assert found["dependencies"] == [{"ref": found["metadata"]["component"]["bom-ref"], "dependsOn": sorted(refs)}]
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9._-]+@\S+", ref) for ref in refs)


def test_the_same_lock_gives_the_same_bill() -> None:
    assert bill("run") == bill("run")
