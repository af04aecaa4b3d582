"""Gatepost: the edge gateway agent."""
