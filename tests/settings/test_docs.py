"""docs/settings.md names every key with its true default and an example that works."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect as types

from gatepost.agent.settings.effective import effective
from gatepost.agent.settings.model import BrokerSettings, DeviceSettings, SecretRef, Settings, ThresholdSettings
from gatepost.agent.settings.topic_templates import TOPICS

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROWS = {
    row[0]: row[1:]
    for row in re.findall(r"^\| `([a-z_]+\.[A-Za-z0-9_.]+)` \| (.+?) \| (.+?) \| `(.+)` \|$", TEXT, re.MULTILINE)
}


def keys(kind, path=()):
    while isinstance(kind, types.Metadata):
        kind = kind.type
    if isinstance(kind, types.UnionType):
        for part in kind.types:
            yield from keys(part, path)
    elif isinstance(kind, types.StructType) and kind.cls is not SecretRef:
        for field in kind.fields:
            yield from keys(field.type, (*path, field.encode_name))
    elif isinstance(kind, types.DictType) and list(keys(kind.value_type)):
        yield from keys(kind.value_type, (*path, "NAME" if len(path) == 1 else "VALUE"))
        if len(path) > 1:
            yield ".".join(path)
    elif isinstance(kind, types.ListType) and list(keys(kind.item_type)):
        yield ".".join(path)
        yield from keys(kind.item_type, path)
    elif path and not isinstance(kind, types.NoneType):
        yield ".".join(path)


def test_every_key_is_there_and_no_other():
    assert set(ROWS) == set(keys(types.type_info(Settings)))


def test_the_defaults_are_the_true_ones():
    settings = Settings(
        brokers={"NAME": BrokerSettings(url="mqtt://x")},
        devices={"NAME": DeviceSettings(driver="x", thresholds={"VALUE": ThresholdSettings()})},
    )
    true = {key: value for key, value, _ in effective(settings, {})}
    for key, (_, default, _) in ROWS.items():
        if default.startswith("`") and key in true and "<" not in default:
            assert default.strip("`") == true[key], key
        elif key in true and key not in ("brokers.NAME.url", "devices.NAME.driver", "gateway.id"):
            assert true[key] == "null", f"{key} is {true[key]}, not {default}"


SINGLE = [key for key in ROWS if ".routes." not in key and not key.startswith("fleet.keys.")]


@pytest.mark.parametrize("key", SINGLE)
def test_the_example_works(read, key):
    example = ROWS[key][2]
    others = {
        "brokers": ["url: mqtts://x"],
        "devices": ["driver: printer", "port: /dev/p"],
        "commands": [] if "signing" not in key else ["key: {env: K}"],
    }
    parts = key.split(".")
    beside = [line for line in others.get(parts[0], []) if not line.startswith(parts[-1] + ":")]
    if parts[-1] in ("driver", "options", "brokers", "baudrate"):
        example = example.replace("lines", "printer").replace("[hospital]", "[a]")
    if parts[:2] in (["api", "tls"], ["listener", "tls"]):
        beside += ["key: /k"] if parts[-1] != "key" else []
        beside += ["cert: /c"] if parts[-1] != "cert" else []
    elif parts[:2] == ["api", "jwt"]:
        public = parts[-1] == "jwks_file"
        needed = {"algorithm": "RS256" if public else "HS256", "issuer": "i", "audience": "a"}
        needed |= {"jwks_file": "/j"} if public else {"key": "{env: K}"}
        beside += [f"{name}: {value}" for name, value in needed.items() if name != parts[-1]]
    elif parts[-2:-1] == ["tls"]:
        beside.append("tls: {cert: /c, key: /k}" if parts[-1] in ("cert", "key") else "qos: 1")
    extra = "brokers: {a: {url: 'mqtt://x'}}\n" if parts[0] == "devices" else ""
    if key in ("api.default_broker", "fleet.broker"):
        extra = f"brokers: {{{example}: {{url: 'mqtt://x'}}}}\n"
    names = ["a" if part in ("NAME", "VALUE") else part for part in parts]
    drop = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(names[:-1]))
    depth = len(names) - 1
    drop += f"{'  ' * depth}{names[-1]}: {example}\n"
    where = names[:2] if parts[0] in ("brokers", "devices") else names[:-1]
    main = "".join(f"{'  ' * level}{name}:\n" for level, name in enumerate(where))
    main += "".join(f"{'  ' * len(where)}{line}\n" for line in beside)
    loaded = read(extra + main, {"10.yaml": drop})
    assert [str(problem) for problem in loaded.errors] == []


def test_the_topics_are_the_true_ones():
    for key, topic in TOPICS.items():
        assert f"| `{key}` | `{topic.default}` |" in TEXT


def test_blocks_of_yaml_have_known_keys(read):
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        assert not [problem for problem in read(block).problems if problem.code == "unknown-key"]


def test_sections_have_a_heading():
    for field in msgspec.structs.fields(Settings):
        assert f"\n## `{field.name}`\n" in TEXT
