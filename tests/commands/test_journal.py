from __future__ import annotations

from gatepost.agent.commands.audit_events import BURST, EVERY
from gatepost.agent.core.token_bucket import TokenBucket

from .helpers import Office


async def test_a_flood_of_refusals_is_summed_up(office: Office) -> None:
    for _ in range(BURST + 50):
        assert (await office.ask(b"junk")).status == "rejected"
    assert len(office.audit.all) == BURST
    assert (await office.ask({"command": "read_now"})).status == "done"
    assert [line["decision"] for line in office.audit.all[BURST:]] == ["begun", "done"]
    await office.dispatcher.close(0)
    assert office.audit.all[-1] == {"what": "commands-refused", "count": 50}


def test_a_budget_fills_up_again_to_its_burst() -> None:
    now = [0.0]
    budget = TokenBucket(2, EVERY, lambda: now[0])
    assert [budget.take() for _ in range(3)] == [True, True, False]
    now[0] += EVERY
    assert [budget.take() for _ in range(2)] == [True, False]
    now[0] += 100 * EVERY
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert budget.collect() == 3
    assert budget.collect() == 0
