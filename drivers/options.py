"""Options of a driver that report all their mistakes at once, each with its place, warnings included."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

METRIC_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"

MetricName = Annotated[str, Meta(pattern=METRIC_PATTERN, description="the metric_type of its readings")]
ValueName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class OptionProblem(NamedTuple):
    """`path` leads to the option that is meant, () = all of them; `about` are the options that the judgement rests on.

    A `warning` keeps nothing from running.
    """

    message: str
    path: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    hint: str = ""
    warning: bool = False


class WrongOptions(ValueError):
    """Options that cannot work; `problems` are all of them."""

    def __init__(self, problems: list[OptionProblem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems if not problem.warning))
        self.problems = problems


class DriverOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of options with rules between them: `problems` names what is wrong, and nothing with an error is made."""

    def problems(self) -> list[OptionProblem]:
        return []

    def __post_init__(self) -> None:
        found = self.problems()
        if any(not problem.warning for problem in found):
            raise WrongOptions(found)
