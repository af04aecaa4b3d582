"""Damage of the log: found, repaired as far as it can be, and told."""
