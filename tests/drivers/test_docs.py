"""docs/drivers.md: its worked example is installed as a package of its own and runs; it names every option there is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from drivers.driver import Registry
from drivers.serial.failure import Reason
from drivers.serial.line_fields import Field

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "drivers.md").read_text("utf-8")
BLE_PAGE = (DOCS / "drivers-ble.md").read_text("utf-8")

CHECK = """
import asyncio, tempfile
from pathlib import Path

import msgspec
from drivers.driver import NoParameters, Registry
from drivers.reading import Reading, Reply
from drivers.serial.link import SerialLink
from drivers.serial.pty import PtyTwin

registry = Registry.installed()
assert "acme-thermometer" in registry, registry.names
kind = registry.get("acme-thermometer")
driver = kind(msgspec.convert({"site": "oral"}, kind.options_type))
decoder = driver.decoder()
heard = []

class Exchange:
    def __init__(self, link): self.link = link
    async def send(self, data): await self.link.send(data)
    async def wait(self, match, timeout):
        async with asyncio.timeout(timeout):
            while True:
                for item in heard:
                    if match(item) is not None: return match(item)
                await asyncio.sleep(0.01)

async def main():
    path = Path(tempfile.mkdtemp()) / "port"
    async with PtyTwin(driver.twin(), path, speed=100):
        link = SerialLink(str(path), driver.line, on_data=lambda data: heard.extend(decoder.feed(data)), on_lost=print)
        await link.open()
        answer = await driver.execute("serial_number", NoParameters(), Exchange(link))
        async with asyncio.timeout(10):
            while not any(isinstance(item, Reading) for item in heard):
                await asyncio.sleep(0.01)
        await link.close()
    reading = next(item for item in heard if isinstance(item, Reading))
    assert reading.values == {"temperature": 37.0} and reading.units == {"temperature": "Cel"}
    assert reading.flags == ("site-oral",)
    assert answer == {"serial": 1234}
    good = driver.twin().tick()
    assert driver.decoder().feed(b"\\xa5\\x00" + good) == [reading]
    print("works")

asyncio.run(main())
"""


def block(language, containing):
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(text for text in blocks if containing in text)


def test_the_example_works_as_an_installed_package(tmp_path):
    """As an installer leaves it: the module, and the metadata with its entry points."""
    project = tomllib.loads(block("toml", "entry-points"))["project"]
    (group, entries) = next(iter(project["entry-points"].items()))
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = "\n".join(f"{name} = {target}" for name, target in entries.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
    (tmp_path / "gatepost_acme.py").write_text(block("python", "class AcmeThermometer"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{CHECK}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "works\n", done.stderr


@pytest.mark.parametrize("name", Registry.installed().names)
def test_every_driver_option_and_command_is_explained(name):
    driver = Registry.installed().get(name)
    sections = re.split(r"^## ", PAGE + BLE_PAGE, flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"`{name}`"))
    if "option as above" in section:
        section += next(text for text in sections if text.startswith("`contec-cms50d-plus`"))
    if "common options" in section:
        section += next(text for text in sections if text.startswith("What all of them do"))
    for option in msgspec.structs.fields(driver.options_type):
        assert f"`{option.name}`" in section or f"`{option.name}: " in section, option.name
    for command in driver.commands:
        assert f"`{command.name}`" in section


def test_every_key_of_a_field_and_every_reason_is_explained():
    for key in msgspec.structs.fields(Field):
        assert f"`{key.name}`" in PAGE
    for reason in Reason:
        assert f"| `{reason.value}` |" in PAGE


def test_the_example_of_lines_does_what_the_page_says():
    settings = yaml.safe_load(block("yaml", "probe-2"))["devices"]["probe-2"]
    kind = Registry.installed().get(settings["driver"])
    decoder = kind(msgspec.convert(settings["options"], kind.options_type)).decoder()
    (reading,) = decoder.feed(b'{"t": 235, "rh": 41}\n')
    assert reading.metric == "environment"
    assert reading.values == {"temperature": 23.5, "rh": 41}
    assert reading.units == {"temperature": "Cel"}
