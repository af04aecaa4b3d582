"""Rollout of a version in waves: what becomes of it by what its gateways reported. Pure; times are passed in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

FAILED = ("reverted", "refused", "stale")  # reports of a gateway that ends a rollout, in number
# No failure: whoever may publish to a gateway makes it say this. It waits for a document that is signed.
UNSIGNED = "unsigned"
WAVES = "1,5%,25%,100%"


class RolloutPlan(NamedTuple):
    """Terms of a rollout: gateways of each wave and those before it; shares between 0 and 1."""

    waves: list[int]
    success: float
    failures: float
    silence: timedelta
    soak: timedelta


class RolloutProgress(NamedTuple):
    """Rollout that runs, as the database has it. `reports`: status -> gateways of the waves that are released."""

    plan: RolloutPlan
    wave: int
    wave_at: datetime
    reports: Mapping[str, int]


class RolloutStep(NamedTuple):
    """What to do: `next-wave`, `pause`, `abort`, `finish` or nothing, and why."""

    action: str
    reason: str = ""


def wave_sizes(text: str, total: int) -> list[int]:
    """`1,5%,25%,100%` -> so many gateways, each wave with those before it; the last is everybody. ValueError."""
    sizes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(%?)\s*", part)
        if match is None or (match[2] and int(match[1]) > 100):
            raise ValueError(f"{part.strip()!r} is neither a number of gateways nor a share like 5%")
        size = math.ceil(total * int(match[1]) / 100) if match[2] else int(match[1])
        size = min(max(size, 1), total)
        if not sizes or size > sizes[-1]:
            sizes.append(size)
    if total and sizes[-1] != total:
        sizes.append(total)
    return sizes


def next_step(progress: RolloutProgress, now: datetime) -> RolloutStep:
    """Looks at failures first: a wave that is complete and broken is broken."""
    plan, reports = progress.plan, progress.reports
    if progress.wave == 0:
        return RolloutStep("next-wave")
    counted = sum(reports.values()) - reports.get("superseded", 0)
    failed = sum(reports.get(status, 0) for status in FAILED)
    applied = reports.get("applied", 0)
    if failed > plan.failures * counted:
        told = ", ".join(f"{reports[status]} {status}" for status in FAILED if reports.get(status))
        return RolloutStep("abort", f"of {counted} gateways: {told}")
    age = now - progress.wave_at
    if applied >= plan.success * counted:
        if age < plan.soak:
            return RolloutStep("")
        return RolloutStep("finish" if progress.wave >= len(plan.waves) else "next-wave")
    if age > plan.silence:
        unsigned = f", {reports[UNSIGNED]} of them but unsigned" if reports.get(UNSIGNED) else ""
        silent = counted - applied - failed
        return RolloutStep("pause", f"silence: {silent} of {counted} gateways gave no answer{unsigned}")
    return RolloutStep("")


def ending(state: str, reports: Mapping[str, int]) -> str:
    """State of a rollout in a word for people: `done` is one that every gateway applied, else it has `ended`."""
    whole = sum(reports.values()) == reports.get("applied", 0) + reports.get("superseded", 0)
    return "ended" if state == "done" and not whole else state


def in_canary_order(gateways: Sequence[tuple[str, bool]], draw: Mapping[str, float]) -> list[str]:
    """Gateways (id, online) in the order of the waves: the reachable first, in an order drawn for this rollout, so
    that it is not always the same ward that meets a fault first."""
    return [gateway for gateway, _ in sorted(gateways, key=lambda each: (not each[1], draw[each[0]]))]
