"""The durable log. The only room that speaks SQL."""

from agent.store.maintenance import Report, check, repair
from agent.store.rows import EVENT, IN_STEP, URGENT, Record, Series
from agent.store.store import Store

__all__ = ["EVENT", "IN_STEP", "URGENT", "Record", "Report", "Series", "Store", "check", "repair"]
