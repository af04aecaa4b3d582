from __future__ import annotations

from gatepost.agent.commands.audit_events import BURST

from .helpers import Office


async def test_a_flood_of_refusals_is_summed_up(office: Office) -> None:
    for _ in range(BURST + 50):
        assert (await office.ask(b"junk")).status == "rejected"
    assert len(office.audit.all) == BURST
    assert (await office.ask({"command": "read_now"})).status == "done"
    assert [line["decision"] for line in office.audit.all[BURST:]] == ["begun", "done"]
    await office.dispatcher.close(0)
    assert office.audit.all[-1] == {"what": "commands-refused", "count": 50}
