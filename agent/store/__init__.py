"""Durable log: the only room that speaks SQL."""

from gatepost.agent.store.damage.salvage import SalvageReport, check, repair
from gatepost.agent.store.model import EVENT, IN_STEP, URGENT, Record, Series
from gatepost.agent.store.store import Store

__all__ = ["EVENT", "IN_STEP", "URGENT", "Record", "SalvageReport", "Series", "Store", "check", "repair"]
