"""Advertisement formats of the user: one in each file of conf.d/adverts/, checked like the settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.agent.settings.problem import ERROR, ProblemReport

if TYPE_CHECKING:
    from gatepost.drivers.ble.adverts.table.schema import FormatSpec

FOLDER = "adverts"


def load_formats(files: Iterable[Path], report: ProblemReport) -> list[FormatSpec]:
    """The formats that hold; what is wrong with the others is in the report."""
    import msgspec
    from msgspec import inspect

    from gatepost.agent.settings.validator import SettingsValidator
    from gatepost.agent.settings.yaml.reader import read_file
    from gatepost.drivers.ble.adverts.formats import NAMES
    from gatepost.drivers.ble.adverts.table.catalogue import built_in
    from gatepost.drivers.ble.adverts.table.schema import FormatSpec, mistakes

    kind = inspect.type_info(FormatSpec)
    taken = {*NAMES, "auto", *(form.name for form in built_in())}
    found: list[FormatSpec] = []
    for file in files:
        inner = ProblemReport()
        tree, _ = read_file(file, inner)
        checker = SettingsValidator(inner, kind)
        values = checker.check(tree, kind, ())
        if not any(problem.severity == ERROR for problem in inner.problems):
            spec = msgspec.convert(values, FormatSpec)
            for mistake in mistakes(spec):
                inner.error(checker.where(mistake.path), mistake.path, mistake.key, mistake.message, mistake.hint)
            if spec.name in taken:
                hint = "choose another name"
                inner.error(checker.where(("name",)), ("name",), "name-taken", f"{spec.name} is taken", hint)
            taken.add(spec.name)
            if not any(problem.severity == ERROR for problem in inner.problems):
                found.append(spec)
        report.problems += inner.problems
    return found
