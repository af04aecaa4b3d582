"""Errors of the agent are one tree, drawn in agent/core/errors.py."""

from __future__ import annotations

import ast
import re

from gatepost.agent.core import errors
from tests.project.checkout import modules

CLIENT = "gatepost.agent.client"  # its errors are its own tree


def test_errors_of_the_agent_stand_in_one_file() -> None:
    known = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    elsewhere = [
        f"{module}: {node.name}"
        for module, path in modules()
        if module.startswith("gatepost.agent") and module != errors.__name__ and not module.startswith(CLIENT)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base).rpartition(".")[2] for base in node.bases} & known
    ]
    assert elsewhere == []


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\(its own key\)|\S+) ", errors.__doc__ or "")
    kinds = {
        name: kind.key
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.GatepostError) and kind is not errors.GatepostError
    }
    spelt = {"ConnectFailed": "broker-<reason>", "Rejected": "(its own key)"}
    assert dict(drawn) == kinds | spelt
