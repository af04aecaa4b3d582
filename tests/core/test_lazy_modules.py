"""Lazy modules: importable at once, executed with the first use of a name, and what is left unloaded by it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.agent.core.lazy_modules import import_lazily


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"lazy_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("RUN = []\nANSWER = 42\n")
    (folder / "part.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        del sys.modules[module]


def test_a_package_is_executed_with_the_first_use_of_a_name(package: str) -> None:
    import_lazily(package)
    part = importlib.import_module(f"{package}.part")
    lazy = importlib.import_module(package)
    assert part.VALUE == 7
    assert "ANSWER" not in vars(lazy)
    assert lazy.ANSWER == 42
    with pytest.raises(AttributeError):
        lazy.NOTHING  # noqa: B018


def test_a_submodule_is_an_attribute_of_its_package(package: str) -> None:
    parent = importlib.import_module(package)
    import_lazily(f"{package}.part")
    assert "VALUE" not in vars(parent.part)
    assert parent.part.VALUE == 7


def test_what_is_not_there_fails_with_the_import_that_follows() -> None:
    import_lazily("there_is_no_such_module")
    with pytest.raises(ImportError):
        importlib.import_module("there_is_no_such_module")


def test_a_websocket_and_http_load_nothing_that_they_do_not_use() -> None:
    program = (
        "import sys\n"
        "from gatepost.agent.api.http import h11_protocol\n"
        "from gatepost.agent.api.websocket import handshake\n"
        "from gatepost.agent.core.errors import HandshakeWrong\n"
        "try:\n    handshake.accept([])\n"
        "except HandshakeWrong:\n    pass\n"
        "print(sorted({'zipfile', 'pickle', 'logging.handlers', 'websockets.server'} & set(sys.modules)))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "['websockets.server']"


def test_what_is_unavailable_for_a_while_can_be_imported_afterwards() -> None:
    program = (
        "import sys\n"
        "from gatepost.agent.core.lazy_modules import unavailable\n"
        "with unavailable('colorsys'):\n"
        "    try:\n        import colorsys\n"
        "    except ImportError:\n        print('unavailable')\n"
        "import colorsys\n"
        "with unavailable('colorsys'):\n    import colorsys\n"
        "print(colorsys is sys.modules['colorsys'])\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["unavailable", "True"]
